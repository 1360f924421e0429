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
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "worker/engineio/session.h"
#include "worker/engineio/session_image.h"
#include "worker/http/server.h"
#include "worker/loop/accounts.h"
#include "worker/loop/allowance.h"
#include "worker/loop/clock.h"

namespace limpet::engineio {

struct Options {
  /// With both slashes. A request belongs to Engine.IO if its target begins with this (as Node's does).
  std::string path = "/socket.io/";
  std::chrono::milliseconds ping_interval{25'000};
  std::chrono::milliseconds ping_timeout{20'000};
  std::chrono::milliseconds upgrade_timeout{10'000};
  std::size_t max_payload_bytes = 1'000'000;
  bool polling = true;
  bool websocket = true;
  bool allow_upgrades = true;
  /// What may wait for a client's next poll, a single emit apart; see send_stall.
  std::size_t max_queued_bytes = 16 * 1024 * 1024;
  /// A session with more than that is ended when no poll has taken anything for so long; at once with four
  /// times as much.
  std::chrono::milliseconds send_stall{5000};
  bool operator==(const Options&) const = default;
};

/// What the process layer supplies.
struct Hooks {
  /// Fills in a new sid: 20 characters of [A-Za-z0-9_-], unguessable, never one that is in use. Required.
  std::function<void(std::span<char, base::kIdBytes>)> new_sid;
  /// Wall-clock time in ms since 1970. Default: the system's.
  std::function<std::int64_t()> wall_clock_ms;
  /// Refuses a handshake with 403 and code 4: the message ("" means "Forbidden"), or nothing if allowed.
  /// Optional.
  std::function<std::optional<std::string>(const http::RequestHead&)> refuse;
  /// Chooses the WebSocket subprotocol of those that a client offers, one at least; "": none. Optional:
  /// without it the first one.
  std::function<std::string(std::span<const std::string_view> offered)> choose_protocol = {};
  /// Where the memory of sessions is counted. Null: nowhere that anybody looks.
  loop::MemoryTotal* memory = nullptr;
};

/// Engine.IO's error codes.
enum class ErrorCode : std::uint8_t {
  UnknownTransport = 0,
  UnknownSid = 1,
  BadHandshakeMethod = 2,
  BadRequest = 3,
  Forbidden = 4,
  UnsupportedProtocolVersion = 5,
};
inline constexpr std::size_t kErrorCodes = 6;
inline constexpr std::size_t kCloseReasons = 6;

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

/// A session that has left this process, and the streams that go with it. They have no receiver any more.
struct Departure {
  SessionImage image;
  loop::Stream* websocket = nullptr;
  loop::Stream* poll = nullptr;  ///< that of the parked GET
  std::string poll_request;      ///< asks again what it asked: goes in front of its unread bytes
};

/// One look at every session, in pieces (go_round). Who was there at its start and stays is met; who comes
/// while it lasts may be met or not.
struct Round {
  std::uint32_t part = 0;   ///< of the table of sessions,
  std::uint32_t chain = 0;  ///< and what of it comes next
  std::size_t seen = 0;     ///< sessions looked at so far
  bool over = false;
};

/// The sid a request names, if it is well formed (20 characters of [A-Za-z0-9_-]). Looks at the query only:
/// whether the request is Engine.IO's at all is Server::matches().
[[nodiscard]] std::optional<std::string_view> sid_of(const http::RequestHead& head) noexcept;

class Core;

class Server {
 public:
  Server(Options options, const loop::Clock& clock, SessionHandler& handler, Hooks hooks);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  /// Frees the sessions without on_close.
  ~Server();

  /// Is this request Engine.IO's?
  [[nodiscard]] bool matches(const http::RequestHead& head) const noexcept;
  /// For RequestHandler::body_limit.
  [[nodiscard]] std::size_t body_limit() const noexcept;
  /// For RequestHandler::on_body_awaited, if matches(): finds posts that overlap.
  [[nodiscard]] std::unique_ptr<http::AwaitedBody> on_body_awaited(const http::RequestHead& head);
  /// Handles a request for which matches() holds: polls, posts, WebSocket handshakes, and what is wrong with
  /// them.
  void on_request(http::Exchange exchange, const http::Request& request);

  /// Once per loop turn, behind the reads and before the writes: reports sessions that ended, answers polls
  /// with what was queued in this turn, sends heartbeats, ends what is overdue.
  /// Takes one unit of `allowance` for each of them; what that does not suffice for is done in the next turn.
  void tick(loop::Allowance& allowance);
  /// When tick() has something to do next: the clock's now (or before) if at once, nothing if it has only to
  /// be called when something else happens.
  [[nodiscard]] std::optional<loop::TimePoint> next_deadline() const noexcept;

  /// An open session, or nullptr.
  [[nodiscard]] Session* find(std::string_view sid) noexcept;
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
                                               const std::function<bool(const Session&)>& which) const;
  /// It can leave now: no post is half here, no upgrade under way, the stream is not ending.
  [[nodiscard]] bool can_depart(const Session& session) const noexcept;
  /// What goes with it, about: queues, parts of messages, what the layer above holds.
  [[nodiscard]] std::size_t bytes_of(const Session& session) const noexcept;
  /// One that can_depart(). The session is gone behind this, without on_close.
  [[nodiscard]] Departure depart(Session& session);
  /// The inverse, in another process, without on_open. `stream`: the WebSocket; null: polling. Null, and
  /// nothing has happened, if the sid is there already.
  [[nodiscard]] Session* arrive(SessionImage image, loop::Stream* stream);
  /// Is there a session of that sid, open or not?
  [[nodiscard]] bool knows(std::string_view sid) const noexcept;

  [[nodiscard]] std::size_t session_count() const noexcept;
  /// Closed polling sessions that wait for their client's next poll, to tell it so.
  [[nodiscard]] bool has_lingering() const noexcept;
  [[nodiscard]] const Counts& counts() const noexcept;
  /// What waits for the next poll of the session that has most; 0: none has much.
  [[nodiscard]] std::size_t largest_bytes() const noexcept;
  /// Ends that session. Only if there is one.
  void shed_largest();
  /// Of queues that nobody wants any more, and that will be freed as soon as there is time.
  [[nodiscard]] std::size_t released_bytes() const noexcept;

 private:
  std::unique_ptr<Core> core_;
};

}  // namespace limpet::engineio
