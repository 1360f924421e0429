// Every message between processes as a plain struct. schema/limpet.capnp is the wire format and the manual;
// ipc/messages/codec.h is the only door between the two. Descriptors travel beside a message, in the order
// named here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace limpet::ipc {

/// Grows when an older peer could not understand a newer one. Both sides say theirs first.
inline constexpr std::uint32_t kProtocolVersion = 1;

/// What a build knows, beside the first protocol: each side says its level in its first message, and is sent
/// nothing that is of a higher one, for an upgrade joins builds of different age. Whoever adds a message, a
/// field that matters or a kind of record makes this higher, and says here what it is.
///   0  builds that do not say
///   1  Knows
///   2  Signalled, GoOn, Leave
inline constexpr std::uint32_t kLevel = 2;
inline constexpr std::uint32_t kLevelOfSignals = 2;

/// One life of one worker. `generation` only grows, over all slots.
struct Incarnation {
  std::uint16_t slot = 0;
  std::uint16_t lane = 0;
  std::uint64_t generation = 0;
  bool operator==(const Incarnation&) const = default;
};

// ---- worker to supervisor, on the control channel ----

/// First message of a worker. Descriptors: ring, reader page, counters (sealed memfds), doorbell (eventfd).
struct Hello {
  std::uint32_t protocol_version = kProtocolVersion;
  std::string build{};
  Incarnation who{};
  std::uint32_t level = kLevel;
};
/// The application is set up and every ring is attached: the seat may come.
struct Ready {};
/// The worker cannot start, and will exit: one line for the obituary.
struct Failed {
  std::string reason{};
};
/// Answer to Drain and Migrate, now and then: sessions still here.
struct DrainProgress {
  std::uint64_t sessions_left = 0;
  std::uint64_t moved = 0;    ///< taken by the successor, so far
  std::uint64_t drained = 0;  ///< closed instead, so far
};
/// Nothing is left here; exits with 0 as soon as the channel has taken this.
struct Leaving {
  std::uint64_t moved = 0;
  std::uint64_t drained = 0;
};

/// The end of a MoveBuckets: no session of a bucket of that slot is left here.
struct BucketsMoved {
  std::uint16_t to_slot = 0;
  std::uint64_t moved = 0;
  std::uint64_t drained = 0;
};

/// Somebody has sent SIGTERM to the worker: it asks to be replaced, and goes on meanwhile. Answer: GoOn.
/// Without one it drains by itself. To supervisors of level 2.
struct Signalled {};

using WorkerMessage = std::variant<Hello, Ready, Failed, DrainProgress, Leaving, BucketsMoved, Signalled>;

// ---- supervisor to worker ----

/// Answer to Hello, after one PeerJoined for each ring there is: attach is complete, set up the application.
struct Welcome {
  std::uint32_t protocol_version = kProtocolVersion;
  std::uint32_t level = kLevel;
};
/// The supervisor's level from now on: 0 before another build takes its place, its own once it has. To
/// workers of level 1.
struct Knows {
  std::uint32_t level = kLevel;
};
/// A worker (or bridge) joined. Descriptors: ring, reader page, doorbell.
struct PeerJoined {
  Incarnation who{};
};
/// That worker's process is gone (its ring's tail is final): read its ring to the end, then unmap.
struct PeerLeft {
  Incarnation who{};
};
/// Accept from the slot's listening sockets and read its inbox, from now on.
struct TakeSeat {};
/// Stop both.
struct GiveUpSeat {};
/// Stop accepting, close every session's transport spread evenly over `window`, say Leaving and exit; what is
/// still open at `deadline` (from now) is closed at once.
struct Drain {
  std::chrono::milliseconds window{0};
  std::chrono::milliseconds deadline{0};
};

/// Before anything else: the sessions of the worker that has the seat will come here. Descriptor: the taker's
/// end of the migration stream.
struct Succeed {};
/// A Drain that moves sessions to the successor, which is seated. What cannot move is drained over `window`,
/// so that nothing is left at `deadline`. Descriptor: the giver's end of the migration stream.
struct Migrate {
  std::chrono::milliseconds window{0};
  std::chrono::milliseconds deadline{0};
};

