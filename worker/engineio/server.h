// Engine.IO 4: sessions over long-polling and WebSocket, and the upgrade from one to the other. Gets whole
// HTTP requests, gives sessions to a SessionHandler. Owns every session; a session is reachable by its sid
// only.
//
// A session's end is always reported from tick(), never from inside another call, and the object lives until
// then. What an open session knows is plain: sid, handshake head, times, which timer it waits for, queued
// frames, the assembled part of a fragmented message; no closures.
//
// It must outlive the http::Server that feeds it; its own end touches no stream.
//
// All time-outs of one kind have one duration, so each kind is a first-in-first-out list: O(1) per session
// and turn. Those of sessions that arrive are kept with them in a timer wheel.
//
// Made of parts that each own their state, below: what a session holds in memory, its life, its heartbeat,
// what its packets do, the two transports and the way from one to the other, the way to another process, and
// the rules of requests. What two of them must do in one order is done here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "worker/engineio/heartbeats.h"
#include "worker/engineio/incoming.h"
#include "worker/engineio/lives.h"
#include "worker/engineio/moving.h"
#include "worker/engineio/open_session.h"
#include "worker/engineio/options.h"
#include "worker/engineio/polling_transport.h"
#include "worker/engineio/requests.h"
#include "worker/engineio/session.h"
#include "worker/engineio/session_accounts.h"
#include "worker/engineio/session_image.h"
#include "worker/engineio/session_table.h"
#include "worker/engineio/upgrades.h"
#include "worker/engineio/websocket_transport.h"
#include "worker/http/server.h"
#include "worker/loop/allowance.h"
#include "worker/loop/clock.h"

namespace limpet::engineio {

struct Counts {
  std::uint64_t opened = 0;
  std::uint64_t upgraded = 0;
  std::array<std::uint64_t, kCloseReasons> closed{};  ///< by CloseReason
  std::array<std::uint64_t, kErrorCodes> refused{};   ///< by ErrorCode
  std::uint64_t messages_in = 0;
  std::uint64_t pings_sent = 0;
  std::uint64_t overflowed = 0;  ///< sessions ended for four times Options::max_queued_bytes
  std::uint64_t stalled = 0;     ///< sessions ended for Options::send_stall
  std::uint64_t shed = 0;        ///< by shed_largest()
  std::size_t polling = 0;       ///< open sessions whose transport is polling, now
  std::uint64_t departed = 0;    ///< gone to another process; not among `closed`
  std::uint64_t arrived = 0;     ///< come from another process; not among `opened`
};

class Server final : private SessionOwner {
 public:
  Server(Options options, const loop::Clock& clock, SessionHandler& handler, Hooks hooks);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  /// Frees the sessions without on_close.
  ~Server() = default;

  /// Is this request Engine.IO's?
  [[nodiscard]] bool matches(const http::RequestHead& head) const noexcept;
  /// For RequestHandler::body_limit.
  [[nodiscard]] std::size_t body_limit() const noexcept { return options_.max_payload_bytes; }
  /// For RequestHandler::on_body_awaited, if matches(): finds posts that overlap.
  [[nodiscard]] std::unique_ptr<http::AwaitedBody> on_body_awaited(const http::RequestHead& head);
  /// Handles a request for which matches() holds: polls, posts, WebSocket handshakes, and what is wrong with
  /// them.
  void on_request(http::Exchange exchange, const http::Request& request);

  /// Once per loop turn, after the reads and before the writes: reports sessions that ended, answers polls
  /// with what was queued in this turn, sends heartbeats, ends what is overdue.
  /// Takes one unit of `allowance` for each of them; what that does not suffice for is done in the next turn.
  void tick(loop::Allowance& allowance);
  /// When tick() has something to do next: the clock's now (or before) if at once, nothing if it has only to
  /// be called when something else happens.
  [[nodiscard]] std::optional<loop::TimePoint> next_deadline() const noexcept;

