// The life of a worker as a table: for each state and each event, where it leads and why. Pure; the only
// place that knows. Worker::happen() alone assigns a state, by this table. The compiler checks that each pair
// is there exactly once and that each state can be reached. `Impossible` means: our own books contradict
// themselves if it happens.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace limpet::supervisor {

// id, name
#define LIMPET_WORKER_STATES(ROW)                                                             \
  ROW(Spawned, "spawned")     /* exec'd; has not said hello */                                \
  ROW(Attaching, "attaching") /* said hello: attaches to rings, sets up the application */    \
  ROW(Ready, "ready")         /* could serve; has no seat */                                  \
  ROW(Serving, "serving")     /* seated: accepts, reads the inbox of its slot */              \
  ROW(Draining, "draining")   /* has given up the seat, or never had it; ends its sessions */ \
  ROW(Stopping, "stopping")   /* was sent a signal that ends it */                            \
  ROW(Dead, "dead")           /* reaped */

// id, name
#define LIMPET_WORKER_EVENTS(ROW)                                                  \
  ROW(SaysHello, "hello")                                                          \
  ROW(SaysReady, "ready")                                                          \
  ROW(IsSeated, "takes the seat")                                                  \
  ROW(IsToDrain, "is to drain")                                                    \
  ROW(IsToStop, "is to stop") /* deadline, hang, misbehaviour, withdrawal, stop */ \
  ROW(HasEnded, "has ended")  /* its status was taken */

#define LIMPET_ID(id, name) id,
enum class WorkerState : std::uint8_t { LIMPET_WORKER_STATES(LIMPET_ID) kCount };
enum class WorkerEvent : std::uint8_t { LIMPET_WORKER_EVENTS(LIMPET_ID) kCount };
#undef LIMPET_ID

inline constexpr auto kWorkerStates = static_cast<std::size_t>(WorkerState::kCount);
inline constexpr auto kWorkerEvents = static_cast<std::size_t>(WorkerEvent::kCount);

#define LIMPET_NAME(id, name) std::string_view(name),
[[nodiscard]] constexpr std::string_view to_text(WorkerState state) {
  constexpr std::array<std::string_view, kWorkerStates> kNames = {LIMPET_WORKER_STATES(LIMPET_NAME)};
  return kNames[static_cast<std::size_t>(state)];
}
[[nodiscard]] constexpr std::string_view to_text(WorkerEvent event) {
  constexpr std::array<std::string_view, kWorkerEvents> kNames = {LIMPET_WORKER_EVENTS(LIMPET_NAME)};
  return kNames[static_cast<std::size_t>(event)];
}
#undef LIMPET_NAME

/// The inverse; nullopt if this build has no state of that name.
[[nodiscard]] constexpr std::optional<WorkerState> state_named(std::string_view name) {
  for (std::size_t index = 0; index < kWorkerStates; ++index)
    if (to_text(static_cast<WorkerState>(index)) == name) return static_cast<WorkerState>(index);
  return std::nullopt;
}

enum class Verdict : std::uint8_t { Moves, Ignored, Impossible };

struct LifeRow {
  WorkerState state;
  WorkerEvent event;
  Verdict verdict;
  WorkerState next;  ///< == state unless it moves
  std::string_view because;
};

