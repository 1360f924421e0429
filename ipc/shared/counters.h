// Counters of a worker in shared memory: one sealed block per worker incarnation, written by that worker
// alone, read by the supervisor (`ctl stats`, heartbeat) even while the worker hangs. One row per counter in
// kCounters; names, help texts and metrics come from there.
//
// Invariants: C1 every word has one writing process. C2 a counter that is not a gauge never decreases within
// a block. C3 `beat` is CLOCK_MONOTONIC in ns of the worker's last loop turn.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "ipc/birth/incarnation.h"

namespace limpet::ipc {

/// Gauges of several workers are added up; of peaks, which a worker only ever raises, the highest counts.
enum class CounterKind : std::uint8_t { Total, Gauge, Peak };

struct CounterRow {
  std::string_view name;
  CounterKind kind;
  std::string_view unit;
  std::string_view help;
};

// id, name, kind, unit, help
#define LIMPET_COUNTERS(ROW)                                                                                \
  ROW(ConnectionsAccepted, "connections_accepted", Total, "connections", "client connections accepted")     \
  ROW(ConnectionsOpen, "connections_open", Gauge, "connections", "client connections open now")             \
  ROW(ConnectionsTimedOut, "connections_timed_out", Total, "connections",                                   \
      "closed for slow header, body or idleness")                                                           \
  ROW(HttpRequests, "http_requests", Total, "requests", "HTTP requests answered here, upgrades included")   \
  ROW(HttpErrors, "http_errors", Total, "requests", "HTTP requests answered with a status of 400 or above") \
  ROW(SessionsOpened, "sessions_opened", Total, "sessions", "Engine.IO sessions opened")                    \
  ROW(SessionsOpen, "sessions_open", Gauge, "sessions", "Engine.IO sessions open now")                      \
  ROW(SessionsPolling, "sessions_polling", Gauge, "sessions",                                               \
      "open sessions whose transport is long-polling")                                                      \
  ROW(SessionsDropped, "sessions_dropped", Total, "sessions",                                               \
      "sessions closed because the client could not keep up")                                               \
  ROW(SessionsRefused, "sessions_refused", Total, "sessions", "sessions closed for a client's mistake")     \
  ROW(SessionsArrived, "sessions_arrived", Total, "sessions",                                               \
      "sessions that came from the worker before in the slot")                                              \
  ROW(SessionsDeparted, "sessions_departed", Total, "sessions",                                             \
      "sessions that went to the next worker in the slot")                                                  \
  ROW(SessionsDrained, "sessions_drained", Total, "sessions", "sessions whose transport a drain closed")    \
  ROW(SessionsGivenUp, "sessions_given_up", Total, "sessions",                                              \
      "sessions closed on their way because the other worker could not be understood")                      \
  ROW(SocketsOpen, "sockets_open", Gauge, "sockets", "Socket.IO sockets connected now, all namespaces")     \
  ROW(PacketsIn, "packets_in", Total, "packets", "Socket.IO packets received from clients")                 \
  ROW(PacketsOut, "packets_out", Total, "packets", "Socket.IO packets queued to clients")                   \
  ROW(BytesIn, "bytes_in", Total, "bytes", "bytes read from clients")                                       \
  ROW(BytesOut, "bytes_out", Total, "bytes", "bytes written to clients")                                    \
  ROW(BroadcastsPublished, "broadcasts_published", Total, "records", "emits written to the own ring")       \
  ROW(BroadcastsDeferred, "broadcasts_deferred", Total, "records",                                          \
      "emits queued because the own ring was full")                                                         \
  ROW(BroadcastsLost, "broadcasts_lost", Total, "records",                                                  \
      "emits given up: too large, or the private queue full")                                               \
  ROW(BroadcastsReceived, "broadcasts_received", Total, "records", "emits read from other workers' rings")  \
  ROW(RingGaps, "ring_gaps", Total, "gaps", "times this worker was lapped and told so (io.on_gap)")         \
  ROW(HandoversOut, "handovers_out", Total, "connections",                                                  \
      "connections handed to the slot that owns the session")                                               \
  ROW(HandoversIn, "handovers_in", Total, "connections", "connections and requests taken from other slots") \
  ROW(RequestsRelayed, "requests_relayed", Total, "requests",                                               \
      "requests relayed to their owner; the connection stayed")                                             \
  ROW(HandoversFailed, "handovers_failed", Total, "connections",                                            \
      "handovers refused by a full inbox or a bad message")                                                 \
  ROW(HandlerExceptions, "handler_exceptions", Total, "exceptions", "exceptions of application handlers")   \
  ROW(LoopTurns, "loop_turns", Total, "turns", "turns of the worker's loop")                                \
  ROW(ProxyHeadersRefused, "proxy_headers_refused", Total, "connections",                                   \
      "connections closed for a missing or bad PROXY protocol header")                                      \
  ROW(SessionsPlaced, "sessions_placed", Total, "sessions",                                                 \
      "handshakes given to the slot that their client's address, or the load, has chosen")                  \
  ROW(RequestsUnowned, "requests_unowned", Total, "requests",                                               \
      "requests refused because the slot of their session serves nobody")                                   \
  ROW(TurnsCutShort, "turns_cut_short", Total, "turns",                                                     \
      "turns that left input, closes or output to the next turn because their allowance was used up")       \
  ROW(LongestTurn, "longest_turn", Peak, "microseconds",                                                    \
      "CPU time of the longest turn of a worker's loop, without what handlers of the application took")     \
  ROW(MemoryAccounted, "memory_accounted", Gauge, "bytes",                                                  \
      "held for clients now: queues, partial input, attachments, state of connections and sessions")        \
  ROW(DroppedStalled, "dropped_stalled", Total, "connections",                                              \
      "closed with more than limits.send_queue unsent of which nothing was taken for limits.send_stall")    \
  ROW(DroppedOverfull, "dropped_overfull", Total, "connections",                                            \
      "closed with more than four times limits.send_queue unsent")                                          \
  ROW(DroppedSlow, "dropped_slow", Total, "connections",                                                    \
      "closed because a body came, or an answer was taken, more slowly than limits.min_rate")               \
  ROW(ShedForMemory, "shed_for_memory", Total, "connections",                                               \
      "the largest connections and sessions, closed because limits.memory was exceeded")                    \
  ROW(RefusedForMemory, "refused_for_memory", Total, "requests",                                            \
      "connections and handshakes answered 503 because limits.memory was exceeded")                         \
  ROW(RefusedConnections, "refused_connections", Total, "connections",                                      \
      "answered 503 because of limits.connections")                                                         \
  ROW(RefusedSessions, "refused_sessions", Total, "requests",                                               \
      "handshakes answered 503 because of limits.sessions")                                                 \
  ROW(RefusedAddresses, "refused_addresses", Total, "requests",                                             \
      "answered 503 because of limits.connections_per_address or limits.handshakes_per_second")             \
  ROW(LogLinesDropped, "log_lines_dropped", Total, "lines",                                                 \
      "lines of the log that nobody took in time, or that were too many of one kind")                       \
  ROW(AcceptPauses, "accept_pauses", Total, "pauses",                                                       \
      "times that no client was accepted for a moment, because no descriptor was left")                     \
  ROW(RelaysRefused, "relays_refused", Total, "requests",                                                   \
      "requests for another worker answered 503, because too few descriptors were left to relay them")

enum class Counter : std::uint16_t {
#define LIMPET_COUNTER_ID(id, name, kind, unit, help) id,
  LIMPET_COUNTERS(LIMPET_COUNTER_ID)
#undef LIMPET_COUNTER_ID
      kCount
};

inline constexpr std::size_t kCounterCount = static_cast<std::size_t>(Counter::kCount);

inline constexpr std::array<CounterRow, kCounterCount> kCounters = {{
#define LIMPET_COUNTER_ROW(id, name, kind, unit, help) {name, CounterKind::kind, unit, help},
    LIMPET_COUNTERS(LIMPET_COUNTER_ROW)
#undef LIMPET_COUNTER_ROW
}};

/// The writer's side. Every member function is wait-free and for the one writing thread.
class CounterBlock {
 public:
  /// Creates, seals and maps a block. Throws std::system_error.
  static CounterBlock create(const Incarnation& who);
  CounterBlock(CounterBlock&&) noexcept;
  CounterBlock& operator=(CounterBlock&&) noexcept;
  ~CounterBlock();

