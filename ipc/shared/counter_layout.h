// The bytes of a counter block, as ipc/shared/counters.cpp writes and reads them. The block may be of another
// build than its reader: counters are found by their number, so rows of LIMPET_COUNTERS are only ever added
// at the end; any other change of them, or of this, needs another kCounterLayoutVersion. The invariants stand
// in ipc/shared/counters.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace limpet::ipc {

inline constexpr std::uint64_t kCounterMagic = 0x7265746e75636c70;  // "plcunter" in memory
inline constexpr std::uint32_t kCounterLayoutVersion = 1;

/// All but `beat` is written once, before the block is shown to anybody.
struct CounterHeader {
  std::uint64_t magic;
  std::uint32_t layout_version;
  std::uint32_t count;  ///< of counters behind the header
  std::uint16_t slot;
  std::uint16_t lane;
  std::uint32_t reserved;
  std::uint64_t generation;
  std::byte to_the_next_line[32];
  std::atomic<std::uint64_t> beat_ns;  ///< C3
  std::byte to_the_counters[56];
};
static_assert(sizeof(CounterHeader) == 128);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && sizeof(std::atomic<std::uint64_t>) == 8);

}  // namespace limpet::ipc
