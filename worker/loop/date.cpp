#include "worker/loop/date.h"

#include <algorithm>
#include <array>
#include <chrono>

namespace limpet::loop {
namespace {

using std::chrono::days;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year_month_day;

constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 7> kLongDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void write_digits(char* to, unsigned value, int count) noexcept {
  for (int at = count - 1; at >= 0; --at, value /= 10) to[at] = static_cast<char>('0' + value % 10);
}

/// Takes one part after the other off the front; `good` becomes false with the first that is not there.
struct Reader {
  std::string_view rest;
  bool good = true;

  void expect(std::string_view text) noexcept {
    good = good && rest.starts_with(text);
    if (good) rest.remove_prefix(text.size());
  }
  /// The place in the list, from 0 on.
  template <std::size_t N>
  unsigned one_of(const std::array<std::string_view, N>& names) noexcept {
    for (unsigned place = 0; good && place < N; ++place) {
      if (!rest.starts_with(names[place])) continue;
      rest.remove_prefix(names[place].size());
      return place;
    }
    good = false;
    return 0;
  }
  unsigned number(std::size_t digits) noexcept {
    unsigned value = 0;
    good = good && rest.size() >= digits;
    for (std::size_t at = 0; good && at < digits; ++at) {
      good = rest[at] >= '0' && rest[at] <= '9';
      value = value * 10 + static_cast<unsigned>(rest[at] - '0');
    }
    if (good) rest.remove_prefix(digits);
    return value;
  }
  /// asctime's: a blank instead of the first digit.
  unsigned padded_day() noexcept {
    if (!rest.starts_with(' ')) return number(2);
    rest.remove_prefix(1);
    return number(1);
  }
};

struct Parts {
  unsigned year, month, day, hour, minute, second;
};

/// "Sun, 06 Nov ", or with another separator behind day and month.
template <std::size_t N>
void read_day_and_month(Reader& reader, Parts& parts, const std::array<std::string_view, N>& weekdays,
                        std::string_view separator) noexcept {
  reader.one_of(weekdays);
  reader.expect(", ");
  parts.day = reader.number(2);
  reader.expect(separator);
  parts.month = reader.one_of(kMonths) + 1;
  reader.expect(separator);
}

void read_time(Reader& reader, Parts& parts) noexcept {
  parts.hour = reader.number(2);
  reader.expect(":");
  parts.minute = reader.number(2);
  reader.expect(":");
  parts.second = reader.number(2);
}

/// "Sun, 06 Nov 1994 08:49:37 GMT"
bool read_fixed(Reader reader, Parts& parts) noexcept {
  read_day_and_month(reader, parts, kDays, " ");
  parts.year = reader.number(4);
  reader.expect(" ");
  read_time(reader, parts);
  reader.expect(" GMT");
  return reader.good && reader.rest.empty();
}

/// "Sunday, 06-Nov-94 08:49:37 GMT"; a year more than 50 years ahead is the one 100 years before.
bool read_rfc850(Reader reader, Parts& parts, unsigned this_year) noexcept {
  read_day_and_month(reader, parts, kLongDays, "-");
  parts.year = reader.number(2) + this_year / 100 * 100;
  if (parts.year > this_year + 50) parts.year -= 100;
  reader.expect(" ");
  read_time(reader, parts);
  reader.expect(" GMT");
  return reader.good && reader.rest.empty();
}

/// "Sun Nov  6 08:49:37 1994"
bool read_asctime(Reader reader, Parts& parts) noexcept {
  reader.one_of(kDays);
  reader.expect(" ");
  parts.month = reader.one_of(kMonths) + 1;
  reader.expect(" ");
  parts.day = reader.padded_day();
  reader.expect(" ");
  read_time(reader, parts);
  reader.expect(" ");
  parts.year = reader.number(4);
  return reader.good && reader.rest.empty();
}

year_month_day calendar_day(std::int64_t since_1970) noexcept {
  return std::chrono::floor<days>(sys_seconds(seconds(since_1970)));
}

}  // namespace

void write_date(std::int64_t since_1970, std::span<char, kDateBytes> to) noexcept {
  const sys_seconds time{seconds(since_1970)};
  const sys_days day = std::chrono::floor<days>(time);
  const year_month_day date(day);
  const auto of_day = static_cast<unsigned>((time - day).count());
  constexpr std::string_view kShape = "Sun, 06 Nov 1994 08:49:37 GMT";
  std::copy(kShape.begin(), kShape.end(), to.begin());
  std::copy_n(kDays[std::chrono::weekday(day).c_encoding()].data(), 3, to.data());
  write_digits(to.data() + 5, static_cast<unsigned>(date.day()), 2);
  std::copy_n(kMonths[static_cast<unsigned>(date.month()) - 1].data(), 3, to.data() + 8);
  write_digits(to.data() + 12, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  write_digits(to.data() + 17, of_day / 3600, 2);
  write_digits(to.data() + 20, of_day / 60 % 60, 2);
  write_digits(to.data() + 23, of_day % 60, 2);
}

std::string date_of(std::int64_t since_1970) {
  std::array<char, kDateBytes> text{};
  write_date(since_1970, text);
  return {text.data(), text.size()};
}

std::optional<std::int64_t> parse_date(std::string_view text, std::int64_t now) noexcept {
  Parts parts{};
  const auto this_year = static_cast<unsigned>(static_cast<int>(calendar_day(now).year()));
  const Reader reader{text};
  if (!read_fixed(reader, parts) && !read_asctime(reader, parts) && !read_rfc850(reader, parts, this_year))
    return std::nullopt;
  const year_month_day date{std::chrono::year(static_cast<int>(parts.year)), std::chrono::month(parts.month),
                            std::chrono::day(parts.day)};
  // A leap second is the second behind it.
  if (!date.ok() || parts.hour > 23 || parts.minute > 59 || parts.second > 60) return std::nullopt;
  const std::int64_t of_day = std::int64_t{parts.hour} * 3600 + parts.minute * 60 + parts.second;
  return sys_seconds(sys_days(date)).time_since_epoch().count() + of_day;
}

}  // namespace limpet::loop
