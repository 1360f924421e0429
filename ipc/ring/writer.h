// The writing end of a broadcast ring: one per worker incarnation. Owns the ring's memory, the views of its
// readers' pages and doorbells, and a bounded private queue for what does not fit now. Never waits, never
// blocks, reads no clock. A reader that stands still is dropped from gating after `lap_after` (I7) and is
// told so by its own reader (I3). Fails by result; creating fails with std::system_error.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "ipc/birth/incarnation.h"
#include "ipc/ring/layout.h"
#include "ipc/ring/reader_page.h"
#include "ipc/shared/mapping.h"

namespace limpet::ipc {

enum class PublishResult : std::uint8_t {
  Published,  ///< committed: it survives this process (guarantee 2)
  Deferred,   ///< all or part of it waits in the private queue, in order; lost if this process dies before
              ///< retry() wrote it
  TooLarge,   ///< over kMaxMessageBytes: not taken, no sequence used
  QueueFull,  ///< not taken; its sequence is used up, so that every reader is told of a gap
};

struct RingOptions {
  std::size_t capacity_bytes = std::size_t{16}
                               << 20;  ///< rounded up to a power of two within the layout's bounds
  std::uint16_t lanes = 3;
  std::chrono::milliseconds lap_after{100};
  /// Of the private queue. A message that has begun to be written is queued even beyond it.
  std::size_t deferred_bytes = std::size_t{64} << 20;
  bool operator==(const RingOptions&) const = default;
};

/// The order of the three steps of a commit. Only the first is right; the tests show that they would notice
/// the others.
enum class CommitOrder : std::uint8_t { IntentPayloadTail, PayloadIntentTail, IntentTailPayload };

template <CommitOrder kOrder>
class BasicRingWriter {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// `who` is the writer. Throws std::system_error.
  static BasicRingWriter create(const Incarnation& who, const RingOptions& options);

  /// The sealed memfd, for the supervisor.
  [[nodiscard]] int descriptor() const noexcept { return memory_.descriptor(); }
  [[nodiscard]] const Incarnation& who() const noexcept { return who_; }

  /// Writes the message that `parts` are in a row. No reader is woken before flush().
  [[nodiscard]] PublishResult publish(std::span<const std::span<const std::byte>> parts);
  [[nodiscard]] PublishResult publish(std::span<const std::byte> message) { return publish({&message, 1}); }
  /// The sequence that the latest publish() used; the first is 1.
  [[nodiscard]] std::uint64_t sequence() const noexcept { return sequence_; }

  /// Once per loop turn while deferred(): writes what fits now, and laps readers that have stood still for
  /// lap_after. A call every millisecond or so is enough while something waits.
  void retry(TimePoint now);
  [[nodiscard]] bool deferred() const noexcept { return !queue_.empty(); }
  [[nodiscard]] std::size_t deferred_bytes() const noexcept { return queued_bytes_; }

  /// Once per loop turn, after the last publish: rings the doorbell of every reader that sleeps over
  /// something new.
  void flush();

  /// From now on the ring keeps for this reader what it has not read. `doorbell` is the reader's eventfd,
  /// non-blocking. False, with the reason in `*why`, if its page has no line for this ring. A reader already
  /// on that lane is detached first.
  [[nodiscard]] bool attach_reader(ReaderPageView page, base::Descriptor doorbell, std::string* why);
  /// The reader is gone. Nothing happens if there is none on that lane.
  void detach_reader(std::uint16_t lane);
  [[nodiscard]] std::size_t readers() const noexcept { return readers_.size(); }
  /// How often readers were dropped from gating.
  [[nodiscard]] std::uint64_t laps() const noexcept { return laps_; }

 private:
  struct Reader {
    ReaderPageView page;
    base::Descriptor doorbell;
    const ReaderLine* line;
    RingReaderEntry* entry;
    std::uint64_t joined = 0;
    std::uint64_t lapped = 0;
    std::uint64_t notified_epoch = 0;
    // Since when, and at which cursor, the reader has kept the front of the queue waiting.
    std::optional<TimePoint> blocking_since;
    std::uint64_t blocking_at = 0;
  };
  struct Pending {
    std::vector<std::byte> bytes;  // what is not written yet begins at `written`
    std::size_t written = 0;
    std::uint32_t message_bytes = 0;
    bool begun = false;  // its first fragment is in the ring
    std::uint64_t sequence = 0;
  };

  BasicRingWriter(Mapping memory, const Incarnation& who, const RingOptions& options, std::uint64_t capacity);

  template <class Source>
  bool commit(const RecordHeader& record, Source&& payload);
  void raise_intent(std::uint64_t end);
  bool make_room(std::uint64_t end);
  [[nodiscard]] std::optional<std::uint64_t> gate_of(const Reader& reader) const;
  [[nodiscard]] PublishResult publish_fragments(std::span<const std::span<const std::byte>> parts,
                                                std::size_t bytes);
  [[nodiscard]] RecordHeader next_fragment(const Pending& pending) const;
  [[nodiscard]] std::uint64_t next_to_begin() const;
  void write_deferred();
  bool lap_readers_at_a_standstill(TimePoint now);

  Mapping memory_;
  RingHeader* header_;
  std::byte* data_;
  Incarnation who_;
  std::chrono::milliseconds lap_after_;
  std::size_t queue_limit_bytes_;
  std::uint64_t capacity_;
  std::uint64_t fragment_limit_;
  std::uint64_t intent_ = 0;
  std::uint64_t tail_ = 0;
  // Up to here no gating reader minds. Stays true until a reader attaches (then it is forgotten) or
  // acknowledges a lap at an older tail (which can cost that reader a second gap, told like the first).
  std::uint64_t limit_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t laps_ = 0;
  bool unflushed_ = false;
  std::vector<Reader> readers_;
  std::deque<Pending> queue_;
  std::size_t queued_bytes_ = 0;
};

using RingWriter = BasicRingWriter<CommitOrder::IntentPayloadTail>;
extern template class BasicRingWriter<CommitOrder::IntentPayloadTail>;

}  // namespace limpet::ipc
