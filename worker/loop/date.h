// The date of HTTP (RFC 9110 section 5.6.7): one form is written, three are read. Independent of the locale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace limpet::loop {

inline constexpr std::size_t kDateBytes = 29;

/// "Sun, 06 Nov 1994 08:49:37 GMT". `seconds` since 1970, of the years 0 to 9999.
void write_date(std::int64_t seconds, std::span<char, kDateBytes> to) noexcept;
[[nodiscard]] std::string date_of(std::int64_t seconds);

/// Nothing if it is none of the three forms, or no day of the calendar. The day of the week is not compared.
[[nodiscard]] std::optional<std::int64_t> parse_date(std::string_view text, std::int64_t now) noexcept;

}  // namespace limpet::loop
