#include "worker/socketio/json_scan.h"

#include <bit>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace limpet::socketio {
namespace {

bool is_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool ends_plain_string(char c) noexcept {
  return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
}

int hex_digit(char c) noexcept {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The code unit of four hex digits at `p`; -1 if they are none.
int hex4(const char* p, const char* end) noexcept {
  if (end - p < 4) return -1;
  int unit = 0;
  for (int i = 0; i < 4; ++i) {
    const int digit = hex_digit(p[i]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

/// One pass over the text. Each function takes the place where its token begins and gives the place behind
/// it; null: the text is not valid.
class Scanner {
 public:
  Scanner(std::string_view text, ElementList* elements) noexcept
      : begin_(text.data()), end_(text.data() + text.size()), elements_(elements) {}

  bool scan(JsonKind* kind);

 private:
  const char* skip_space(const char* p) const noexcept {
    while (p != end_ && is_space(*p)) ++p;
    return p;
  }
  const char* string(const char* p) noexcept;
  const char* escape(const char* p) const noexcept;
  const char* number(const char* p) const noexcept;
  const char* digits(const char* p) const noexcept;
  const char* literal(const char* p, std::string_view word) const noexcept;
  const char* scalar(const char* p, JsonKind& kind) noexcept;
  const char* open(const char* p, bool object) noexcept;
  const char* key(const char* p) noexcept;

  const char* begin_;
  const char* end_;
  ElementList* elements_;
  bool escaped_ = false;  // the last string had a backslash
  unsigned depth_ = 0;
  std::uint64_t is_object_ = 0;  // one bit per open level, the innermost lowest
};

const char* Scanner::escape(const char* p) const noexcept {
  if (++p == end_) return nullptr;
  switch (*p) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      return p + 1;
    case 'u':
      return hex4(p + 1, end_) < 0 ? nullptr : p + 5;
    default:
      return nullptr;
  }
}

const char* Scanner::string(const char* p) noexcept {
  escaped_ = false;
  for (++p;;) {
    p = skip_plain_string(p, end_);
    if (p == end_) return nullptr;
    if (*p == '"') return p + 1;
    if (*p != '\\') return nullptr;
    escaped_ = true;
    p = escape(p);
    if (p == nullptr) return nullptr;
  }
}

/// At least one digit.
const char* Scanner::digits(const char* p) const noexcept {
  if (p == end_ || !is_digit(*p)) return nullptr;
  while (p != end_ && is_digit(*p)) ++p;
  return p;
}

const char* Scanner::number(const char* p) const noexcept {
  if (*p == '-') ++p;
  if (p != end_ && *p == '0') {
    ++p;
  } else if ((p = digits(p)) == nullptr) {
    return nullptr;
  }
  if (p != end_ && *p == '.' && (p = digits(p + 1)) == nullptr) return nullptr;
  if (p != end_ && (*p == 'e' || *p == 'E')) {
    ++p;
    if (p != end_ && (*p == '+' || *p == '-')) ++p;
    return digits(p);
  }
  return p;
}

const char* Scanner::literal(const char* p, std::string_view word) const noexcept {
  if (static_cast<std::size_t>(end_ - p) < word.size() || std::memcmp(p, word.data(), word.size()) != 0)
    return nullptr;
  return p + word.size();
}

const char* Scanner::scalar(const char* p, JsonKind& kind) noexcept {
  switch (*p) {
    case '"':
      kind = JsonKind::String;
      return string(p);
    case 't':
      kind = JsonKind::Bool;
      return literal(p, "true");
    case 'f':
      kind = JsonKind::Bool;
      return literal(p, "false");
    case 'n':
      kind = JsonKind::Null;
      return literal(p, "null");
    default:
      kind = JsonKind::Number;
      return number(p);
  }
}

const char* Scanner::open(const char* p, bool object) noexcept {
  if (depth_ == kMaxJsonDepth) return nullptr;
  ++depth_;
  is_object_ = (is_object_ << 1) | static_cast<std::uint64_t>(object);
  return skip_space(p + 1);
}

/// A member's name and its colon; `p` may be at space.
const char* Scanner::key(const char* p) noexcept {
  p = skip_space(p);
  if (p == end_ || *p != '"' || (p = string(p)) == nullptr) return nullptr;
  p = skip_space(p);
  return p == end_ || *p != ':' ? nullptr : p + 1;
}

bool Scanner::scan(JsonKind* kind) {
  JsonElement element;
  const char* p = begin_;
  for (;;) {  // one value per round
    p = skip_space(p);
    if (p == end_) return false;
    const char* const start = p;
    const unsigned start_depth = depth_;
    JsonKind start_kind = JsonKind::Array;
    bool is_closed = true;
    if (*p == '{' || *p == '[') {
      const char closing = *p == '{' ? '}' : ']';
      start_kind = closing == '}' ? JsonKind::Object : JsonKind::Array;
      p = open(p, closing == '}');
      if (p == nullptr || p == end_) return false;
      is_closed = *p == closing;
      if (is_closed) {
        ++p;
        --depth_;
        is_object_ >>= 1;
      } else if (closing == '}' && (p = key(p)) == nullptr) {
        return false;
      }
    } else {
      p = scalar(p, start_kind);
      if (p == nullptr) return false;
    }
    if (start_depth == 0 && kind != nullptr) *kind = start_kind;
    if (start_depth == 1 && elements_ != nullptr)
      element = {static_cast<std::uint32_t>(start - begin_), static_cast<std::uint32_t>(p - begin_),
                 start_kind, start_kind == JsonKind::String && escaped_};
    if (!is_closed) continue;

    for (;;) {  // behind a value: the levels that end here, then a comma
      if (depth_ == 1 && elements_ != nullptr) {
        if (elements_->size() == kMaxElements) return false;
        element.end = static_cast<std::uint32_t>(p - begin_);
        elements_->append(element);
      }
      p = skip_space(p);
      if (depth_ == 0) return p == end_;
      if (p == end_) return false;
      const bool object = (is_object_ & 1) != 0;
      if (*p == ',') {
        ++p;
        if (object && (p = key(p)) == nullptr) return false;
        break;
      }
      if (*p != (object ? '}' : ']')) return false;
      ++p;
      --depth_;
      is_object_ >>= 1;
    }
  }
}

void append_utf8(std::string& out, unsigned code_point) {
  const auto put = [&out](unsigned byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3f));
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
}

/// `p` at the `u` of a valid escape; gives the place behind it, or behind the pair it begins.
const char* append_unicode_escape(std::string& out, const char* p, const char* end) {
  auto unit = static_cast<unsigned>(hex4(p + 1, end));
  p += 5;
  if (unit >= 0xd800 && unit < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
    const auto low = static_cast<unsigned>(hex4(p + 2, end));
    if (low >= 0xdc00 && low < 0xe000) {
      append_utf8(out, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
      return p + 6;
    }
  }
  if (unit >= 0xd800 && unit < 0xe000) unit = 0xfffd;
  append_utf8(out, unit);
  return p;
}

/// Walks valid JSON and notes its placeholders.
class PlaceholderFinder {
 public:
  PlaceholderFinder(std::string_view text, std::uint32_t limit, std::vector<Placeholder>& found) noexcept
      : text_(text), limit_(limit), found_(found) {}

  bool walk() {
    value();
    return valid_;
  }

 private:
  char peek() {
    while (is_space(text_[at_])) ++at_;
    return text_[at_];
  }
  /// The string's inside.
  std::string_view string() {
    const std::size_t start = ++at_;
    while (text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    return text_.substr(start, at_++ - start);
  }
  /// Its text, if it is a scalar.
  std::string_view value() {
    const char c = peek();
    if (c == '{') return object(), std::string_view();
    if (c == '[') return array(), std::string_view();
    const std::size_t start = at_;
    if (c == '"')
      string();
    else
      while (at_ < text_.size() && std::strchr(",]} \t\r\n", text_[at_]) == nullptr) ++at_;
    return text_.substr(start, at_ - start);
  }
  void array() {
    ++at_;
    while (peek() != ']') {
      value();
      if (peek() == ',') ++at_;
    }
    ++at_;
  }
  void object();

  std::string_view text_;
  std::uint32_t limit_;
  std::vector<Placeholder>& found_;
  std::size_t at_ = 0;
  bool valid_ = true;
};

void PlaceholderFinder::object() {
  const std::size_t begin = at_++;
  const std::size_t found_before = found_.size();
  bool is_placeholder = false;
  std::string_view number;
  while (peek() != '}') {
    std::string name(string());
    if (name.find('\\') != std::string::npos) name = unescape(name);
    peek();
    ++at_;  // the colon
    const std::string_view scalar = value();
    if (name == "_placeholder") is_placeholder = scalar == "true";
    if (name == "num") number = scalar;
    if (peek() == ',') ++at_;
  }
  ++at_;
  if (!is_placeholder) return;
  // At most two digits: more attachments than that are refused.
  std::uint32_t index = 0;
  bool is_number = !number.empty() && number.size() <= 2;
  for (const char c : number.substr(0, 2)) {
    is_number = is_number && is_digit(c);
    index = index * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (!is_number || index >= limit_) {
    valid_ = false;
    return;
  }
  found_.resize(found_before);
  found_.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at_), index});
}

}  // namespace

const char* skip_plain_string(const char* p, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i last_control = _mm_set1_epi8(0x1f);
  for (; end - p >= 16; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i special =
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                     _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(special));
    if (mask != 0) return p + std::countr_zero(mask);
  }
#endif
  while (p != end && !ends_plain_string(*p)) ++p;
  return p;
}

bool scan_array(std::string_view text, ElementList& elements) {
  if (text.empty() || text.front() != '[') return false;
  return Scanner(text, &elements).scan(nullptr);
}

bool scan_value(std::string_view text, JsonKind* kind) noexcept { return Scanner(text, nullptr).scan(kind); }

std::string unescape(std::string_view inside) {
  std::string out;
  out.reserve(inside.size());
  const char* p = inside.data();
  const char* const end = p + inside.size();
  while (p != end) {
    const auto* stop = static_cast<const char*>(std::memchr(p, '\\', static_cast<std::size_t>(end - p)));
    if (stop == nullptr) stop = end;
    out.append(p, stop);
    if (stop == end) break;
    p = stop + 1;
    switch (*p) {
      case 'u':
        p = append_unicode_escape(out, p, end);
        continue;
      case 'b':
        out.push_back('\b');
        break;
      case 'f':
        out.push_back('\f');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case 't':
        out.push_back('\t');
        break;
      default:
        out.push_back(*p);
    }
    ++p;
  }
  return out;
}

std::string without_lone_surrogates(std::string_view text) {
  std::string out(text);
  const char* const end = out.data() + out.size();
  const auto unit_at = [&](std::size_t at) {  // of the escape at `at`; -1: none there
    return at + 6 <= out.size() && out[at] == '\\' && out[at + 1] == 'u' ? hex4(&out[at + 2], end) : -1;
  };
  const auto is_low = [](int unit) { return unit >= 0xdc00 && unit < 0xe000; };
  for (std::size_t at = out.find('\\'); at != std::string::npos; at = out.find('\\', at)) {
    const int unit = unit_at(at);
    if (unit >= 0xd800 && unit < 0xdc00 && is_low(unit_at(at + 6))) {
      at += 12;
      continue;
    }
    if (unit >= 0xd800 && unit < 0xe000) out.replace(at + 2, 4, "fffd");
    at += 2;
  }
  return out;
}

bool find_placeholders(std::string_view text, std::uint32_t limit, std::vector<Placeholder>& found) {
  return PlaceholderFinder(text, limit, found).walk();
}

}  // namespace limpet::socketio
