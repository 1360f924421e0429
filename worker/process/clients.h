// Every client connection of a worker, and what the loop does with them as a whole: one write per connection
// and turn, time-outs, burial of the dead at the end of a turn.
#pragma once

#include <array>
#include <boost/intrusive/list.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "ipc/counters.h"
#include "worker/http/clock.h"
#include "worker/process/client_connection.h"
#include "worker/process/settings.h"

namespace limpet::process {

class Clients {
 public:
  /// Gives a connection that has to leave to the slot that owns its request. `unread` starts at the request's
  /// head.
  using Mover = std::function<void(ipc::Descriptor socket, const ClientConnection& from,
                                   std::uint16_t to_slot, std::string_view unread)>;

  /// `listeners`: time-outs of the connections of each; those of others are in `limits`.
  Clients(Poller& poller, http::Clock& clock, ipc::CounterBlock& counters, const Settings::Limits& limits,
          const std::vector<Settings::Listener>& listeners = {});
  ~Clients();

  void set_mover(Mover mover) { mover_ = std::move(mover); }

  /// Watches a connected, non-blocking socket. `unread` is delivered to the receiver in this turn or the
  /// next. The caller sets the receiver before it returns to the loop. Null if the kernel refuses: the socket
  /// is closed.
  ClientConnection* adopt(ipc::Descriptor socket, const PeerAddress& peer, std::uint16_t listener,
                          std::string_view unread = {});

  /// Gives bytes to receivers that were resumed, or adopted with bytes.
  void redeliver();
  /// One write for each connection that has something queued.
  void flush();
  /// Ends connections whose time-out has passed.
  void check_deadlines();
  /// Tells receivers of dead connections, and destroys those.
  void bury();
  /// Ends every connection, and tells the receivers.
  void close_all();

  [[nodiscard]] bool has_work() const noexcept {
    return !redeliver_.empty() || !dirty_.empty() || !dead_.empty();
  }
  [[nodiscard]] http::TimePoint next_deadline() const noexcept;
  [[nodiscard]] std::size_t open() const noexcept { return open_; }

 private:
  friend class ClientConnection;
  using List = boost::intrusive::list<ClientConnection, boost::intrusive::constant_time_size<false>>;
  static constexpr std::size_t kWaitings = 7;  ///< http::Stream::Waiting's five, then these two
  static constexpr std::size_t kFinishing = 5;
  static constexpr std::size_t kLingering = 6;

  /// By what they wait for, the longest waiting first: a list's time-out is one constant, so order is order
  /// of deadline.
  struct Lists {
    std::chrono::milliseconds header_timeout;
    std::chrono::milliseconds body_timeout;
    std::chrono::milliseconds idle_timeout;
    std::array<List, kWaitings> by_waiting;

    [[nodiscard]] std::chrono::milliseconds timeout_of(std::size_t waiting) const noexcept;
  };
  void put_in_list(ClientConnection& connection, std::size_t waiting);
  void count_from_now(ClientConnection& connection);
  /// Up to this size, what a connection has queued is sent as one run of bytes: cheaper for the kernel than a
  /// vector of many small ones.
  static constexpr std::size_t kGatherBytes = 64 * 1024;
  /// The queued bytes in one run, good until the next call. Members of one room have the same frames queued,
  /// so the run made for one connection is mostly right for the next as well, and is not made again.
  std::string_view gather(const ClientConnection& connection);
  std::unique_ptr<ClientConnection::Queue> take_queue();
  void give_back(std::unique_ptr<ClientConnection::Queue> queue);

  Poller& poller_;
  http::Clock& clock_;
  ipc::CounterBlock& counters_;
  Settings::Limits limits_;
  Mover mover_;
  /// One for each listener, and one behind them.
  std::vector<std::unique_ptr<Lists>> lists_;
  std::vector<ClientConnection*> dirty_;
  std::vector<ClientConnection*> redeliver_;
  std::vector<ClientConnection*> resumed_;
  std::vector<ClientConnection*> dead_;
  std::vector<std::unique_ptr<ClientConnection::Queue>> spare_queues_;
  std::unique_ptr<std::array<char, 64 * 1024>> read_buffer_;
  std::string gathered_;
  /// The frames that gathered_ was made of, the first one whole. Handles, so that no other frame can take
  /// their place in memory. Forgotten at the end of flush().
  std::vector<http::Buffer> gathered_frames_;
  /// Of the connection whose receiver is running: see ClientConnection::take_from().
  const char* taken_from_ = nullptr;
  std::size_t open_ = 0;
};

}  // namespace limpet::process
