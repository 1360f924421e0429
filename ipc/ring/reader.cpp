#include "ipc/ring/reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace limpet::ipc {
namespace {

// A message buffer larger than this is given back after its message.
constexpr std::size_t kKeptMessageBytes = std::size_t{1} << 20;

// No message has it: the one after it would be 0.
constexpr std::uint64_t kNoSequence = ~std::uint64_t{0};

// The one place that reads what a writer may overwrite at the same time. A data race by the letter of the
// standard (P1478 would make it none); harmless because nothing looks at the copy before intact() said that
// it is one.
__attribute__((noinline, no_sanitize("thread"))) void copy_out(std::byte* to, const std::byte* from,
                                                               std::size_t bytes) noexcept {
  std::memcpy(to, from, bytes);
}

// What is wrong with a ring's constants, or nullptr.
const char* fault_of(const RingHeader& header, std::size_t data_bytes, const Incarnation& writer) {
  if (header.magic != kRingMagic) return "ring: not one";
  if (header.version != kRingVersion) return "ring: of another version";
  if (Incarnation{header.slot, header.lane, header.generation} != writer)
    return "ring: belongs to another incarnation";
  if (header.capacity != data_bytes || !is_ring_capacity(data_bytes))
    return "ring: its capacity is not its size";
  return nullptr;
}

}  // namespace

RingReader::Line::Line(ReaderLine* line, std::uint64_t writer_generation, std::uint64_t start) noexcept
    : line_(line), generation_(writer_generation) {
  line_->cursor.store(start, std::memory_order_relaxed);
  line_->ack_lap.store(0, std::memory_order_relaxed);
  line_->generation.store(generation_, std::memory_order_release);
}

RingReader::Line::Line(Line&& other) noexcept
    : line_(std::exchange(other.line_, nullptr)), generation_(other.generation_) {}

RingReader::Line& RingReader::Line::operator=(Line&& other) noexcept {
  std::swap(line_, other.line_);
  std::swap(generation_, other.generation_);
  return *this;
}

RingReader::Line::~Line() { store_cursor(kNotReading); }

bool RingReader::Line::ours() const noexcept {
  return line_ != nullptr && line_->generation.load(std::memory_order_relaxed) == generation_;
}

void RingReader::Line::store_cursor(std::uint64_t position) noexcept {
  if (ours()) line_->cursor.store(position, std::memory_order_release);
}

void RingReader::Line::acknowledge(std::uint64_t lapped) noexcept {
  if (ours() && line_->ack_lap.load(std::memory_order_relaxed) != lapped) {
    line_->ack_lap.store(lapped, std::memory_order_release);
  }
}

RingReader::RingReader(Mapping memory, const Incarnation& writer, ReaderPage& page, const StartPoint& start)
    : memory_(std::move(memory)),
      data_(memory_.data() + kRingHeaderBytes),
      writer_(writer),
      self_(page.who()),
      line_(page.line(writer.lane), writer.generation, start.position),
      capacity_(memory_.size() - kRingHeaderBytes),
      fragment_limit_(fragment_limit(capacity_)),
      position_(start.position),
      published_cursor_(start.position),
      expected_(start.sequence.value_or(1)),
      sequence_known_(start.sequence.has_value()),
      skipping_(start.position != 0),
      record_(std::make_unique_for_overwrite<std::byte[]>(fragment_limit_)) {}

RingReader::StartPoint RingReader::start_point(const RingHeader& header, const Incarnation& self,
                                               Start start) {
  if (start == Start::Beginning) return {0, 1};
  const RingReaderEntry& entry = header.readers[self.lane];
  if (entry.generation.load(std::memory_order_acquire) == self.generation) {
    return {entry.position.load(std::memory_order_relaxed), entry.sequence.load(std::memory_order_relaxed)};
  }
  const std::uint64_t tail = header.tail.load(std::memory_order_acquire);
  return {tail, tail == 0 ? std::optional<std::uint64_t>(1) : std::nullopt};
}

std::optional<RingReader> RingReader::attach(const base::Descriptor& ring, const Incarnation& writer,
                                             ReaderPage& page, std::string* why, Start start) {
  auto memory = Mapping::map_ring_read_only(ring, kRingHeaderBytes, why);
  if (!memory) return std::nullopt;
  const auto& header = *reinterpret_cast<const RingHeader*>(memory->data());
  if (const char* fault = fault_of(header, memory->size() - kRingHeaderBytes, writer)) {
    *why = fault;
    return std::nullopt;
  }
  if (writer.lane >= page.lanes()) {
    *why = "ring: lane " + std::to_string(writer.lane) + " has no line on the reader page";
    return std::nullopt;
  }
  const StartPoint point = start_point(header, page.who(), start);
  return RingReader(std::move(*memory), writer, page, point);
}

