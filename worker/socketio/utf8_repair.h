// Text of an application on its way to clients, who would close their connection over what is not UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace limpet::socketio {

/// It is not UTF-8. Fast for ASCII, which most text is.
[[nodiscard]] bool needs_repair(std::string_view text) noexcept;
/// Each byte that belongs to no valid sequence becomes U+FFFD.
[[nodiscard]] std::string repaired_utf8(std::string_view text);
/// The text, repaired if it needs that.
[[nodiscard]] std::string with_valid_utf8(std::string text);

}  // namespace limpet::socketio
