// The bodies of BasicRingWriter: for writer.cpp, which makes the right one, and for the tests, which
// make the mutants.
#pragma once

#include <sys/eventfd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"
#include "ipc/ring/writer.h"

namespace limpet::ipc {
namespace ring_detail {

// The intent is raised this much further than needed, so that its line travels to the readers once in a while
// only.
constexpr std::uint64_t intent_quantum(std::uint64_t capacity) { return capacity / 32; }
// A reader that frees this much within lap_after does not stand still (I7).
constexpr std::uint64_t progress_quantum(std::uint64_t capacity) { return capacity / 8; }

// Walks over the bytes of several parts in a row.
class Gather {
 public:
  explicit Gather(std::span<const std::span<const std::byte>> parts) : parts_(parts) {}

  void copy_to(std::byte* to, std::size_t bytes) {
    while (bytes > 0) {
      const auto piece = next(bytes);
      if (!piece.empty()) std::memcpy(to, piece.data(), piece.size());
      to += piece.size();
      bytes -= piece.size();
    }
  }
  std::vector<std::byte> rest(std::size_t bytes) {
    std::vector<std::byte> copy;
    copy.reserve(bytes);
    while (copy.size() < bytes) {
      const auto piece = next(bytes - copy.size());
      copy.insert(copy.end(), piece.begin(), piece.end());
    }
    return copy;
  }

 private:
  // The next bytes that lie in one part, `most` at most.
  std::span<const std::byte> next(std::size_t most) {
    const auto left = parts_.front().subspan(offset_);
    if (left.size() > most) {
      offset_ += most;
      return left.first(most);
    }
    parts_ = parts_.subspan(1);
    offset_ = 0;
    return left;
  }

