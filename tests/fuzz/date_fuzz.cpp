// Dates of HTTP: what is written is read again as the same in each of its three forms, and any text that is
// read means what the C library reads there. The first eight bytes are a time, the next four the present; the
// rest is a text.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>

#include "worker/loop/date.h"

namespace {

using namespace limpet::http;

constexpr std::int64_t kFirst = -62'167'219'200;  // the year 0
constexpr std::int64_t kLast = 253'402'300'799;   // the end of 9999
constexpr const char* kFixed = "%a, %d %b %Y %H:%M:%S GMT";
constexpr const char* kRfc850 = "%A, %d-%b-%y %H:%M:%S GMT";
constexpr const char* kAsctime = "%a %b %e %H:%M:%S %Y";

void require(bool condition) {
  if (!condition) std::abort();
}

std::tm parts_of(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts = {};
  require(::gmtime_r(&time, &parts) != nullptr);
  return parts;
}

int year_of(std::int64_t seconds) { return parts_of(seconds).tm_year + 1900; }

std::string written(std::int64_t seconds, const char* form) {
  const std::tm parts = parts_of(seconds);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), form, &parts)};
}

/// Of a year with two digits: not more than 50 years ahead, and the nearest such one.
void check_two_digits(int year, int this_year) { require(year <= this_year + 50 && year > this_year - 100); }

void check_time(std::int64_t seconds, std::int64_t now) {
  const std::string text = date_of(seconds);
  require(text.size() == kDateBytes && parse_date(text, now) == seconds);
  const int year = year_of(seconds);
  if (year >= 1000) {  // strftime writes fewer digits of the others
    require(text == written(seconds, kFixed));
    require(parse_date(written(seconds, kAsctime), now) == seconds);
  }
  if (year < 1) return;
  const auto found = parse_date(written(seconds, kRfc850), now);
  // 29 February of 1900, for example, is none.
  if (!found) return require(parts_of(seconds).tm_mon == 1 && parts_of(seconds).tm_mday == 29);
  require((year_of(*found) - year) % 100 == 0);
  check_two_digits(year_of(*found), year_of(now));
}

/// `text` in that form is that time; of a year with two digits, in some century.
bool is(const std::string& text, const char* form, std::int64_t seconds) {
  std::tm parts = {};
  const char* end = ::strptime(text.c_str(), form, &parts);
  if (end == nullptr || *end != '\0') return false;
  if (form != kRfc850) return ::timegm(&parts) == seconds;
  const int two_digits = (parts.tm_year + 1900) % 100;
  for (int century = 0; century < 10'000; century += 100) {
    std::tm some = parts;
    some.tm_year = century + two_digits - 1900;
    if (::timegm(&some) == seconds) return true;
  }
  return false;
}

void check_text(const std::string& text, std::int64_t now) {
  const auto seconds = parse_date(text, now);
  if (!seconds) return;
  require(text.find('\0') == std::string::npos);
  require(*seconds >= kFirst && *seconds <= kLast + 1);  // a leap second may be the last one
  require(is(text, kFixed, *seconds) || is(text, kRfc850, *seconds) || is(text, kAsctime, *seconds));
  if (*seconds > kLast) return;
  require(parse_date(date_of(*seconds), now) == *seconds);
  // There is one way only to write it in this form, but for the day of the week, which nobody compares.
  const bool leap_second = text.find(":60 ") != std::string::npos;
  if (text.size() == kDateBytes && text[3] == ',' && !leap_second)
    require(text.substr(4) == date_of(*seconds).substr(4));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 12 || size > 200) return 0;
  std::uint64_t time = 0;
  std::uint32_t now = 0;  // from 1970 to 2106
  std::memcpy(&time, data, sizeof time);
  std::memcpy(&now, data + sizeof time, sizeof now);
  check_time(kFirst + static_cast<std::int64_t>(time % (kLast - kFirst + 1)), now);
  const std::string text(reinterpret_cast<const char*>(data) + 12, size - 12);
  check_text(text, now);
  // Most texts are no date: these are nearly one.
  for (const char* form : {kFixed, kRfc850, kAsctime}) {
    std::string nearly = written(now, form);
    const std::size_t at = text.empty() ? 0 : static_cast<std::uint8_t>(text[0]) % nearly.size();
    for (std::size_t i = 1; i < text.size() && at + i <= nearly.size(); ++i) nearly[at + i - 1] = text[i];
    check_text(nearly, now);
  }
  return 0;
}
