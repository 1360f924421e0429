// One client's socket as a loop::Stream: non-blocking reads and writes of our own, bytes that nobody has
// consumed, bytes that the kernel has not taken. Owned by Clients; destroyed at the end of a turn only, so
// that pointers stay good during it. Never calls its receiver from inside a Stream function.
#pragma once

#include <algorithm>
#include <array>
#include <boost/intrusive/list_hook.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "worker/client/destination.h"
#include "worker/client/peer_address.h"
#include "worker/loop/accounts.h"
#include "worker/loop/clock.h"
#include "worker/loop/fifo.h"
#include "worker/loop/long_fifo.h"
#include "worker/loop/poller.h"
#include "worker/loop/stream.h"

namespace limpet::client {

class Clients;
class ClientConnection;

using AutoUnlinkHook =
    boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// What a connection has only while something waits at it, in or out: made on demand, for most are idle.
struct Backlog : AutoUnlinkHook {
  explicit Backlog(ClientConnection& of) : connection(&of) {}

  ClientConnection* connection;
  loop::LongFifo<loop::Buffer> frames;  ///< behind the connection's first one
  /// Where one of these stands among the frames, Clients::file_mark_ does: a byte that is never sent.
  loop::Fifo<loop::FileRange> files;
  std::vector<char> unread;  ///< received and not consumed, from `unread_begin` on
  std::size_t unread_begin = 0;
  std::size_t answers = 0;        ///< bytes that its own input has made us queue, and that are unsent
  std::size_t held = 0;           ///< bytes that its receiver holds for it
  loop::TimePoint progress_at{};  ///< the kernel took something; counts while it is in Clients::stalling_
  loop::Noted noted;

  [[nodiscard]] bool has_unread() const noexcept { return unread_begin < unread.size(); }
  [[nodiscard]] std::span<char> unread_bytes() noexcept { return std::span(unread).subspan(unread_begin); }
};

class ClientConnection final : public loop::Stream, public loop::Poller::Subscriber, public AutoUnlinkHook {
 public:
  ClientConnection(Clients& clients, base::Descriptor socket, const PeerAddress& peer,
                   std::uint16_t listener);
  ~ClientConnection();

  // loop::Stream
  void send(loop::Buffer bytes) override;
  void send_all(loop::LongFifo<loop::Buffer> frames, std::size_t bytes) override;
  void send_file(loop::FileRange range) override;
  void finish() override;
  void abort() override;
  void drop_unsent() override;
  [[nodiscard]] std::size_t unsent_bytes() const noexcept override { return unsent_; }
  [[nodiscard]] std::size_t unread_bytes() const noexcept override {
    return backlog_ == nullptr ? 0 : backlog_->unread.size() - backlog_->unread_begin;
  }
  [[nodiscard]] bool can_travel() const noexcept override;
  [[nodiscard]] bool closing() const noexcept override { return state_ != State::Open; }
  void pause_reading(bool paused) override;
  [[nodiscard]] std::string peer_address() const override { return peer_.text(); }
  [[nodiscard]] bool may_go_on(std::uint32_t units) override;
  void charge(std::uint32_t units) override;
  void expect(std::size_t bytes) override;
  void discount(std::size_t bytes) override;
  void hold(std::ptrdiff_t bytes) override;
  void set_waiting(Waiting what) override;

  void on_ready(std::uint32_t events) override;

  /// Inside on_bytes: the bytes from `unread` on belong to somebody else than the receiver being called (its
  /// return value means nothing then). They go to the receiver set now, or, if `to` is given, travel there
  /// with the socket.
  void take_from(const char* unread, Destination to = {}) noexcept;
  /// A relayed request: the stream ends when its connection would wait for the next one.
  void serve_one_request() noexcept { one_request_ = true; }
  [[nodiscard]] bool serves_one_request() const noexcept { return one_request_; }

  /// Everything that the connection is, for another process to go on with. It is taken away from here: no
  /// receiver hears of it any more. Not from inside a call of its receiver, and not while closing().
  struct Detached {
    base::Descriptor socket;
    std::string unread;  ///< received and not consumed
    std::string unsent;  ///< queued and not taken by the kernel
  };
  [[nodiscard]] Detached detach();
  [[nodiscard]] const PeerAddress& peer() const noexcept { return peer_; }
  /// The PROXY protocol header has named the client.
  void set_peer_by_proxy(const PeerAddress& peer) noexcept {
    peer_ = peer;
    peer_by_proxy_ = true;
  }
  [[nodiscard]] bool peer_by_proxy() const noexcept { return peer_by_proxy_; }
  /// Its new sessions stay here: another slot has chosen this one.
  void set_placed() noexcept { placed_ = true; }
  [[nodiscard]] bool placed() const noexcept { return placed_; }
  /// At a taker: the givers that do not have the session of its next request, as a number that the process
  /// gives them in their order: those up to this one. At a giver: not 0 if the taker has asked.
  void set_asked(std::uint32_t giver) noexcept {
    asked_ = static_cast<std::uint16_t>(std::min<std::uint32_t>(giver, 0xffff));
  }
  [[nodiscard]] std::uint32_t asked() const noexcept { return asked_; }
  /// Its next request has waited for what the supervisor has to say.
  void set_waited(bool waited) noexcept { waited_ = waited; }
  [[nodiscard]] bool waited() const noexcept { return waited_; }
  /// It is one of its address's connections in the table of Admission, until it ends.
  void set_counted() noexcept { counted_ = true; }
  [[nodiscard]] bool counted() const noexcept { return counted_; }
  [[nodiscard]] std::uint16_t listener() const noexcept { return listener_; }
  [[nodiscard]] bool paused() const noexcept { return paused_; }