bool RingReader::has_data() const noexcept {
  return why_.empty() &&
         (header().tail.load(std::memory_order_acquire) != position_ || lost_behind_skip().has_value());
}

PollResult RingReader::poll(const PollBudget& budget, RingSink& sink) {
  if (!why_.empty()) return PollResult::Corrupt;
  const std::uint64_t tail = header().tail.load(std::memory_order_acquire);
  const std::uint64_t intent = header().intent.load(std::memory_order_acquire);
  if (tail < position_ || (tail | position_) % kRecordAlignment != 0) {
    corrupt("ring: its tail went back, or is no record boundary");
    return quarantine();
  }
  if (intent < tail) {
    corrupt("ring: its intent is behind its tail");
    return quarantine();
  }
  const PollResult result = read_records(tail, budget, sink);
  if (result == PollResult::Corrupt) return quarantine();
  if (position_ != published_cursor_) {
    line_.store_cursor(position_);
    published_cursor_ = position_;
  }
  if (result == PollResult::Empty) {
    tell_lost_behind_skip(sink);
    // Not earlier: gating on a reader that is still a ring behind would make the writer wait at once again.
    acknowledge_lap();
  }
  return result;
}

PollResult RingReader::read_records(std::uint64_t tail, const PollBudget& budget, RingSink& sink) {
  const std::uint64_t begin = position_;
  std::size_t records = 0;
  while (position_ < tail) {
    if (records >= budget.records || position_ - begin >= budget.bytes) return PollResult::More;
    ++records;
    switch (read_record(tail, sink)) {
      case Step::Taken:
        break;
      case Step::Lapped:
        return skip_to_tail(sink) ? PollResult::Empty : PollResult::Corrupt;
      case Step::Corrupt:
        return PollResult::Corrupt;
    }
    // A long batch gives room back as it goes.
    if (position_ - published_cursor_ >= capacity_ / 8) {
      line_.store_cursor(position_);
      published_cursor_ = position_;
    }
  }
  return PollResult::Empty;
}

// I5. Called after a copy from `position`: whether the copy is what the writer wrote there.
bool RingReader::intact(std::uint64_t position) const noexcept {
  std::atomic_thread_fence(std::memory_order_acquire);
  return header().intent.load(std::memory_order_relaxed) - position <= capacity_;
}

RingReader::Step RingReader::read_record(std::uint64_t tail, RingSink& sink) {
  RecordHeader record;
  copy_out(reinterpret_cast<std::byte*>(&record), at(position_), sizeof record);
  const std::uint64_t end = position_ + record_bytes(record.length);
  if (record.length > fragment_limit_ || end > tail) {
    return intact(position_) ? corrupt("ring: a record goes past the tail") : Step::Lapped;
  }
  const bool whole = record.first() && record.last();
  const Step step = whole ? take_whole(record, sink) : take_fragment(record, sink);
  // A gap inside, which moved position_ to the tail, comes back as Lapped.
  if (step == Step::Taken) position_ = end;
  return step;
}

RingReader::Step RingReader::take_whole(const RecordHeader& record, RingSink& sink) {
  copy_out(record_.get(), at(position_) + sizeof record, record.length);
  if (!intact(position_)) return Step::Lapped;
  if (record.length != record.message_bytes())
    return corrupt("ring: a message's length contradicts its record's");
  const Step begun = begin_message(record, sink);
  if (begun == Step::Taken) deliver({record_.get(), record.length}, record.sequence, sink);
  return begun;
}

// The checks that every first record of a message goes through; tells a gap in the sequence (I3).
RingReader::Step RingReader::begin_message(const RecordHeader& record, RingSink& sink) {
  if (assembling_) return corrupt("ring: a message begins inside another");
  if (record.message_bytes() > kMaxMessageBytes) return corrupt("ring: a message is too long");
  if (record.sequence < expected_ || record.sequence == kNoSequence)
    return corrupt("ring: a sequence went back");
  if (sequence_known_ && record.sequence > expected_) sink.on_gap({writer_, record.sequence - expected_});
  expected_ = record.sequence;
  sequence_known_ = true;
  skipping_ = false;
  return Step::Taken;
}

