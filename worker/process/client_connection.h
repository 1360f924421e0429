// One client's socket as an http::Stream: non-blocking reads and writes of our own, bytes that nobody has
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

#include "ipc/descriptor.h"
#include "worker/http/clock.h"
#include "worker/http/stream.h"
#include "worker/process/peer_address.h"
#include "worker/process/poller.h"

namespace limpet::process {

class Clients;

/// No slot: a worker that still has sessions of this one.
inline constexpr std::uint16_t kGiver = 0xfffe;

class ClientConnection final
    : public http::Stream,
      public Poller::Subscriber,
      public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  ClientConnection(Clients& clients, ipc::Descriptor socket, const PeerAddress& peer, std::uint16_t listener);
  ~ClientConnection();

  // http::Stream
  void send(http::Buffer bytes) override;
  void finish() override;
  void abort() override;
  [[nodiscard]] std::size_t unsent_bytes() const noexcept override { return unsent_; }
  [[nodiscard]] bool closing() const noexcept override { return state_ != State::Open; }
  void pause_reading(bool paused) override;
  [[nodiscard]] std::string peer_address() const override { return peer_.text(); }
  [[nodiscard]] bool may_go_on(std::uint32_t units) override;
  void set_waiting(Waiting what) override;

  void on_ready(std::uint32_t events) override;

  /// Inside on_bytes: the bytes from `unread` on belong to somebody else than the receiver being called (its
  /// return value means nothing then). They go to the receiver set now, or, if `to_slot` is given, travel
  /// there with the socket.
  void take_from(const char* unread, std::optional<std::uint16_t> to_slot = std::nullopt) noexcept;
  /// Before take_from(): the request that makes it travel opens a session.
  void set_places_session() noexcept { places_session_ = true; }
  [[nodiscard]] bool places_session() const noexcept { return places_session_; }
  /// A relayed request: the stream ends when its connection would wait for the next one.
  void serve_one_request() noexcept { one_request_ = true; }
  [[nodiscard]] bool serves_one_request() const noexcept { return one_request_; }

  /// Everything that the connection is, for another process to go on with. It is taken away from here: no
  /// receiver hears of it any more. Not from inside a call of its receiver, and not while closing().
  struct Detached {
    ipc::Descriptor socket;
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
  [[nodiscard]] std::uint16_t listener() const noexcept { return listener_; }
  [[nodiscard]] bool paused() const noexcept { return paused_; }

 private:
  friend class Clients;

  /// Open: reads and writes. Leaving: writes what is queued, then travels. Finishing: writes what is queued.
  /// Lingering: all is written and our end is shut; reads to the peer's end so that it sees our last bytes
  /// instead of a reset. Dead: leaves at the end of the turn.
  enum class State : std::uint8_t { Open, Leaving, Finishing, Lingering, Dead };
  static constexpr std::uint16_t kStays = 0xffff;

  /// Frames behind the first one; allocated only while more than one waits.
  struct Queue {
    std::vector<http::Buffer> frames;
  };

  void read();
  void deliver(std::span<char> fresh);
  std::size_t feed(std::span<char> bytes);
  void keep_unread(std::span<char> rest);
  void leave(std::span<char> unread);
  void move_away(std::string_view unread);
  void end_of_input();
  void discard_input();
  /// Writes what the socket takes; false if something is left.
  bool write();
  bool write_many();
  bool note_written(ssize_t written, std::size_t wanted);
  void drop_written(std::size_t written);
  void die(int error) noexcept;
  void watch(std::uint32_t events) noexcept;

  // What a broadcast touches stands together: with thousands of connections, each cache line counts.
  Clients& clients_;
  http::Buffer first_;
  std::unique_ptr<Queue> rest_;
  std::uint32_t unsent_ = 0;  ///< bounded by the send queue's limit
  ipc::Descriptor socket_;
  std::uint32_t sent_of_first_ = 0;
  std::uint32_t watched_ = 0;
  State state_ = State::Open;
  Waiting waiting_ = Waiting::Nothing;
  bool dirty_ : 1 = false;
  bool paused_ : 1 = false;
  bool told_unwritable_ : 1 = false;
  bool redeliver_ : 1 = false;
  bool taken_away_ : 1 = false;
  bool one_request_ : 1 = false;
  bool peer_by_proxy_ : 1 = false;
  bool placed_ : 1 = false;
  bool places_session_ : 1 = false;  ///< travels because of a new session
  bool waited_ : 1 = false;
  std::uint16_t listener_;
  std::uint16_t moving_to_ = kStays;
  std::unique_ptr<std::vector<char>> unread_;
  http::TimePoint waiting_since_{};
  PeerAddress peer_;
  std::int16_t error_ = 0;  ///< errno at its end
  std::uint16_t asked_ = 0;
};

}  // namespace limpet::process
