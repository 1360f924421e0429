// Limits that several processes or layers have to agree on, with unit and reason. What one file alone needs
// stands there.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace limpet::base {

/// Slots that a supervisor opens: more CPUs than one machine of today has, and what the kernel's program that
/// compares one slot after the other has room for.
inline constexpr std::uint16_t kMostSlots = 256;

/// In messages, whatever build sends them, slots are below this: there is a bucket for each.
inline constexpr std::uint16_t kSlotLimit = 4096;
/// Lanes in messages are below this: two for each slot, and one.
inline constexpr std::uint16_t kLaneLimit = 2 * kSlotLimit + 1;
static_assert(kMostSlots < kSlotLimit);
/// Numbers of bridges, which have no slot, begin here: where every build expects the number of a slot, and no
/// slot has one.
inline constexpr std::uint16_t kFirstBridge = kSlotLimit - 64;
static_assert(kMostSlots < kFirstBridge);

/// Characters of a session's sid and of a socket's id: other servers' sticky modules and adapters count them.
inline constexpr std::size_t kIdBytes = 20;

/// Of time-outs and intervals: no time point of a clock overflows.
inline constexpr std::chrono::milliseconds kLongestDuration = std::chrono::hours(366 * 24);
/// Of moments and ages in messages: in nanoseconds, still what a clock can count.
inline constexpr std::chrono::milliseconds kLongestAge = 100 * kLongestDuration;

}  // namespace limpet::base