  /// The sealed memfd, for the supervisor: nobody can map it writable any more.
  [[nodiscard]] int descriptor() const noexcept;

  void add(Counter counter, std::uint64_t amount = 1) noexcept {
    auto& word = words_[static_cast<std::size_t>(counter)];
    word.store(word.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void set(Counter gauge, std::uint64_t value) noexcept {
    words_[static_cast<std::size_t>(gauge)].store(value, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t get(Counter counter) const noexcept {
    return words_[static_cast<std::size_t>(counter)].load(std::memory_order_relaxed);
  }
  /// C3. Once per loop turn.
  void beat(std::chrono::steady_clock::time_point now) noexcept;

 private:
  CounterBlock() = default;
  struct State;
  std::unique_ptr<State> state_;
  std::atomic<std::uint64_t>* words_ = nullptr;
};

/// The supervisor's side of one block.
class CounterView {
 public:
  /// Maps a block that a worker sent. nullopt, with the reason in `*why`, if it is not a sealed block of
  /// `who`.
  static std::optional<CounterView> map(const base::Descriptor& memory, const Incarnation& who,
                                        std::string* why);
  CounterView(CounterView&&) noexcept;
  CounterView& operator=(CounterView&&) noexcept;
  ~CounterView();

  /// 0 for a counter that the worker's (older) build does not have.
  [[nodiscard]] std::uint64_t get(Counter counter) const noexcept;
  [[nodiscard]] std::chrono::steady_clock::time_point last_beat() const noexcept;

 private:
  CounterView() = default;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace limpet::ipc
