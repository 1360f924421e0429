#include "ipc/birth/heritage.h"

#include <charconv>
#include <limits>

#include "base/limits.h"
#include "ipc/birth/incarnation.h"

namespace limpet::ipc {
namespace {

/// Takes `key=number` after `key=number` from the text, in the one order there is. Remembers the first
/// mistake only.
class HeritageText {
 public:
  explicit HeritageText(std::string_view text) : rest_(text) {}

  template <class Number>
  Number take(std::string_view key) {
    const std::uint64_t number = take_number(key, std::numeric_limits<Number>::max());
    return static_cast<Number>(number);
  }
  void require(bool condition, const std::string& otherwise) {
    if (!condition && why_.empty()) why_ = otherwise;
  }
  void expect_end() { require(rest_.empty(), "unexpected \"" + std::string(rest_) + "\" at the end"); }
  [[nodiscard]] const std::string& why() const { return why_; }

 private:
  std::uint64_t take_number(std::string_view key, std::uint64_t limit) {
    if (!why_.empty()) return 0;
    const std::string_view word = take_word();
    if (!word.starts_with(key) || word.substr(key.size(), 1) != "=") {
      require(false, "wants " + std::string(key) + "=NUMBER, got \"" + std::string(word) + "\"");
      return 0;
    }
    return to_number(key, word.substr(key.size() + 1), limit);
  }

  std::string_view take_word() {
    const std::size_t end = rest_.find(' ');
    const std::string_view word = rest_.substr(0, end);
    rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end + 1);
    // A blank behind the last word is a mistake too: it shall not vanish.
    if (end != std::string_view::npos && rest_.empty()) require(false, "ends with a blank");
    return word;
  }

  std::uint64_t to_number(std::string_view key, std::string_view digits, std::uint64_t limit) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    const bool whole = error == std::errc() && end == digits.data() + digits.size();
    const bool canonical = digits == "0" || !digits.starts_with('0');
    require(whole && canonical && number <= limit, std::string(key) + ": \"" + std::string(digits) +
                                                       "\" is not a number from 0 to " +
                                                       std::to_string(limit));
    return number;
  }

  std::string_view rest_;
  std::string why_;
};

}  // namespace

std::string to_environment(const Heritage& heritage) {
  return "version=" + std::to_string(kHeritageVersion) + " slot=" + std::to_string(heritage.slot) +
         " slots=" + std::to_string(heritage.slots) + " lane=" + std::to_string(heritage.lane) +
         " lanes=" + std::to_string(heritage.lanes) + " listeners=" + std::to_string(heritage.listeners) +
         " generation=" + std::to_string(heritage.generation);
}

std::optional<Heritage> heritage_from_environment(std::string_view text, std::string* why) {
  HeritageText from(text);
  const auto version = from.take<std::uint32_t>("version");
  // Before the rest: another version may have other keys.
  from.require(version == kHeritageVersion, "version " + std::to_string(version) + ", this build wants " +
                                                std::to_string(kHeritageVersion));
  Heritage heritage;
  heritage.slot = from.take<std::uint16_t>("slot");
  heritage.slots = from.take<std::uint16_t>("slots");
  heritage.lane = from.take<std::uint16_t>("lane");
  heritage.lanes = from.take<std::uint16_t>("lanes");
  heritage.listeners = from.take<std::uint16_t>("listeners");
  heritage.generation = from.take<std::uint64_t>("generation");
  from.expect_end();
  from.require(heritage.slots >= 1 && heritage.slots <= base::kSlotLimit,
               "slots: not from 1 to " + std::to_string(base::kSlotLimit));
  from.require(heritage.slot < heritage.slots || is_bridge(heritage.slot), "slot: not below slots");
  from.require(heritage.listeners == 0 || !is_bridge(heritage.slot), "listeners: a bridge has none");
  from.require(heritage.lanes == 2 * heritage.slots + 1, "lanes: not 2 × slots + 1");
  from.require(heritage.lane < heritage.lanes, "lane: not below lanes");
  from.require(heritage.generation >= 1, "generation: begins with 1");
  if (from.why().empty()) return heritage;
  *why = from.why();
  return std::nullopt;
}

}  // namespace limpet::ipc
