// The one filter of everything that goes into a log or onto a terminal: what clients and applications write
// must not end a line, start a new one, or give a terminal orders.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace limpet::base {

/// `text` as one line without its end, of at most `longest` bytes (64 or more): valid UTF-8 without control
/// characters (C0, DEL, C1) and without the line and paragraph separators U+2028 and U+2029. Each byte of
/// what must not stand there becomes \xNN. What does not fit is cut off, and a mark tells how many bytes that
/// were.
[[nodiscard]] std::string plain_line(std::string_view text, std::size_t longest);

}  // namespace limpet::base
