// The opening handshake of RFC 6455, server side (section 4.2): is this request one, and what is the answer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/http/request.h"
#include "worker/http/response.h"

namespace limpet::websocket {

struct HandshakeCheck {
  int error = 0;             ///< 0: good; else the HTTP status to refuse with: 400 or 426
  std::string_view message;  ///< a constant
  /// That the client offers, in its order; views into the head.
  std::vector<std::string_view> protocols = {};
};

[[nodiscard]] HandshakeCheck check_handshake(const http::RequestHead& head);

/// The 101 for a request that passed check_handshake. `protocol`: the one chosen of those that it offers;
/// empty: none. No extension is taken.
[[nodiscard]] http::Response accept_handshake(const http::RequestHead& head, std::string_view protocol = {});

/// The refusal of one that did not.
[[nodiscard]] http::Response refuse_handshake(const HandshakeCheck& check);

/// Sec-WebSocket-Accept for a Sec-WebSocket-Key.
[[nodiscard]] std::string accept_key(std::string_view key);

}  // namespace limpet::websocket
