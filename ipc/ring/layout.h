// What lies in the shared memory of a broadcast ring and of a reader page, byte for byte, and the rules that
// let a process die at any instruction without harm. ring_writer, ring_reader and reader_page include these
// lines; the words of the invariants are cited by number in the code and in the tests. Owns nothing.
//
// A ring: header (kRingHeaderBytes) | data (capacity, a power of two), the data mapped twice back to back.
// Positions are bytes since the ring's birth and never wrap; position p lies at data[p mod capacity]. A
// record is a RecordHeader and its payload, padded to 16 bytes. A message is one record, or several in a row
// (fragments); it has one sequence, from 1.
//
// Invariants:
//  R1  Every shared word has one writing process for life: ring memory the writer's, reader page the
//  reader's. No locks,
//      no compare-and-swap.
//  I1  A delivered message equals a published one byte for byte.
//  I2  Sequences delivered from one ring strictly increase.
//  I3  A sequence is skipped only after a gap was told, and a gap is told before anything newer is delivered.
//  I4  `tail` is a record boundary and only grows. Storing it is the only commit: what lies behind it does
//  not exist. I5  `intent` ≥ `tail`, only grows, and is raised before the first byte up to it is written.
//  Position p is therefore
//      intact in a copy made before `intent` was seen to be ≤ p + capacity.
//  I6  After the writer's death every reader that it had attached reaches the final tail, or a gap, within
//  one kick. I7  A writer defers no message longer than lap_after + one turn for a reader that stands still.
//  A reader that frees
//      less than an eighth of the ring within lap_after stands still.
//  I8  No reader sleeps over data of a live writer: sleep_epoch odd, fence, look at the tails | tail, fence,
//  look at
//      sleep_epoch. One of the two sees the other.
//  I9  No memory and no descriptor outlives its incarnation: a ring and a reader page die with their last
//  mapping. I10 A ring whose words contradict these lines is reported corrupt and read no further; nobody
//  else is affected.
//
// Guarantees, from which the code may not take anything back:
//  1   For each writer: order kept, no duplicate, no partial message, no corrupt one.
//  2   publish() returned Published ⇒ the message survives SIGKILL of the writer for every attached reader
//  that was not
//      lapped. publish() did not return, or returned Deferred ⇒ all or nothing, unknown which.
//  3   A reader that lost anything is told so before it gets the next message of that writer.
//  4   There is no order between writers.
//  5   A writer never waits for a dead reader, and never longer than I7 says for a live one.
//  6   The contents die with the machine, not before the last process that maps them.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/limits.h"

namespace limpet::ipc {

inline constexpr std::uint64_t kRingMagic = 0x676e69722d706d4c;        // "Lmp-ring"
inline constexpr std::uint64_t kReaderPageMagic = 0x656761702d706d4c;  // "Lmp-page"
/// Grows when an older reader or writer could not live with the layout.
inline constexpr std::uint32_t kRingVersion = 1;

/// Two cache lines: the prefetcher of x86 fetches lines in pairs.
inline constexpr std::size_t kLine = 128;
inline constexpr std::size_t kRecordAlignment = 16;
/// Lanes that a header has room for: 511 slots.
inline constexpr std::uint16_t kMaxLanes = 1024;
static_assert(2 * base::kMostSlots + 1 <= kMaxLanes);
inline constexpr std::size_t kMaxMessageBytes = std::size_t{16} << 20;
/// Payload of one record at most; smaller in a small ring (fragment_limit).
inline constexpr std::size_t kMaxFragmentBytes = std::size_t{256} << 10;
inline constexpr std::size_t kMinRingCapacity = std::size_t{4} << 10;
inline constexpr std::size_t kMaxRingCapacity = std::size_t{1} << 30;

using SharedWord = std::atomic<std::uint64_t>;
static_assert(SharedWord::is_always_lock_free && sizeof(SharedWord) == 8);

/// What the writer says about one reader. Written by the ring's writer (R1).
struct RingReaderEntry {
  SharedWord generation;  ///< of the reader that is attached, 0 for none; stored last
  SharedWord position;    ///< tail when it was attached: from here on nothing is lost without a gap
  SharedWord sequence;    ///< of the first message that begins there or later
  SharedWord lapped;      ///< how often it was dropped from gating
};

struct RingHeader {
  // Constant since before the descriptor left the writer.
  std::uint64_t magic;
  std::uint32_t version;
  std::uint16_t slot;
  std::uint16_t lane;
  std::uint64_t generation;
  std::uint64_t capacity;
  std::uint32_t lanes;

  alignas(kLine) SharedWord intent;
  alignas(kLine) SharedWord tail;
  SharedWord committed;  ///< sequence of a message that lies wholly before `tail`; stored after it
  alignas(kLine) RingReaderEntry readers[kMaxLanes];
};

inline constexpr std::size_t kRingHeaderBytes = std::size_t{64} << 10;
static_assert(sizeof(RingHeader) <= kRingHeaderBytes);

/// What a reader says about one ring. Written by the reader (R1).
struct ReaderLine {
  alignas(kLine)
      SharedWord generation;  ///< of the ring's writer: whose ring the two below are about; stored last
  SharedWord cursor;          ///< everything before it is copied out; kNotReading: read no further
  SharedWord ack_lap;         ///< the value of `lapped` that the reader has acted on
};
inline constexpr std::uint64_t kNotReading = ~std::uint64_t{0};

struct ReaderPageHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint16_t slot;
  std::uint16_t lane;
  std::uint64_t generation;
  std::uint32_t lanes;

  alignas(kLine) SharedWord sleep_epoch;  ///< odd: asleep, or about to be
  // behind it: a ReaderLine for each lane
};

[[nodiscard]] constexpr std::size_t reader_page_bytes(std::uint16_t lanes) noexcept {
  return sizeof(ReaderPageHeader) + lanes * sizeof(ReaderLine);
}

struct RecordHeader {
  std::uint32_t length;   ///< of this record's payload
  std::uint32_t message;  ///< bytes of the whole message, and two flags: kFirst, kLast
  std::uint64_t sequence;

  static constexpr std::uint32_t kFirst = 1u << 31;
  static constexpr std::uint32_t kLast = 1u << 30;
  static constexpr std::uint32_t kBytesMask = kLast - 1;

  [[nodiscard]] constexpr bool first() const noexcept { return (message & kFirst) != 0; }
  [[nodiscard]] constexpr bool last() const noexcept { return (message & kLast) != 0; }
  [[nodiscard]] constexpr std::uint32_t message_bytes() const noexcept { return message & kBytesMask; }
};
static_assert(sizeof(RecordHeader) == kRecordAlignment);
static_assert(kMaxMessageBytes <= RecordHeader::kBytesMask);

/// Bytes of a ring that a record with `length` bytes of payload takes.
[[nodiscard]] constexpr std::uint64_t record_bytes(std::uint64_t length) noexcept {
  return (sizeof(RecordHeader) + length + kRecordAlignment - 1) & ~std::uint64_t{kRecordAlignment - 1};
}

/// Payload of one record at most: four records fit into any ring.
[[nodiscard]] constexpr std::uint64_t fragment_limit(std::uint64_t capacity) noexcept {
  const std::uint64_t quarter = capacity / 4 - sizeof(RecordHeader);
  return quarter < kMaxFragmentBytes ? quarter : kMaxFragmentBytes;
}

[[nodiscard]] constexpr bool is_ring_capacity(std::uint64_t bytes) noexcept {
  return std::has_single_bit(bytes) && bytes >= kMinRingCapacity && bytes <= kMaxRingCapacity;
}

}  // namespace limpet::ipc