  std::span<const std::span<const std::byte>> parts_;
  std::size_t offset_ = 0;
};

}  // namespace ring_detail

template <CommitOrder kOrder>
BasicRingWriter<kOrder>::BasicRingWriter(Mapping memory, const Incarnation& who, const RingOptions& options,
                                         std::uint64_t capacity)
    : memory_(std::move(memory)),
      header_(new (memory_.writable()) RingHeader{}),
      data_(memory_.writable() + kRingHeaderBytes),
      who_(who),
      lap_after_(options.lap_after),
      queue_limit_bytes_(options.deferred_bytes),
      capacity_(capacity),
      fragment_limit_(fragment_limit(capacity)) {
  header_->magic = kRingMagic;
  header_->version = kRingVersion;
  header_->slot = who.slot;
  header_->lane = who.lane;
  header_->generation = who.generation;
  header_->capacity = capacity;
  header_->lanes = options.lanes;
}

template <CommitOrder kOrder>
BasicRingWriter<kOrder> BasicRingWriter<kOrder>::create(const Incarnation& who, const RingOptions& options) {
  CHECK(options.lanes > 0 && options.lanes <= kMaxLanes && who.lane < options.lanes,
        "a ring has 1 to 1,024 lanes, its own among them");
  const std::uint64_t capacity =
      std::bit_ceil(std::clamp<std::uint64_t>(options.capacity_bytes, kMinRingCapacity, kMaxRingCapacity));
  return {Mapping::create_ring("limpet-ring", kRingHeaderBytes, capacity), who, options, capacity};
}

template <CommitOrder kOrder>
PublishResult BasicRingWriter<kOrder>::publish(std::span<const std::span<const std::byte>> parts) {
  std::size_t bytes = 0;
  for (const auto& part : parts) bytes += part.size();
  if (bytes > kMaxMessageBytes) return PublishResult::TooLarge;
  ++sequence_;
  if (!queue_.empty() || bytes > fragment_limit_) return publish_fragments(parts, bytes);
  const auto length = static_cast<std::uint32_t>(bytes);
  const RecordHeader record{length, length | RecordHeader::kFirst | RecordHeader::kLast, sequence_};
  const bool done = commit(record, [parts](std::byte* to) {
    for (const auto& part : parts) {
      if (!part.empty()) std::memcpy(to, part.data(), part.size());
      to += part.size();
    }
  });
  return done ? PublishResult::Published : publish_fragments(parts, bytes);
}

// Writes what fits now if nothing waits before it, and queues the rest.
template <CommitOrder kOrder>
PublishResult BasicRingWriter<kOrder>::publish_fragments(std::span<const std::span<const std::byte>> parts,
                                                         std::size_t bytes) {
  ring_detail::Gather source(parts);
  Pending pending;
  pending.message_bytes = static_cast<std::uint32_t>(bytes);
  pending.sequence = sequence_;
  std::size_t left = bytes;
  while (queue_.empty()) {
    RecordHeader record = next_fragment(pending);
    if (!commit(record, [&source, &record](std::byte* to) { source.copy_to(to, record.length); })) break;
    pending.begun = true;
    pending.written += record.length;
    left -= record.length;
    if (record.last()) return PublishResult::Published;
  }
  if (!pending.begun && queued_bytes_ + left > queue_limit_bytes_) return PublishResult::QueueFull;
  pending.bytes = source.rest(left);
  queued_bytes_ += left;
  queue_.push_back(std::move(pending));
  return PublishResult::Deferred;
}

template <CommitOrder kOrder>
RecordHeader BasicRingWriter<kOrder>::next_fragment(const Pending& pending) const {
  const std::uint64_t left = pending.message_bytes - pending.written;
  RecordHeader record{static_cast<std::uint32_t>(std::min(left, fragment_limit_)), pending.message_bytes,
                      pending.sequence};
  if (!pending.begun) record.message |= RecordHeader::kFirst;
  if (record.length == left) record.message |= RecordHeader::kLast;
  return record;
}

template <CommitOrder kOrder>
void BasicRingWriter<kOrder>::write_deferred() {
  while (!queue_.empty()) {
    Pending& front = queue_.front();
    const RecordHeader record = next_fragment(front);
    // `bytes` holds the end of the message.
    const std::byte* from = front.bytes.data() + (front.bytes.size() - (front.message_bytes - front.written));
    if (!commit(record, [from, &record](std::byte* to) {
          if (record.length > 0) std::memcpy(to, from, record.length);
        })) {
      return;
    }
    front.begun = true;
    front.written += record.length;
    queued_bytes_ -= record.length;
    if (record.last()) queue_.pop_front();
  }
}

/// `payload(std::byte* to)` writes record.length bytes. False, with nothing written, if there is no room.
template <CommitOrder kOrder>
template <class Source>
bool BasicRingWriter<kOrder>::commit(const RecordHeader& record, Source&& payload) {
  const std::uint64_t end = tail_ + record_bytes(record.length);
  if (end > limit_ && !make_room(end)) return false;
  std::byte* at = data_ + (tail_ & (capacity_ - 1));
  if constexpr (kOrder != CommitOrder::PayloadIntentTail) raise_intent(end);
  if constexpr (kOrder == CommitOrder::IntentTailPayload) header_->tail.store(end, std::memory_order_release);
  std::memcpy(at, &record, sizeof record);
  payload(at + sizeof record);
  if constexpr (kOrder == CommitOrder::PayloadIntentTail) raise_intent(end);
  // I4: the commit. A death before this instruction leaves nothing, one after it the whole record.
  if constexpr (kOrder != CommitOrder::IntentTailPayload) header_->tail.store(end, std::memory_order_release);
  tail_ = end;
  if (record.last()) header_->committed.store(record.sequence, std::memory_order_release);
  unflushed_ = true;
  return true;
}

// I5: never beyond limit_, for a reader takes what lies under the intent for overwritten.
template <CommitOrder kOrder>
void BasicRingWriter<kOrder>::raise_intent(std::uint64_t end) {
  if (end <= intent_) return;
  intent_ = std::min(end + ring_detail::intent_quantum(capacity_), limit_);
  header_->intent.store(intent_, std::memory_order_relaxed);
  // Pairs with the reader's acquire fence: who has copied a byte written below sees this intent.
  std::atomic_thread_fence(std::memory_order_release);
}

// Looks at the readers' cursors again. Whether a record may end at `end`.
template <CommitOrder kOrder>
bool BasicRingWriter<kOrder>::make_room(std::uint64_t end) {
  std::uint64_t slowest = tail_;
  for (const Reader& reader : readers_) {
    if (const auto gate = gate_of(reader)) slowest = std::min(slowest, *gate);
  }
  limit_ = slowest + capacity_;
  return end <= limit_;
}

// The position that must be kept for a reader; nullopt for one that is lapped and has not acknowledged it.
template <CommitOrder kOrder>
std::optional<std::uint64_t> BasicRingWriter<kOrder>::gate_of(const Reader& reader) const {
  if (reader.line->generation.load(std::memory_order_acquire) != who_.generation) {
    // It has not come yet, and will begin where it was attached.
    return reader.lapped == 0 ? std::optional(reader.joined) : std::nullopt;
  }
  if (reader.line->ack_lap.load(std::memory_order_acquire) != reader.lapped) return std::nullopt;
  // A cursor beyond the tail is a reader that reads no further, or one that lies: it then loses, nobody else.
  return std::min(reader.line->cursor.load(std::memory_order_acquire), tail_);
}

template <CommitOrder kOrder>
void BasicRingWriter<kOrder>::retry(TimePoint now) {
  write_deferred();
  if (lap_readers_at_a_standstill(now)) write_deferred();
}

template <CommitOrder kOrder>
bool BasicRingWriter<kOrder>::lap_readers_at_a_standstill(TimePoint now) {
  bool lapped_one = false;
  const std::uint64_t end =
      queue_.empty() ? tail_ : tail_ + record_bytes(next_fragment(queue_.front()).length);
  for (Reader& reader : readers_) {
    const auto gate = gate_of(reader);
    if (!gate || end <= *gate + capacity_) {
      reader.blocking_since.reset();
    } else if (!reader.blocking_since ||
               *gate >= reader.blocking_at + ring_detail::progress_quantum(capacity_)) {
      reader.blocking_since = now;
      reader.blocking_at = *gate;
    } else if (now - *reader.blocking_since >= lap_after_) {
      reader.blocking_since.reset();
      reader.entry->lapped.store(++reader.lapped, std::memory_order_release);
      ++laps_;
      lapped_one = true;
    }
  }
  return lapped_one;
}

template <CommitOrder kOrder>
void BasicRingWriter<kOrder>::flush() {
  if (!unflushed_) return;
  unflushed_ = false;
  // I8: tails before epochs. Without it the processor may look for sleepers before others see the tail.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (Reader& reader : readers_) {
    const std::uint64_t epoch = reader.page.sleep_epoch();
    if ((epoch & 1) == 0 || epoch == reader.notified_epoch) continue;
    // Our own book of whom we woke, not a shared flag: a writer that is stopped between setting such a flag
    // and ringing would suppress everybody else's wake-up.
    reader.notified_epoch = epoch;
    ::eventfd_write(reader.doorbell.get(), 1);  // EAGAIN: rung 2^64 - 2 times already
  }
}

