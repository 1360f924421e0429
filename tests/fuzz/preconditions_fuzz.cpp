// Whatever a client asks about the state of a file: a part lies within the file and is what the text says,
// and the verdict is that of RFC 9110 section 13.2.2, in whatever order and case the lines come. The first
// nine bytes are the file's size; the rest are lines of a head, whose first byte is the name. In their
// values, byte 1 stands for the file's entity tag, and 2 to 4 for the seconds about its time.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/http/preconditions.h"
#include "worker/loop/date.h"

namespace {

using namespace limpet::http;
using Kind = ByteRange::Kind;
using Line = std::pair<std::string, std::string>;

constexpr Validators kCurrent{"\"x-1\"", 784'111'777, 1'795'667'452};
constexpr std::array<std::string_view, 8> kNames = {
    "Range",      "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
    "If-Unknown", "Referer"};

void require(bool condition) {
  if (!condition) std::abort();
}

// ---- ranges

/// Nothing: something else than digits. As large as it gets if it has no room.
std::optional<std::uint64_t> number(std::string_view digits) {
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t value = 0;
  for (const char digit : digits) {
    const auto one = static_cast<std::uint64_t>(digit - '0');
    if (value > (kMost - one) / 10) return kMost;
    value = value * 10 + one;
  }
  return value;
}

struct Ends {
  std::optional<std::uint64_t> first, last;
};

/// Nothing: no range, or more than one.
std::optional<Ends> ends_of(std::string_view value) {
  if (!equal_ignoring_case(value.substr(0, 6), "bytes=")) return std::nullopt;
  value.remove_prefix(6);
  if (std::count(value.begin(), value.end(), '-') != 1) return std::nullopt;
  const std::string_view before = value.substr(0, value.find('-'));
  const std::string_view behind = value.substr(before.size() + 1);
  const Ends ends{number(before), number(behind)};
  if (ends.first.has_value() == before.empty() || ends.last.has_value() == behind.empty())
    return std::nullopt;
  if (before.empty() && behind.empty()) return std::nullopt;
  if (ends.first && ends.last && *ends.last < *ends.first) return std::nullopt;
  return ends;
}

bool is_asked_for(const Ends& ends, std::uint64_t at, std::uint64_t size) {
  if (!ends.first) return size - at <= *ends.last;
  return at >= *ends.first && (!ends.last || at <= *ends.last);
}

void check_range(std::string_view value, std::uint64_t size) {
  const ByteRange range = find_range(value, size);
  const auto ends = ends_of(value);
  if (!ends) return require(range.kind == Kind::Whole);
  if (range.kind == Kind::Whole) return require(size == 0 && !ends->first && *ends->last > 0);
  if (range.kind == Kind::Unsatisfiable)
    return require(ends->first ? *ends->first >= size : *ends->last == 0);
  require(range.length > 0 && range.offset < size && range.length <= size - range.offset);
  const std::uint64_t last = range.offset + range.length - 1;
  require(is_asked_for(*ends, range.offset, size) && is_asked_for(*ends, last, size));
  require(range.offset == 0 || !is_asked_for(*ends, range.offset - 1, size));
  require(last == size - 1 || !is_asked_for(*ends, last + 1, size));
}

// ---- entity tags

/// The elements of a list in which each is an entity tag. Nothing: one of them is none.
std::optional<std::vector<std::string_view>> tags_of(std::string_view list) {
  std::vector<std::string_view> tags;
  for (std::size_t at = 0;;) {
    at = list.find_first_not_of(" \t,", at);
    if (at == std::string_view::npos) return tags;
    const std::size_t quote = at + (list.substr(at).starts_with("W/") ? 2 : 0);
    if (!list.substr(quote).starts_with('"')) return std::nullopt;
    const std::size_t end = list.find('"', quote + 1);
    if (end == std::string_view::npos) return std::nullopt;
    tags.push_back(list.substr(at, end + 1 - at));
    at = end + 1;
    const std::size_t next = std::min(list.find_first_not_of(" \t", at), list.size());
    if (next < list.size() && list[next] != ',') return std::nullopt;
  }
}

bool has_etag(std::string_view list, bool weak) {
  const bool found = list_has_etag(list, kCurrent.etag, weak);
  if (list == "*") require(found);
  if (!weak && found) require(list_has_etag(list, kCurrent.etag, true));
  if (const auto tags = tags_of(list)) {
    const std::string weak_tag = "W/" + std::string(kCurrent.etag);
    require(found == std::any_of(tags->begin(), tags->end(), [&](std::string_view tag) {
              return tag == kCurrent.etag || (weak && tag == weak_tag);
            }));
  }
  return found;
}

// ---- all of a head

struct Asked {
  std::vector<std::string_view> values[kNames.size()];
  /// Of one that may come once.
  [[nodiscard]] std::string_view only(std::size_t name) const {
    return values[name].size() == 1 ? values[name].front() : std::string_view();
  }
  [[nodiscard]] bool any(std::size_t name, bool weak) const {
    return std::any_of(values[name].begin(), values[name].end(),
                       [weak](std::string_view value) { return has_etag(value, weak); });
  }
  [[nodiscard]] std::optional<std::int64_t> date(std::size_t name) const {
    return parse_date(only(name), kCurrent.wall_seconds);
  }
};

Precondition outcome_of(const Asked& asked) {
  const auto unmodified = asked.date(5);
  const auto modified = asked.date(4);
  const bool has_match = !asked.values[2].empty();
  if (has_match && !asked.any(2, false)) return Precondition::Failed;
  if (!has_match && unmodified && kCurrent.modified_s > *unmodified) return Precondition::Failed;
  if (!asked.values[3].empty()) return asked.any(3, true) ? Precondition::NotModified : Precondition::Holds;
  if (modified && kCurrent.modified_s <= *modified) return Precondition::NotModified;
  return Precondition::Holds;
}

std::string head_of(std::string_view method, const std::vector<Line>& lines, bool lower_case) {
  std::string head = std::string(method) + " / HTTP/1.1\r\nHost: h\r\n";
  for (const auto& [name, value] : lines) {
    std::string written = name;
    if (lower_case) std::transform(written.begin(), written.end(), written.begin(), ::tolower);
    head += written + ": " + value + "\r\n";
  }
  return head + "\r\n";
}

struct Answer {
  Precondition outcome = Precondition::Holds;
  std::string range;
  bool operator==(const Answer&) const = default;
};

/// Nothing: no head.
std::optional<Answer> answer(const std::string& bytes) {
  const ParsedHead parsed = parse_head(bytes, 1 << 20);
  if (parsed.status != HeadStatus::Complete || parsed.head.raw.size() != bytes.size()) return std::nullopt;
  const Conditions found = evaluate(parsed.head, kCurrent);
  return Answer{found.outcome, std::string(found.range)};
}

void check(std::vector<Line> lines, std::uint64_t size) {
  const auto got = answer(head_of("GET", lines, false));
  if (!got) return;
  Asked asked;
  for (const auto& [name, value] : lines) {
    const auto place = std::find(kNames.begin(), kNames.end(), name) - kNames.begin();
    asked.values[place].push_back(trim(value));
  }
  require(got->outcome == outcome_of(asked));
  const bool same_file = asked.values[1].empty() || asked.only(1) == kCurrent.etag;
  require(got->range == (same_file ? asked.only(0) : std::string_view()));
  for (const std::string_view value : asked.values[0]) check_range(value, size);
  require(answer(head_of("HEAD", lines, false)) == Answer{got->outcome, ""});
  std::reverse(lines.begin(), lines.end());
  require(answer(head_of("GET", lines, true)) == got);
}

std::string with_replaced(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == 1) {
      result += kCurrent.etag;
    } else if (c >= 2 && c <= 4) {
      result += date_of(kCurrent.modified_s + c - 3);
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 9 || size > 2048) return 0;
  std::uint64_t file_size = 0;
  std::memcpy(&file_size, data, sizeof file_size);
  file_size >>= data[8] % 64;  // small ones too
  std::vector<Line> lines;
  std::string_view rest(reinterpret_cast<const char*>(data) + 9, size - 9);
  check_range("bytes=" + std::string(rest), file_size);
  has_etag(with_replaced(rest), false);
  has_etag(with_replaced(rest), true);
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.empty()) continue;
    const std::string_view name = kNames[static_cast<std::uint8_t>(line[0]) % kNames.size()];
    lines.emplace_back(name, with_replaced(line.substr(1)));
  }
  check(std::move(lines), file_size);
  return 0;
}
