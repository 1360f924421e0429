// Every client connection of a worker, and what the loop does with them as a whole: one write per connection
// and turn, time-outs, burial of the dead at the end of a turn. Each part of a turn takes from the one
// allowance, and goes on where it stopped in the next turn, others first (law 13).
#pragma once

#include <array>
#include <boost/intrusive/list.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "base/log_gate.h"
#include "ipc/shared/counters.h"
#include "worker/client/client_connection.h"
#include "worker/client/limits.h"
#include "worker/loop/accounts.h"
#include "worker/loop/allowance.h"
#include "worker/loop/clock.h"
#include "worker/loop/released_frames.h"

namespace limpet::client {

class Clients {
 public:
  /// Gives a connection that has to leave to where it goes. `unread` starts at its next request's head.
  using Mover = std::function<void(base::Descriptor socket, const ClientConnection& from, Destination to,
                                   std::string_view unread)>;

  /// `listeners`: time-outs of the connections of each; those of others are in `limits`.
  Clients(loop::Poller& poller, loop::Clock& clock, loop::Allowance& allowance, loop::MemoryTotal& memory,
          ipc::CounterBlock& counters, const Limits& limits,
          const std::vector<ListenerSettings>& listeners = {});
  ~Clients();

  void set_mover(Mover mover) { mover_ = std::move(mover); }
  /// Hears of each counted() connection, once, when it is here no more.
  void set_on_uncounted(std::function<void(const ClientConnection&)> hears) {
    on_uncounted_ = std::move(hears);
  }

  /// Watches a connected, non-blocking socket. `unread` is delivered to the receiver in this turn or the
  /// next. The caller sets the receiver before it returns to the loop. Null if the kernel refuses: the socket
  /// is closed.
  ClientConnection* adopt(base::Descriptor socket, const PeerAddress& peer, std::uint16_t listener,
                          std::string_view unread = {});

  /// Gives bytes to receivers that had to wait for a later turn, were resumed, or adopted with bytes.
  void redeliver();
  /// One write for each connection that has something queued.
  void flush();
  /// Ends connections whose time-out has passed.
  void check_deadlines();
  /// From now on heads, of requests and of PROXY connections, are due after this time at the latest.
  void limit_header_timeouts(std::chrono::milliseconds most);
  /// Tells receivers of dead connections, and destroys those.
  void bury();
  /// Ends every connection, and tells the receivers.
  void close_all();

  [[nodiscard]] bool has_work() const noexcept {
    return !redeliver_.empty() || !dirty_.empty() || !dead_.empty() || !released_.empty();
  }
  [[nodiscard]] loop::TimePoint next_deadline() const noexcept;
  [[nodiscard]] std::size_t open() const noexcept { return open_ - dead_.size(); }
  /// None is open, and none waits to be buried.
  [[nodiscard]] bool is_empty() const noexcept { return open_ == 0; }
  /// Of frames that nobody wants any more, and that will be freed as soon as there is time.
  [[nodiscard]] std::size_t released_bytes() const noexcept { return released_.bytes(); }
  /// What the connection that costs most holds; 0: none is large.
  [[nodiscard]] std::size_t largest_bytes() const noexcept { return accounts_.largest_bytes(); }
  /// Ends that one. Only if there is one.
  void shed_largest();

 private:
  friend class ClientConnection;
  using List = boost::intrusive::list<ClientConnection, boost::intrusive::constant_time_size<false>>;
  static constexpr std::size_t kWaitings = 9;  ///< http::Stream::Waiting's five, then these
  static constexpr std::size_t kFinishing = 5;
  static constexpr std::size_t kLingering = 6;
  static constexpr std::size_t kTaking = 7;  ///< open, and its peer has not taken the last answer
  /// A body, or the taking of an answer, that has had its time-out and lives on what it has moved since: each
  /// second costs limits.min_rate bytes of that.
  static constexpr std::size_t kLate = 8;
  /// What one connection may take of a turn's input before others have theirs: little of what has just come,
  /// so that whoever sends little waits for little of the others', and more of what had to wait.
  static constexpr std::uint32_t kUnitsOfFirstVisit = 64;
  static constexpr std::uint32_t kUnitsOfVisit = 512;

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
  [[nodiscard]] Lists& lists_of(const ClientConnection& connection) noexcept;
  void settle(ClientConnection& connection, ClientConnection::Written written, std::size_t unsent_before);
  void wait_for_room(ClientConnection& connection, bool some_was_taken);
  void all_is_written(ClientConnection& connection);
  void check(std::size_t waiting, Lists& lists);
  [[nodiscard]] std::uint32_t milliseconds() const noexcept;
  [[nodiscard]] std::chrono::milliseconds waited(const ClientConnection& connection) const noexcept;
  void time_out(ClientConnection& connection, std::size_t waiting);
  void check_late(ClientConnection& connection);
  void end_for(ClientConnection& connection, ipc::Counter cause);
  void note_drop(const ClientConnection& connection, ipc::Counter cause);
  void check_stalled();
  void tell_end(ClientConnection& connection);
  void destroy_unless_listed(ClientConnection* connection);
  /// Up to this size, what a connection has queued is sent as one run of bytes: cheaper for the kernel than a
  /// vector of many small ones.
  static constexpr std::size_t kGatherBytes = 64 * 1024;
  /// The queued bytes in one run, good until the next call. Members of one room have the same frames queued,
  /// so the run made for one connection is mostly right for the next as well, and is not made again.
  std::string_view gather(const ClientConnection& connection);
  std::unique_ptr<Backlog> take_backlog(ClientConnection& connection);
  void give_back(std::unique_ptr<Backlog> backlog);

  loop::Poller& poller_;
  loop::Clock& clock_;
  loop::Allowance& allowance_;
  loop::MemoryTotal& memory_;
  loop::Accounts<ClientConnection> accounts_;
  ipc::CounterBlock& counters_;
  Limits limits_;
  Mover mover_;
  std::function<void(const ClientConnection&)> on_uncounted_;
  /// One for each listener, and one behind them.
  std::vector<std::unique_ptr<Lists>> lists_;
  /// With more than limits.send_queue unsent, by when the kernel took something, the longest ago first.
  boost::intrusive::list<Backlog, boost::intrusive::constant_time_size<false>> stalling_;
  loop::Fifo<ClientConnection*> dirty_;
  loop::Fifo<ClientConnection*> redeliver_;
  loop::Fifo<ClientConnection*> dead_;
  std::vector<std::unique_ptr<Backlog>> spare_backlogs_;
  /// Long queues of connections that have ended: each frame may be the last to hold its buffer.
  loop::ReleasedFrames released_;
  base::LogGate drops_;
  std::unique_ptr<std::array<char, 64 * 1024>> read_buffer_;
  std::string gathered_;
  /// Stands for a file in a connection's queue; told by its place in memory.
  loop::Buffer file_mark_ = loop::Buffer::copy_of("F");
  /// The frames that gathered_ was made of, the first one whole. Handles, so that no other frame can take
  /// their place in memory. Forgotten at the end of flush().
  std::vector<loop::Buffer> gathered_frames_;
  /// Of the connection whose receiver is running: see ClientConnection::take_from().
  const char* taken_from_ = nullptr;
  /// The connection whose receiver is running, and what it may still take.
  ClientConnection* visited_ = nullptr;
  /// What its receiver said of the piece at the front of its bytes: how many it will have.
  std::size_t expected_ = 0;
  std::uint32_t visit_units_ = 0;
  std::size_t open_ = 0;
};

}  // namespace limpet::client