RingReader::Step RingReader::take_fragment(const RecordHeader& record, RingSink& sink) {
  // Validated before the payload is copied, because it says where to. begin_message may tell a gap, so the
  // header has to be known to be intact by then.
  if (!intact(position_)) return Step::Lapped;
  if (record.first()) {
    if (const Step begun = begin_message(record, sink); begun != Step::Taken) return begun;
    assembling_ = true;
    assembled_ = 0;
    message_bytes_ = record.message_bytes();
    if (message_room_ < message_bytes_) {
      message_ = std::make_unique_for_overwrite<std::byte[]>(message_bytes_);
      message_room_ = message_bytes_;
    }
  } else if (!assembling_) {
    // The rest of a message whose beginning lies before our start, or inside a gap that was told.
    return skipping_ ? Step::Taken : corrupt("ring: a message has no beginning");
  }
  const std::size_t after = assembled_ + record.length;
  if (record.sequence != expected_ || record.message_bytes() != message_bytes_ || after > message_bytes_ ||
      record.last() != (after == message_bytes_)) {
    return corrupt("ring: a fragment contradicts its message");
  }
  copy_out(message_.get() + assembled_, at(position_) + sizeof record, record.length);
  if (!intact(position_)) return Step::Lapped;
  assembled_ = after;
  if (record.last()) {
    assembling_ = false;
    deliver({message_.get(), message_bytes_}, record.sequence, sink);
    if (message_room_ > kKeptMessageBytes) drop_partial();
  }
  return Step::Taken;
}

void RingReader::deliver(std::span<const std::byte> message, std::uint64_t sequence, RingSink& sink) {
  expected_ = sequence + 1;
  sink.on_message(message, sequence);
}

// What was not read is lost: tells so, then goes on at the tail. False if the tail is none.
bool RingReader::skip_to_tail(RingSink& sink) {
  // In this order: the tail is then behind message `committed`, so the number told is not too high.
  const std::uint64_t committed = header().committed.load(std::memory_order_acquire);
  const std::uint64_t tail = header().tail.load(std::memory_order_acquire);
  if (tail <= position_ || tail % kRecordAlignment != 0 || committed == kNoSequence) {
    corrupt("ring: lapped a reader at its tail");
    return false;
  }
  drop_partial();
  // Outside of a skip, a part of message `expected_` or of a later one lies before the tail.
  const std::uint64_t next = std::max(committed + 1, skipping_ ? expected_ : expected_ + 1);
  const std::uint64_t lost = sequence_known_ ? next - expected_ : 1;
  position_ = tail;
  expected_ = next;
  skipping_ = true;
  if (lost > 0) sink.on_gap({writer_, lost});
  return true;
}

// A skip may end inside a message, or behind one that the writer had not counted as committed yet. The next
// message tells of it; if none comes, this does.
std::optional<std::uint64_t> RingReader::lost_behind_skip() const noexcept {
  if (!skipping_ || !sequence_known_) return std::nullopt;
  // In this order: a tail that is still ours says that message `committed` lies before us.
  const std::uint64_t committed = header().committed.load(std::memory_order_acquire);
  const bool at_tail = header().tail.load(std::memory_order_acquire) == position_;
  if (!at_tail || committed < expected_ || committed == kNoSequence) return std::nullopt;
  return committed;
}

void RingReader::tell_lost_behind_skip(RingSink& sink) {
  const auto last = lost_behind_skip();
  if (!last) return;
  const std::uint64_t lost = *last - expected_ + 1;
  expected_ = *last + 1;
  sink.on_gap({writer_, lost});
}

void RingReader::drop_partial() noexcept {
  assembling_ = false;
  if (message_room_ > kKeptMessageBytes) {
    message_.reset();
    message_room_ = 0;
  }
}

// From now on the writer keeps for us again what we have not read.
void RingReader::acknowledge_lap() {
  const RingReaderEntry& entry = header().readers[self_.lane];
  if (entry.generation.load(std::memory_order_acquire) != self_.generation) return;
  line_.acknowledge(entry.lapped.load(std::memory_order_acquire));
}

RingReader::Step RingReader::corrupt(const char* why) {
  why_ = why;
  return Step::Corrupt;
}

// I10. The writer need not wait for us either.
PollResult RingReader::quarantine() {
  drop_partial();
  line_.store_cursor(kNotReading);
  return PollResult::Corrupt;
}

}  // namespace limpet::ipc
