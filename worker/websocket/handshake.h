// The opening handshake of RFC 6455, server side (section 4.2): is this request one, and what is the answer.
#pragma once

#include <string>
#include <string_view>

#include "worker/http/request.h"
#include "worker/http/response.h"

namespace limpet::websocket {

struct HandshakeCheck {
  int error = 0;  ///< 0: good; else the HTTP status to refuse with: 400 or 426
  std::string_view message;
};

/// `head` must outlive nothing: the messages are constants.
[[nodiscard]] HandshakeCheck check_handshake(const http::RequestHead& head) noexcept;

/// The 101 for a request that passed check_handshake. Offers no subprotocol and no extension.
[[nodiscard]] http::Response accept_handshake(const http::RequestHead& head);

/// The refusal of one that did not.
[[nodiscard]] http::Response refuse_handshake(const HandshakeCheck& check);

/// Sec-WebSocket-Accept for a Sec-WebSocket-Key.
[[nodiscard]] std::string accept_key(std::string_view key);

}  // namespace limpet::websocket