  /// An open session, or nullptr.
  [[nodiscard]] Session* find(std::string_view sid) noexcept { return lives_.find_open(sid); }
  /// Ends a session so that its client comes back: WebSocket close 1012 (service restart, RFC 6455
  /// registry), polling `1`.
  /// Never a Socket.IO DISCONNECT. on_close with `reason` follows from tick().
  void close_transport(Session& session, CloseReason reason = CloseReason::ServerShuttingDown);
  /// close_transport for up to `count` open sessions, and no more than `allowance` suffices for; returns how
  /// many are still open.
  std::size_t drain(std::size_t count, loop::Allowance& allowance);
  /// The next sessions of `round` for which `which` is true, open or lingering (closed, and waiting to tell
  /// their client so): about `at_most`, and no more than `allowance` suffices to look for.
  [[nodiscard]] std::vector<Session*> go_round(Round& round, std::size_t at_most, loop::Allowance& allowance,
                                               const std::function<bool(const Session&)>& which) const {
    return lives_.go_round(round, at_most, allowance, which);
  }
  /// It can leave now: no post is half here, no upgrade under way, the stream is not ending.
  [[nodiscard]] bool can_depart(const Session& session) const noexcept;
  /// What goes with it, about: queues, parts of messages, what the layer above holds.
  [[nodiscard]] std::size_t bytes_of(const Session& session) const noexcept;
  /// One that can_depart(). The session is gone after this, without on_close.
  [[nodiscard]] DepartedSession depart(Session& session);
  /// The inverse, in another process, without on_open. `stream`: the WebSocket; null: polling. Null, and
  /// nothing has happened, if the sid is there already.
  [[nodiscard]] Session* arrive(SessionImage image, loop::Stream* stream);
  /// Is there a session of that sid, open or not?
  [[nodiscard]] bool knows(std::string_view sid) const noexcept { return lives_.find(sid) != nullptr; }

  [[nodiscard]] std::size_t session_count() const noexcept { return lives_.counts().open; }
  /// Closed polling sessions that wait for their client's next poll, to tell it so.
  [[nodiscard]] bool has_lingering() const noexcept { return lives_.has_lingering(); }
  [[nodiscard]] Counts counts() const noexcept;
  /// What waits for the next poll of the session that has most; 0: none has much.
  [[nodiscard]] std::size_t largest_bytes() const noexcept { return accounts_.largest_bytes(); }
  /// Ends that session. Only if there is one.
  void shed_largest();
  /// Of queues that nobody wants any more, and that will be freed as soon as there is time.
  [[nodiscard]] std::size_t released_bytes() const noexcept { return accounts_.released_bytes(); }

 private:
  // SessionOwner
  void queue(OpenSession& session, std::span<const loop::Buffer> frames) override;
  void close(OpenSession& session, CloseReason reason) override;
  void note_held(OpenSession& session, std::size_t before, std::ptrdiff_t own_bytes) noexcept override;

  void open_polling(http::Exchange exchange, const http::RequestHead& head, const Query& query);
  void open_websocket(http::Exchange exchange, const http::RequestHead& head, http::Response switching);
  void on_upgrade(http::Exchange exchange, const http::RequestHead& head, OpenSession* session);
  OpenSession& open(const http::Exchange& exchange, const http::RequestHead& head, Transport transport);
  [[nodiscard]] std::string open_packet(const OpenSession& session) const;
  [[nodiscard]] std::string choose_protocol(std::span<const std::string_view> offered) const;

  const Options options_;
  const Hooks hooks_;
  const loop::Clock& clock_;
  // Each knows only such as stand before it.
  SessionAccounts accounts_;
  Lives lives_;
  Heartbeats heartbeats_;
  Incoming incoming_;
  PollingTransport polling_;
  WebSocketTransport websockets_;
  Upgrades upgrades_;
  Moving moving_;
  RequestRules rules_;
  std::array<std::uint64_t, kErrorCodes> refused_{};
  std::uint64_t shed_ = 0;
  bool posts_first_ = false;  ///< in this turn
};

}  // namespace limpet::engineio
