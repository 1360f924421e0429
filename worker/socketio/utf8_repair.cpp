#include "worker/socketio/utf8_repair.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "worker/websocket/utf8.h"

namespace limpet::socketio {
namespace {

bool is_ascii(std::string_view text) noexcept {
  std::uint64_t seen = 0;
  std::size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, 8);
    seen |= word;
  }
  for (; at < text.size(); ++at) seen |= static_cast<unsigned char>(text[at]);
  return (seen & 0x8080808080808080u) == 0;
}

/// Bytes of the UTF-8 sequence that `lead` begins; 0: it begins none.
std::size_t sequence_size(char lead) noexcept {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xc2 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf5 ? 4 : 0;
}

}  // namespace

bool needs_repair(std::string_view text) noexcept {
  return !is_ascii(text) && !websocket::is_valid_utf8(text);
}

std::string repaired_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  while (!text.empty()) {
    const std::size_t size = sequence_size(text.front());
    if (size != 0 && size <= text.size() && websocket::is_valid_utf8(text.substr(0, size))) {
      out.append(text.substr(0, size));
      text.remove_prefix(size);
    } else {
      out.append("\xef\xbf\xbd");
      text.remove_prefix(1);
    }
  }
  return out;
}

std::string with_valid_utf8(std::string text) {
  if (needs_repair(text)) return repaired_utf8(text);
  return text;
}

}  // namespace limpet::socketio
