// Why workers end: the one list. Obituaries, `stats` and docs/operations.md take their words from it. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace limpet::supervisor {

// id, name of its counter, help
#define LIMPET_CAUSES(ROW)                                                                         \
  ROW(Left, "workers_left", "workers that drained and left, or were withdrawn")                    \
  ROW(Exit, "deaths_exit", "workers that exited by themselves when they should not have")          \
  ROW(Signal, "deaths_signal", "workers ended by a signal that was not the supervisor's")          \
  ROW(Hung, "deaths_hung", "workers killed because they missed two beats")                         \
  ROW(BootDeadline, "deaths_boot_deadline", "workers killed because they were not ready in time")  \
  ROW(DrainDeadline, "deaths_drain_deadline", "workers killed because they did not leave in time") \
  ROW(Misbehaved, "deaths_misbehaved",                                                             \
      "workers killed for what they said, or for closing their control channel")                   \
  ROW(NotStarted, "deaths_not_started",                                                            \
      "workers that could not be started: no process, program or descriptor")

#define LIMPET_ID(id, name, help) id,
enum class Cause : std::uint8_t { LIMPET_CAUSES(LIMPET_ID) kCount };
#undef LIMPET_ID

inline constexpr auto kCauses = static_cast<std::size_t>(Cause::kCount);

struct CauseRow {
  std::string_view name;
  std::string_view help;
};

#define LIMPET_ROW(id, name, help) {name, help},
inline constexpr std::array<CauseRow, kCauses> kCauseTable = {{LIMPET_CAUSES(LIMPET_ROW)}};
#undef LIMPET_ROW

/// nullopt if this build has no cause of that name.
[[nodiscard]] constexpr std::optional<Cause> cause_named(std::string_view name) {
  for (std::size_t index = 0; index < kCauses; ++index)
    if (kCauseTable[index].name == name) return static_cast<Cause>(index);
  return std::nullopt;
}

}  // namespace limpet::supervisor