namespace life {

constexpr LifeRow moves(WorkerState state, WorkerEvent event, WorkerState next, std::string_view because) {
  return {state, event, Verdict::Moves, next, because};
}
constexpr LifeRow ignored(WorkerState state, WorkerEvent event, std::string_view because) {
  return {state, event, Verdict::Ignored, state, because};
}
constexpr LifeRow impossible(WorkerState state, WorkerEvent event, std::string_view because) {
  return {state, event, Verdict::Impossible, state, because};
}

using S = WorkerState;
using E = WorkerEvent;

inline constexpr LifeRow kTable[] = {
    moves(S::Spawned, E::SaysHello, S::Attaching, "its memory is known; it is told of its peers"),
    impossible(S::Spawned, E::SaysReady, "message_rules lets no ready pass before hello"),
    impossible(S::Spawned, E::IsSeated, "only a ready worker is seated"),
    impossible(S::Spawned, E::IsToDrain, "it has no session: it is stopped"),
    moves(S::Spawned, E::IsToStop, S::Stopping, "nothing is lost"),
    moves(S::Spawned, E::HasEnded, S::Dead, "it died while it started"),

    impossible(S::Attaching, E::SaysHello, "message_rules lets no second hello pass"),
    moves(S::Attaching, E::SaysReady, S::Ready, "rings attached, application set up"),
    impossible(S::Attaching, E::IsSeated, "only a ready worker is seated"),
    impossible(S::Attaching, E::IsToDrain, "it has no session: it is stopped"),
    moves(S::Attaching, E::IsToStop, S::Stopping, "nothing is lost"),
    moves(S::Attaching, E::HasEnded, S::Dead, "it died while it started"),

    impossible(S::Ready, E::SaysHello, "message_rules lets no second hello pass"),
    impossible(S::Ready, E::SaysReady, "message_rules lets no second ready pass"),
    moves(S::Ready, E::IsSeated, S::Serving, "the seat is free, or its holder is about to give it up"),
    moves(S::Ready, E::IsToDrain, S::Draining, "it may own sessions that were handed to it"),
    moves(S::Ready, E::IsToStop, S::Stopping, "it is withdrawn, or it hangs"),
    moves(S::Ready, E::HasEnded, S::Dead, "it died in waiting"),

    impossible(S::Serving, E::SaysHello, "message_rules lets no second hello pass"),
    impossible(S::Serving, E::SaysReady, "message_rules lets no second ready pass"),
    impossible(S::Serving, E::IsSeated, "it has the seat"),
    moves(S::Serving, E::IsToDrain, S::Draining, "a successor serves, or everything stops"),
    moves(S::Serving, E::IsToStop, S::Stopping, "it hangs, it misbehaved, or everything stops at once"),
    moves(S::Serving, E::HasEnded, S::Dead, "it died in service"),

    impossible(S::Draining, E::SaysHello, "message_rules lets no second hello pass"),
    impossible(S::Draining, E::SaysReady, "message_rules lets no second ready pass"),
    impossible(S::Draining, E::IsSeated, "who gave up the seat never gets it back"),
    ignored(S::Draining, E::IsToDrain, "it drains, by its first deadline"),
    moves(S::Draining, E::IsToStop, S::Stopping, "the deadline, a hang, or a stop at once"),
    moves(S::Draining, E::HasEnded, S::Dead, "it has left"),

    impossible(S::Stopping, E::SaysHello, "message_rules ignores whatever it says"),
    impossible(S::Stopping, E::SaysReady, "message_rules ignores whatever it says"),
    impossible(S::Stopping, E::IsSeated, "only a ready worker is seated"),
    ignored(S::Stopping, E::IsToDrain, "it is about to end"),
    ignored(S::Stopping, E::IsToStop, "the signal is sent; SIGKILL follows by itself"),
    moves(S::Stopping, E::HasEnded, S::Dead, "as it was told"),

    impossible(S::Dead, E::SaysHello, "its channel is closed"),
    impossible(S::Dead, E::SaysReady, "its channel is closed"),
    impossible(S::Dead, E::IsSeated, "only a ready worker is seated"),
    impossible(S::Dead, E::IsToDrain, "the dead are in no list"),
    impossible(S::Dead, E::IsToStop, "the dead are in no list"),
    impossible(S::Dead, E::HasEnded, "a status is taken once"),
};

constexpr bool each_pair_is_there_once() {
  for (std::size_t state = 0; state < kWorkerStates; ++state) {
    for (std::size_t event = 0; event < kWorkerEvents; ++event) {
      int rows = 0;
      for (const LifeRow& row : kTable) {
        rows += row.state == static_cast<S>(state) && row.event == static_cast<E>(event) ? 1 : 0;
      }
      if (rows != 1) return false;
    }
  }
  return true;
}

constexpr bool each_state_is_reachable() {
  std::array<bool, kWorkerStates> reached{};
  reached[static_cast<std::size_t>(S::Spawned)] = true;
  for (std::size_t round = 0; round < kWorkerStates; ++round) {
    for (const LifeRow& row : kTable) {
      if (reached[static_cast<std::size_t>(row.state)]) reached[static_cast<std::size_t>(row.next)] = true;
    }
  }
  for (const bool each : reached) {
    if (!each) return false;
  }
  return true;
}

constexpr bool rows_say_what_they_do() {
  for (const LifeRow& row : kTable) {
    if (row.because.empty() || (row.verdict == Verdict::Moves) == (row.state == row.next)) return false;
  }
  return true;
}

static_assert(each_pair_is_there_once(), "a (state, event) pair is missing, or there twice");
static_assert(each_state_is_reachable(), "a state that no worker can be in");
static_assert(rows_say_what_they_do(),
              "a row moves nowhere, moves although it says it does not, or gives no reason");

}  // namespace life

[[nodiscard]] constexpr const LifeRow& life_row(WorkerState state, WorkerEvent event) {
  for (const LifeRow& row : life::kTable) {
    if (row.state == state && row.event == event) return row;
  }
  return life::kTable[0];  // not reached: each_pair_is_there_once
}

}  // namespace limpet::supervisor
