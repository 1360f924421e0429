// One pass over JSON text: validates all of it (RFC 8259; UTF-8 is the caller's promise) and notes where the
// elements of the top-level array begin and end, so that an event's arguments are parsed only if a handler
// asks for them.
//
// Differs from boost::json::parse in two things: an escaped lone surrogate is accepted (JavaScript's
// JSON.stringify produces it; it becomes U+FFFD where text is asked for), and so is a number whose exponent
// is out of range. Never allocates but for arrays of more than ElementList::kInline elements. Fails by
// returning false.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limpet::socketio {

/// Arrays and objects inside one another, the event's own array included.
inline constexpr unsigned kMaxJsonDepth = 64;

/// Elements of an event's or an answer's array, the name included: each costs 16 bytes and, where memory is
/// slow, a tenth of a microsecond. An official client passes them on as arguments of a function, and fails
/// with a RangeError at some 50,000 of them, less if its stack is deep already.
inline constexpr std::size_t kMaxElements = 8'192;

/// Name: an event name that is a number; its digits are its text.
enum class JsonKind : std::uint8_t { Null, Bool, Number, String, Array, Object, Name };

/// One element of the top-level array: text[begin, end), quotes included.
struct JsonElement {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  JsonKind kind = JsonKind::Null;
  bool escaped = false;  ///< a string with at least one backslash
};

/// The elements of one array: a few inline, more on the heap.
class ElementList {
 public:
  static constexpr std::size_t kInline = 8;

  void append(const JsonElement& element) {
    if (size_ < kInline) {
      few_[size_] = element;
    } else {
      if (size_ == kInline) many_.assign(few_.begin(), few_.end());
      many_.push_back(element);
    }
    ++size_;
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] JsonElement& front() noexcept { return size_ <= kInline ? few_.front() : many_.front(); }
  [[nodiscard]] std::span<const JsonElement> view() const noexcept {
    return {size_ <= kInline ? few_.data() : many_.data(), size_};
  }

 private:
  std::size_t size_ = 0;
  std::array<JsonElement, kInline> few_;
  std::vector<JsonElement> many_;
};

/// `text` is one JSON array of at most kMaxElements and nothing else; appends its elements to `elements`.
[[nodiscard]] bool scan_array(std::string_view text, ElementList& elements);

/// `text` is one JSON value and nothing else. `kind`, if given, becomes its kind.
[[nodiscard]] bool scan_value(std::string_view text, JsonKind* kind = nullptr) noexcept;

/// The first place in [begin, end) that ends a run of plain string bytes: a quote, a backslash or a control
/// character.
[[nodiscard]] const char* skip_plain_string(const char* begin, const char* end) noexcept;

/// The text of a JSON string's inside (without quotes, valid, escapes included). Lone surrogates become
/// U+FFFD.
[[nodiscard]] std::string unescape(std::string_view inside);

/// Valid JSON with each escaped lone surrogate written as U+FFFD's escape, for parsers that refuse them.
[[nodiscard]] std::string without_lone_surrogates(std::string_view text);

/// A `{"_placeholder":true,"num":k}` in valid JSON text, at text[begin, end).
struct Placeholder {
  std::uint32_t begin;
  std::uint32_t end;
  std::uint32_t number;
};

/// All placeholders of `text` (valid JSON), in order. False: one has a `num` that is no integer below
/// `limit`.
[[nodiscard]] bool find_placeholders(std::string_view text, std::uint32_t limit,
                                     std::vector<Placeholder>& found);

}  // namespace limpet::socketio