/// Buckets of `from_slot` are about to become this slot's, and their sessions come here. Until the stream
/// says complete or ends, what is asked of a session that is not here yet waits for it. Descriptor: the
/// taker's end.
struct ExpectSessions {
  std::uint16_t from_slot = 0;
};
/// The sessions whose buckets the table now gives to `to_slot` move there; everything else stays as it is.
/// What cannot move is drained, as with Migrate. Answer: BucketsMoved. Descriptor: the giver's end.
struct MoveBuckets {
  std::uint16_t to_slot = 0;
  std::chrono::milliseconds window{0};
  std::chrono::milliseconds deadline{0};
};
/// A slot without a worker: accept what waits at its listening sockets and read its inbox, beside one's own.
/// Descriptors: its inbox, then its listening sockets, as in the heritage.
struct BorrowSlot {
  std::uint16_t slot = 0;
};
/// It has a worker again, or another heir: stop that.
struct ReturnSlot {
  std::uint16_t slot = 0;
};

/// Answer to Signalled: go on, another will take your place. To workers of level 2.
struct GoOn {};
/// Exit, now. To workers of level 2.
struct Leave {};

using SupervisorMessage =
    std::variant<Welcome, PeerJoined, PeerLeft, TakeSeat, GiveUpSeat, Drain, Succeed, Migrate, ExpectSessions,
                 MoveBuckets, BorrowSlot, ReturnSlot, Knows, GoOn, Leave>;

// ---- between workers, on inboxes ----

/// A datagram of a socket with the default buffer takes it, beside addresses.
inline constexpr std::size_t kHandoverLimitBytes = 48u << 10;

/// What the receiver of a handover gets.
enum class HandoverKind : std::uint8_t {
  Connection,  ///< the client's own socket: the receiver owns it from now on
  Request,     ///< one end of a stream socketpair that carries one request: answer, then close
};
/// One connection or request for a session that the receiving slot owns, or is to have. Descriptor: the
/// socket. `bytes`: read and not acted on, from the first byte of the request's head.
struct Handover {
  HandoverKind kind = HandoverKind::Connection;
  std::string client_address{};  ///< as Socket.IO's handshake.address shows it
  std::uint16_t client_port = 0;
  std::uint16_t listener = 0;  ///< index of the listening address that accepted it
  std::string bytes{};         ///< ≤ kHandoverLimitBytes
  bool placed = false;         ///< opens a new session, which stays with the receiver
  bool by_proxy = false;       ///< the PROXY protocol has named the client
};

// ---- limpet ctl to supervisor and back, on the control socket ----

struct StatusRequest {};
struct StatsRequest {};
struct ReloadRequest {};
struct UpgradeRequest {};
struct ScaleRequest {
  std::uint16_t workers = 0;
};
struct StopRequest {
  bool at_once = false;
};
struct CtlHello {
  std::uint32_t protocol_version = kProtocolVersion;
};
using CtlRequest = std::variant<CtlHello, StatusRequest, StatsRequest, ReloadRequest, StopRequest,
                                UpgradeRequest, ScaleRequest>;

struct WorkerStatus {
  std::uint16_t slot = 0;
  std::uint16_t lane = 0;
  std::uint64_t generation = 0;
  std::uint32_t pid = 0;
  std::string state{};  ///< a state of the life-cycle table
  bool seated = false;
  std::chrono::milliseconds age{0};
  std::chrono::milliseconds since_beat{0};
  std::uint64_t sessions = 0;
};
struct SlotStatus {
  std::uint16_t slot = 0;
  std::string state{};  ///< "serving", "starting", "back-off", "routed around", "reloading", "closing"
  std::uint64_t deaths = 0;
  std::chrono::milliseconds next_start{0};  ///< of a slot in back-off: from now
  std::string last_obituary{};
  std::vector<WorkerStatus> workers{};
};
struct StatusReply {
  std::string version{};
  std::uint32_t pid = 0;
  std::chrono::milliseconds uptime{0};
  std::string application{};
  std::string runtime_dir{};
  std::string operation{};  ///< "", "reload since 12.3 s", "stopping since …"
  std::vector<std::string> listeners{};
  std::vector<SlotStatus> slots{};
  std::string binary{};  ///< the supervisor's own file: "/srv/app/current/limpet -> /srv/app/7/limpet"
};
struct CounterReport {
  std::string name{};
  std::string unit{};
  std::string help{};
  bool is_gauge = false;
  std::uint64_t total = 0;
  std::vector<std::uint64_t> by_slot{};
};
struct StatsReply {
  std::vector<CounterReport> counters{};
};
/// A line about an operation under way; more replies follow.
struct Progress {
  std::string line{};
};
/// The last reply of an operation. `exit_code` is that of `limpet ctl`.
struct Done {
  std::uint8_t exit_code = 0;
  std::string line{};
};
using CtlReply = std::variant<CtlHello, StatusReply, StatsReply, Progress, Done>;

}  // namespace limpet::ipc
