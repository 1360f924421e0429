// Pages of memory before they are used for the first time. The first write to each is a fault, which on a
// virtual machine may take 14 µs; behind one call for all of them 8 µs, 0.7 of it the call's
// (docs/DECISIONS.md, 2026-11-26).
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

namespace limpet::base {

/// Less than this is not worth a call of the system.
inline constexpr std::size_t kWorthMakingResident = std::size_t{128} << 10;

/// For memory that is about to be written from end to end: all of its pages at once. Does nothing for little
/// memory, and before Linux 5.14. madvise(2), MADV_POPULATE_WRITE.
void make_resident(void* memory, std::size_t bytes) noexcept;

/// Of what is written piece by piece, so much is made resident at once.
inline constexpr std::size_t kResidentAhead = std::size_t{256} << 10;

/// Before `coming` bytes are appended to `bytes` (a string or a vector of bytes) that has room for them: when
/// they begin a new step of kResidentAhead, the memory of that step. The first one is left to its writes.
template <class Bytes>
void make_resident_ahead(Bytes& bytes, std::size_t coming) noexcept {
  const std::size_t there = bytes.size();
  if (there + coming > bytes.capacity() || (there + coming) / kResidentAhead == there / kResidentAhead)
    return;
  make_resident(bytes.data() + there, std::min(bytes.capacity() - there, coming + kResidentAhead));
}

/// As bytes.reserve(capacity) before that much is written.
template <class Bytes>
void reserve_resident(Bytes& bytes, std::size_t capacity) {
  if (capacity < kWorthMakingResident || capacity <= bytes.capacity()) return bytes.reserve(capacity);
  Bytes larger;
  larger.reserve(capacity);
  make_resident(larger.data(), capacity);
  larger.insert(larger.end(), bytes.begin(), bytes.end());
  bytes = std::move(larger);
}

/// For memory of many megabytes that is about to be written: in huge pages, if the system has some.
/// madvise(2), MADV_HUGEPAGE.
void prefer_huge_pages(void* memory, std::size_t bytes) noexcept;

}  // namespace limpet::base
