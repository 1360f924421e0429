#include "base/plain_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace limpet::base {
namespace {

/// Room that the mark takes, with a number of 20 digits.
constexpr std::size_t kMarkBytes = 40;

constexpr std::uint8_t byte_at(std::string_view text, std::size_t at) noexcept {
  return at < text.size() ? static_cast<std::uint8_t>(text[at]) : std::uint8_t{0};
}

constexpr bool continues(std::string_view text, std::size_t at, std::uint8_t from = 0x80,
                         std::uint8_t to = 0xBF) noexcept {
  return byte_at(text, at) >= from && byte_at(text, at) <= to;
}

/// Bytes of the character that `text` begins with; 0 if those are not UTF-8 (RFC 3629, section 4).
std::size_t character_size(std::string_view text) noexcept {
  const std::uint8_t first = byte_at(text, 0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(text, 1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const std::uint8_t from = first == 0xE0 ? 0xA0 : 0x80;
    const std::uint8_t to = first == 0xED ? 0x9F : 0xBF;
    return continues(text, 1, from, to) && continues(text, 2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const std::uint8_t from = first == 0xF0 ? 0x90 : 0x80;
    const std::uint8_t to = first == 0xF4 ? 0x8F : 0xBF;
    return continues(text, 1, from, to) && continues(text, 2) && continues(text, 3) ? 4 : 0;
  }
  return 0;
}

bool may_stand(std::string_view character) noexcept {
  const std::uint8_t first = byte_at(character, 0);
  if (character.size() == 1) return first >= 0x20 && first != 0x7F;
  if (first == 0xC2) return byte_at(character, 1) >= 0xA0;
  return character != "\u2028" && character != "\u2029";
}

void append_escaped(std::string& line, std::string_view bytes) {
  for (const char byte : bytes)
    fmt::format_to(std::back_inserter(line), "\\x{:02x}", static_cast<std::uint8_t>(byte));
}

}  // namespace

std::string plain_line(std::string_view text, std::size_t longest) {
  std::string line;
  line.reserve(std::min(text.size(), longest));
  // Where the line is cut if the whole does not fit.
  std::size_t kept = 0;
  std::size_t read_of_kept = 0;
  for (std::size_t read = 0; read < text.size();) {
    const std::size_t size = character_size(text.substr(read));
    const std::string_view piece = text.substr(read, std::max<std::size_t>(size, 1));
    if (size > 0 && may_stand(piece)) {
      line += piece;
    } else {
      append_escaped(line, piece);
    }
    if (line.size() > longest) {
      line.resize(kept);
      line += fmt::format(" ... ({} bytes more)", text.size() - read_of_kept);
      return line;
    }
    read += piece.size();
    if (line.size() + kMarkBytes <= longest) {
      kept = line.size();
      read_of_kept = read;
    }
  }
  return line;
}

}  // namespace limpet::base
