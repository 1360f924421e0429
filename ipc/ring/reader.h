// The reading end of one writer's ring. Owns the read-only mapping and a private buffer, and writes one line
// of its process's ReaderPage, which must outlive it. Everything is copied out and validated before anybody
// sees it. Never waits. A ring whose words contradict the layout is reported as Corrupt and never looked at
// again (I10); attaching to something that is no such ring fails with a reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
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

/// Messages of `writer` that this reader will never get.
struct Gap {
  Incarnation writer;
  std::uint64_t lost_at_least = 1;
};

/// Where a reader's messages go. Neither call may throw, or destroy or poll the reader that makes it.
class RingSink {
 public:
  virtual ~RingSink() = default;
  /// `message` is valid during the call, and aligned for Cap'n Proto words.
  virtual void on_message(std::span<const std::byte> message, std::uint64_t sequence) = 0;
  /// Always before the first message behind the gap.
  virtual void on_gap(const Gap& gap) = 0;
};

/// One poll ends after the record with which one of the two is reached.
struct PollBudget {
  std::size_t records = std::numeric_limits<std::size_t>::max();
  std::size_t bytes = std::numeric_limits<std::size_t>::max();
};

enum class PollResult : std::uint8_t {
  Empty,    ///< read up to the tail that the poll found
  More,     ///< the budget is used up
  Corrupt,  ///< I10: now and for ever; see why()
};

class RingReader {
 public:
  enum class Start : std::uint8_t {
    Attached,   ///< where the writer attached this reader; if it has not yet, at the tail of now
    Beginning,  ///< the ring's birth
  };

  /// `writer` is the one whose ring `ring` is said to be. nullopt, with the reason in `*why`, if it is not.
  static std::optional<RingReader> attach(const base::Descriptor& ring, const Incarnation& writer,
                                          ReaderPage& page, std::string* why, Start start = Start::Attached);
  RingReader(RingReader&&) noexcept = default;
  RingReader& operator=(RingReader&&) noexcept = default;
  ~RingReader() = default;

  [[nodiscard]] const Incarnation& writer() const noexcept { return writer_; }
  /// What a worker looks at between fall_asleep() and the wait.
  [[nodiscard]] bool has_data() const noexcept;
  /// Delivers what is there, in order.
  PollResult poll(const PollBudget& budget, RingSink& sink);
  /// The highest sequence delivered or told as lost; 0 for none yet.
  [[nodiscard]] std::uint64_t last_sequence() const noexcept { return expected_ - 1; }
  /// Of a writer whose process is gone (PeerLeft): its tail is final, so once poll() has said Empty nothing
  /// more comes. What is left then of a message that it had not written to the end was never published. True
  /// if there was such.
  [[nodiscard]] bool ends_in_partial_message() const noexcept { return assembling_; }
  [[nodiscard]] const std::string& why() const noexcept { return why_; }

 private:
  // The reader's line for this ring. A lane is used again, so the line may by now be about a later writer's
  // ring: then this reader does not write to it. On destruction the writer is told not to wait for this
  // reader.
  class Line {
   public:
    Line(ReaderLine* line, std::uint64_t writer_generation, std::uint64_t start) noexcept;
    Line(Line&& other) noexcept;
    Line& operator=(Line&& other) noexcept;
    ~Line();
    void store_cursor(std::uint64_t position) noexcept;
    void acknowledge(std::uint64_t lapped) noexcept;

   private:
    [[nodiscard]] bool ours() const noexcept;
    ReaderLine* line_;
    std::uint64_t generation_;
  };
  enum class Step : std::uint8_t { Taken, Lapped, Corrupt };
  struct StartPoint {
    std::uint64_t position = 0;
    std::optional<std::uint64_t> sequence;
  };

  static StartPoint start_point(const RingHeader& header, const Incarnation& self, Start start);

  RingReader(Mapping memory, const Incarnation& writer, ReaderPage& page, const StartPoint& start);

  PollResult read_records(std::uint64_t tail, const PollBudget& budget, RingSink& sink);
  Step read_record(std::uint64_t tail, RingSink& sink);
  Step take_whole(const RecordHeader& record, RingSink& sink);
  Step take_fragment(const RecordHeader& record, RingSink& sink);
  Step begin_message(const RecordHeader& record, RingSink& sink);
  bool skip_to_tail(RingSink& sink);
  [[nodiscard]] std::optional<std::uint64_t> lost_behind_skip() const noexcept;
  void tell_lost_behind_skip(RingSink& sink);
  void drop_partial() noexcept;
  void deliver(std::span<const std::byte> message, std::uint64_t sequence, RingSink& sink);
  void acknowledge_lap();
  Step corrupt(const char* why);
  PollResult quarantine();

  [[nodiscard]] const RingHeader& header() const noexcept {
    return *reinterpret_cast<const RingHeader*>(memory_.data());
  }
  [[nodiscard]] const std::byte* at(std::uint64_t position) const noexcept {
    return data_ + (position & (capacity_ - 1));
  }
  [[nodiscard]] bool intact(std::uint64_t position) const noexcept;

  Mapping memory_;
  const std::byte* data_;
  Incarnation writer_;
  Incarnation self_;
  Line line_;
  std::uint64_t capacity_;
  std::uint64_t fragment_limit_;
  std::uint64_t position_;
  std::uint64_t published_cursor_;
  std::uint64_t expected_;  // sequence of the next message
  bool sequence_known_;  // false after a start where the writer had not attached us, until a message begins
  bool skipping_;        // from a start or a gap in mid-stream until a message begins
  bool assembling_ = false;  // between the first and the last fragment of message `expected_`
  std::size_t assembled_ = 0;
  std::size_t message_bytes_ = 0;
  std::unique_ptr<std::byte[]> record_;   // one record's payload
  std::unique_ptr<std::byte[]> message_;  // a message of several records
  std::size_t message_room_ = 0;
  std::string why_;
};

}  // namespace limpet::ipc
