// What a supervisor and a worker say to each other on a control channel, as plain structs; the table of these
// messages; and the one door between them and their bytes (law 9). schema/limpet.capnp is the wire format and
// the manual. Descriptors travel beside a message, in the order named here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "ipc/birth/incarnation.h"
#include "ipc/messages/channel.h"
#include "ipc/messages/version.h"

namespace limpet::ipc {

// ---- worker to supervisor ----

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
/// Without one it drains by itself.
struct Signalled {};

using WorkerMessage = std::variant<Hello, Ready, Failed, DrainProgress, Leaving, BucketsMoved, Signalled>;

// ---- supervisor to worker ----

/// Answer to Hello, after one PeerJoined for each ring there is: attach is complete, set up the application.
struct Welcome {
  std::uint32_t protocol_version = kProtocolVersion;
  std::uint32_t level = kLevel;
};
/// The supervisor's level from now on: 0 before another build takes its place, its own once it has.
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
/// A closed slot: accept what waits at its listening sockets and read its inbox, beside one's own.
/// Descriptors: its inbox, then its listening sockets, as in the heritage.
struct BorrowSlot {
  std::uint16_t slot = 0;
};
/// It has been opened again, or has another heir: stop that.
struct ReturnSlot {
  std::uint16_t slot = 0;
};

/// Answer to Signalled: go on, another will take your place.
struct GoOn {};
/// Exit, now.
struct Leave {};

using SupervisorMessage =
    std::variant<Welcome, PeerJoined, PeerLeft, TakeSeat, GiveUpSeat, Drain, Succeed, Migrate, ExpectSessions,
                 MoveBuckets, BorrowSlot, ReturnSlot, Knows, GoOn, Leave>;

// ---- the table ----

// What holds for a message wherever it is met. In which state of its life a worker may say one, and who takes
// it, is a row of the receiver. The codec is made of these rows: a message without one, and a member of the
// schema's union without one, do not compile.
// struct, which names it in refusals; its member in the union of the schema; level of builds that know it;
// descriptors, from and to
#define LIMPET_WORKER_MESSAGES(ROW)           \
  ROW(Hello, HELLO, 0, 4, 4)                  \
  ROW(Ready, READY, 0, 0, 0)                  \
  ROW(Failed, FAILED, 0, 0, 0)                \
  ROW(DrainProgress, DRAIN_PROGRESS, 0, 0, 0) \
  ROW(Leaving, LEAVING, 0, 0, 0)              \
  ROW(BucketsMoved, BUCKETS_MOVED, 0, 0, 0)   \
  ROW(Signalled, SIGNALLED, 2, 0, 0)

#define LIMPET_SUPERVISOR_MESSAGES(ROW)                                                     \
  ROW(Welcome, WELCOME, 0, 0, 0)                                                            \
  ROW(PeerJoined, PEER_JOINED, 0, 3, 3)                                                     \
  ROW(PeerLeft, PEER_LEFT, 0, 0, 0)                                                         \
  ROW(TakeSeat, TAKE_SEAT, 0, 0, 0)                                                         \
  ROW(GiveUpSeat, GIVE_UP_SEAT, 0, 0, 0)                                                    \
  ROW(Drain, DRAIN, 0, 0, 0)                                                                \
  ROW(Succeed, SUCCEED, 0, 1, 1)                                                            \
  ROW(Migrate, MIGRATE, 0, 1, 1)                                                            \
  ROW(ExpectSessions, EXPECT_SESSIONS, 0, 1, 1)                                             \
  ROW(MoveBuckets, MOVE_BUCKETS, 0, 1, 1)                                                   \
  ROW(BorrowSlot, BORROW_SLOT, 0, 2, kDescriptorsLimit) /* one listening socket at least */ \
  ROW(ReturnSlot, RETURN_SLOT, 0, 0, 0)                                                     \
  ROW(Knows, KNOWS, 1, 0, 0)                                                                \
  ROW(GoOn, GO_ON, 2, 0, 0)                                                                 \
  ROW(Leave, LEAVE, 2, 0, 0)

template <class Message>
struct ControlRow {
  std::string_view name;
  std::uint32_t level;
  std::size_t least_descriptors;
  std::size_t most_descriptors;
};

#define LIMPET_ROW(Message, member, level, least, most) ControlRow<Message>{#Message, level, least, most},
inline constexpr std::tuple kControlRows = {LIMPET_WORKER_MESSAGES(LIMPET_ROW)
                                                LIMPET_SUPERVISOR_MESSAGES(LIMPET_ROW)};
#undef LIMPET_ROW

template <class Message>
[[nodiscard]] constexpr const ControlRow<Message>& control_row() noexcept {
  return std::get<ControlRow<Message>>(kControlRows);
}
/// Whether a peer that has said `level` knows it. To one that does not it is not sent.
template <class Message>
[[nodiscard]] constexpr bool is_known_at(std::uint32_t level) noexcept {
  return level >= control_row<Message>().level;
}

// ---- the door ----

[[nodiscard]] std::vector<std::byte> encode(const WorkerMessage& message);
[[nodiscard]] std::vector<std::byte> encode(const SupervisorMessage& message);

// nullopt, with the reason in `*why` ("unknown message 17", "Hello: wants 4 descriptors, got 3"). Never
// throw, and range-check everything. Descriptors are counted here and stay in the datagram.
[[nodiscard]] std::optional<WorkerMessage> decode_worker_message(const Datagram& datagram, std::string* why);
[[nodiscard]] std::optional<SupervisorMessage> decode_supervisor_message(const Datagram& datagram,
                                                                         std::string* why);

}  // namespace limpet::ipc
