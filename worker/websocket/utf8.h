// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing beyond U+10FFFF.
#pragma once

#include <string_view>

namespace limpet::websocket {

[[nodiscard]] bool is_valid_utf8(std::string_view text) noexcept;

}  // namespace limpet::websocket
