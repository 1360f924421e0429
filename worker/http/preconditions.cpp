#include "worker/http/preconditions.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "worker/loop/date.h"

namespace limpet::http {
namespace {

/// One that may come often: its values are one list.
struct Listed {
  bool there = false;
  bool matches = false;
};

struct Lines {
  Listed match, none_match;
  SingleLine unmodified_since, modified_since, range, if_range;
};

/// Most lines are none of these, and are told apart by their first letter.
bool may_be_condition(std::string_view name) noexcept {
  return !name.empty() && (name[0] == 'I' || name[0] == 'i' || name[0] == 'R' || name[0] == 'r');
}

void take_line(Lines& lines, std::string_view name, std::string_view value, std::string_view etag) noexcept {
  const auto note = [&](Listed& list, bool weak) {
    list.there = true;
    list.matches = list.matches || list_has_etag(value, etag, weak);
  };
  if (equal_ignoring_case(name, "If-None-Match")) {
    note(lines.none_match, true);
  } else if (equal_ignoring_case(name, "If-Match")) {
    note(lines.match, false);
  } else if (equal_ignoring_case(name, "If-Modified-Since")) {
    lines.modified_since.take(value);
  } else if (equal_ignoring_case(name, "If-Unmodified-Since")) {
    lines.unmodified_since.take(value);
  } else if (equal_ignoring_case(name, "Range")) {
    lines.range.take(value);
  } else if (equal_ignoring_case(name, "If-Range")) {
    lines.if_range.take(value);
  }
}

/// Nothing: not asked, or not with a valid date, which is the same.
std::optional<bool> is_modified_since(const SingleLine& line, const Validators& current) noexcept {
  const auto date = loop::parse_date(line.only(), current.wall_seconds);
  if (!date) return std::nullopt;
  return current.modified_s > *date;
}

Precondition outcome_of(const Lines& lines, const Validators& current) noexcept {
  if (lines.match.there) {
    if (!lines.match.matches) return Precondition::Failed;
  } else if (is_modified_since(lines.unmodified_since, current).value_or(false)) {
    return Precondition::Failed;
  }
  if (lines.none_match.there)
    return lines.none_match.matches ? Precondition::NotModified : Precondition::Holds;
  const bool modified = is_modified_since(lines.modified_since, current).value_or(true);
  return modified ? Precondition::Holds : Precondition::NotModified;
}

/// A number that is too large for 64 bits is the largest one. Nothing: no digit, or something else.
std::optional<std::uint64_t> position(std::string_view text) noexcept {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end != text.data() + text.size()) return std::nullopt;
  return error == std::errc::result_out_of_range ? std::numeric_limits<std::uint64_t>::max() : value;
}

ByteRange part(std::uint64_t offset, std::uint64_t length) noexcept {
  return {ByteRange::Kind::Part, offset, length};
}

ByteRange last_bytes(std::uint64_t length, std::uint64_t size) noexcept {
  if (length == 0) return {ByteRange::Kind::Unsatisfiable, 0, 0};
  if (size == 0) return {};  // there is no way to name a part of nothing
  const std::uint64_t some = std::min(length, size);
  return part(size - some, some);
}

std::string_view without_blanks_in_front(std::string_view text) noexcept {
  text.remove_prefix(std::min(text.find_first_not_of(" \t,"), text.size()));
  return text;
}

}  // namespace

Conditions evaluate(const RequestHead& head, const Validators& current) noexcept {
  Lines lines;
  std::size_t cursor = 0;
  std::string_view name;
  std::string_view value;
  while (next_header(head.raw, cursor, name, value))
    if (may_be_condition(name)) take_line(lines, name, value, current.etag);
  Conditions conditions{outcome_of(lines, current), {}};
  // A date is no proof that nothing has changed within its second: If-Range by date never holds.
  const bool same = lines.if_range.lines == 0 || lines.if_range.only() == current.etag;
  if (head.method == "GET" && same) conditions.range = lines.range.only();
  return conditions;
}

bool list_has_etag(std::string_view list, std::string_view etag, bool weak) noexcept {
  if (list == "*") return true;
  for (list = without_blanks_in_front(list); !list.empty(); list = without_blanks_in_front(list)) {
    const bool is_weak = list.starts_with("W/");
    if (is_weak) list.remove_prefix(2);
    const std::size_t end = list.starts_with('"') ? list.find('"', 1) : std::string_view::npos;
    if (end == std::string_view::npos) return false;  // no entity tag, and nobody knows where the next begins
    if (list.substr(0, end + 1) == etag && (weak || !is_weak)) return true;
    list.remove_prefix(end + 1);
  }
  return false;
}

ByteRange find_range(std::string_view value, std::uint64_t size) noexcept {
  constexpr std::string_view kUnit = "bytes=";
  if (value.size() < kUnit.size() || !equal_ignoring_case(value.substr(0, kUnit.size()), kUnit)) return {};
  value.remove_prefix(kUnit.size());
  const std::size_t dash = value.find('-');
  if (dash == std::string_view::npos) return {};
  const std::string_view behind = value.substr(dash + 1);
  const auto last = position(behind);
  if (!last && !behind.empty()) return {};
  if (dash == 0) return last ? last_bytes(*last, size) : ByteRange{};
  const auto first = position(value.substr(0, dash));
  if (!first || (last && *last < *first)) return {};
  if (*first >= size) return {ByteRange::Kind::Unsatisfiable, 0, 0};
  return part(*first, std::min(last.value_or(size), size - 1) - *first + 1);
}

}  // namespace limpet::http