 private:
  friend class Clients;

  /// Open: reads and writes. Leaving: writes what is queued, then travels. Finishing: writes what is queued.
  /// Lingering: all is written and our end is shut; reads to the peer's end so that it sees our last bytes
  /// instead of a reset. Dead: out of every list but those of the turn; leaves when it is buried.
  enum class State : std::uint8_t { Open, Leaving, Finishing, Lingering, Dead };

  /// All: nothing is left. KernelFull: the socket takes no more. Later: it would, but others come first.
  enum class Written : std::uint8_t { All, KernelFull, Later };

  void read();
  void deliver(std::span<char> fresh);
  std::size_t feed(std::span<char> bytes);
  void keep_unread(std::span<char> rest);
  void put_back(std::vector<char> bytes, std::size_t begin);
  void make_room_for_expected(Backlog& kept) const;
  void after_visit();
  void resume_reading();
  [[nodiscard]] bool moves() const noexcept { return moves_ != Destination::To::Nowhere; }
  void leave(std::span<char> unread);
  void move_away(std::string_view unread);
  void end_of_input();
  void discard_input();
  void make_dirty();
  [[nodiscard]] bool has_room();
  [[nodiscard]] std::size_t owed_bytes() const noexcept;
  Written write();
  bool write_many();
  Written write_file(std::uint64_t& allowed);
  [[nodiscard]] bool has_file() const noexcept { return backlog_ != nullptr && !backlog_->files.empty(); }
  [[nodiscard]] bool is_file_mark(const loop::Buffer& frame) const noexcept;
  bool send_now(std::string_view bytes);
  bool note_written(ssize_t written, std::size_t wanted);
  void drop_written(std::size_t written);
  void count_moved(std::size_t bytes) noexcept;
  void note_answers();
  Backlog& backlog();
  void drop_empty_backlog();
  void note_account();
  void die(int error) noexcept;
  void watch(std::uint32_t events) noexcept;

  // What a broadcast touches stands together: with thousands of connections, each cache line counts.
  Clients& clients_;
  loop::Buffer first_;
  std::unique_ptr<Backlog> backlog_;
  std::size_t unsent_ = 0;
  base::Descriptor socket_;
  std::uint32_t sent_of_first_ = 0;
  std::uint32_t moved_ = 0;          ///< bytes of the body, or of the answer, since its time-out began to run
  std::uint32_t waiting_since_ = 0;  ///< Clients::milliseconds()
  PeerAddress peer_;
  std::uint16_t watched_ = 0;  ///< EPOLLIN, EPOLLOUT, EPOLLRDHUP
  std::uint16_t listener_;
  std::uint16_t to_slot_ = 0;  ///< with the two bits below: where it travels
  std::uint16_t asked_ = 0;
  State state_ : 3 = State::Open;
  Waiting waiting_ : 3 = Waiting::Nothing;
  bool dirty_ : 1 = false;
  bool paused_ : 1 = false;
  bool told_unwritable_ : 1 = false;
  bool redeliver_ : 1 = false;
  bool taken_away_ : 1 = false;
  bool one_request_ : 1 = false;
  bool peer_by_proxy_ : 1 = false;
  bool placed_ : 1 = false;
  Destination::To moves_ : 2 = Destination::To::Nowhere;
  bool opens_session_ : 1 = false;
  bool waited_ : 1 = false;
  bool yields_ : 1 = false;          ///< its receiver was told to wait for the next turn
  bool waits_for_room_ : 1 = false;  ///< reads nothing until its answers are taken
  bool taking_ : 1 = false;          ///< an answer is being taken: counts as Clients::kTaking
  bool counted_ : 1 = false;
  std::uint8_t error_ = 0;  ///< errno at its end; Linux has none above 133
};

// There is one for each client, and the allocator's next size is 160.
static_assert(sizeof(ClientConnection) <= 128);

}  // namespace limpet::client