template <CommitOrder kOrder>
bool BasicRingWriter<kOrder>::attach_reader(ReaderPageView page, base::Descriptor doorbell,
                                            std::string* why) {
  const ReaderLine* line = page.line(who_.lane);
  const std::uint16_t lane = page.who().lane;
  if (line == nullptr || lane >= header_->lanes) {
    *why = "reader page: no line for lane " + std::to_string(who_.lane);
    return false;
  }
  detach_reader(lane);
  RingReaderEntry* entry = &header_->readers[lane];
  entry->position.store(tail_, std::memory_order_relaxed);
  entry->sequence.store(next_to_begin(), std::memory_order_relaxed);
  entry->lapped.store(0, std::memory_order_relaxed);
  // Last: who finds its own generation here finds the three above.
  entry->generation.store(page.who().generation, std::memory_order_release);
  readers_.push_back({std::move(page), std::move(doorbell), line, entry, tail_, 0, 0, std::nullopt, 0});
  limit_ = 0;  // it may have come by itself before, at an earlier tail
  return true;
}

// The sequence of the first message that begins at or behind the tail.
template <CommitOrder kOrder>
std::uint64_t BasicRingWriter<kOrder>::next_to_begin() const {
  if (queue_.empty()) return sequence_ + 1;
  return queue_.front().sequence + (queue_.front().begun ? 1 : 0);
}

template <CommitOrder kOrder>
void BasicRingWriter<kOrder>::detach_reader(std::uint16_t lane) {
  const auto gone = std::find_if(readers_.begin(), readers_.end(),
                                 [lane](const Reader& reader) { return reader.page.who().lane == lane; });
  if (gone == readers_.end()) return;
  gone->entry->generation.store(0, std::memory_order_release);
  readers_.erase(gone);
}

}  // namespace limpet::ipc
