#include "worker/websocket/utf8.h"

#include <cstdint>
#include <cstring>

namespace limpet::websocket {

namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080ull;

/// Bytes at the front that are ASCII, found eight at a time; the last few are left to the caller.
std::size_t ascii_words(const unsigned char* at, std::size_t size) noexcept {
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at + i, sizeof word);
    if ((word & kHighBits) != 0) break;
  }
  return i;
}

bool is_continuation(unsigned char byte) noexcept { return (byte & 0xc0u) == 0x80u; }

/// The length of the sequence of more than one byte that begins at `at`, 0 if it is none (RFC 3629 section
/// 4).
std::size_t sequence(const unsigned char* at, std::size_t left) noexcept {
  const unsigned char lead = at[0];
  if (lead >= 0xc2 && lead <= 0xdf) return left >= 2 && is_continuation(at[1]) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (left < 3 || !is_continuation(at[1]) || !is_continuation(at[2])) return 0;
    const bool overlong = lead == 0xe0 && at[1] < 0xa0;
    const bool surrogate = lead == 0xed && at[1] > 0x9f;
    return overlong || surrogate ? 0 : 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (left < 4 || !is_continuation(at[1]) || !is_continuation(at[2]) || !is_continuation(at[3])) return 0;
    const bool overlong = lead == 0xf0 && at[1] < 0x90;
    const bool beyond = lead == 0xf4 && at[1] > 0x8f;
    return overlong || beyond ? 0 : 4;
  }
  return 0;
}

}  // namespace

bool is_valid_utf8(std::string_view text) noexcept {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t left = text.size();
  while (left > 0) {
    if (*at < 0x80) {
      const std::size_t words = ascii_words(at, left);
      const std::size_t used = words == 0 ? 1 : words;
      at += used;
      left -= used;
      continue;
    }
    const std::size_t used = sequence(at, left);
    if (used == 0) return false;
    at += used;
    left -= used;
  }
  return true;
}

}  // namespace limpet::websocket
