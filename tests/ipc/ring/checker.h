// Holds a reader to the invariants of layout.h: a sink that knows what was published under each sequence
// and notes every contradiction. The mutants show that it notices.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "tests/ipc/ring/kit.h"

namespace limpet::ipc::test {

class Checker final : public RingSink {
 public:
  /// `length_of` gives the length of the message that was published under a sequence (its bytes are
  /// pattern()).
  explicit Checker(std::function<std::size_t(std::uint64_t)> length_of) : length_of_(std::move(length_of)) {}

  void on_message(std::span<const std::byte> message, std::uint64_t sequence) override {
    const std::string which = "message " + std::to_string(sequence);
    if (sequence < next_) violation("I2: " + which + " comes twice or late");
    if (sequence > next_ && !gap_told_ && known_) violation("I3: " + which + " comes without a gap told");
    const std::size_t length = length_of_(sequence);
    if (length != message.size() || text_of(message) != pattern(sequence, length))
      violation("I1: " + which + " is torn");
    known_ = true;
    gap_told_ = false;
    next_ = sequence + 1;
    ++messages_;
  }
  void on_gap(const Gap&) override {
    gap_told_ = true;
    ++gaps_;
  }

  /// Reads to the end of what there is.
  void drain(RingReader& ring) {
    if (ring.poll({}, *this) != PollResult::Empty)
      violation("I10: a sound writer's ring is called corrupt: " + ring.why());
  }
  void violation(std::string text) {
    if (violations_++ == 0) first_violation_ = std::move(text);
  }
  /// The reader may begin anywhere.
  void start_anywhere() { known_ = false; }

  [[nodiscard]] std::uint64_t violations() const { return violations_; }
  [[nodiscard]] const std::string& first_violation() const { return first_violation_; }
  [[nodiscard]] std::uint64_t messages() const { return messages_; }
  [[nodiscard]] std::uint64_t gaps() const { return gaps_; }
  /// The sequence that comes next if nothing is lost.
  [[nodiscard]] std::uint64_t next() const { return next_; }

 private:
  std::function<std::size_t(std::uint64_t)> length_of_;
  bool known_ = true;
  bool gap_told_ = false;
  std::uint64_t next_ = 1;
  std::uint64_t messages_ = 0;
  std::uint64_t gaps_ = 0;
  std::uint64_t violations_ = 0;
  std::string first_violation_;
};

}  // namespace limpet::ipc::test
