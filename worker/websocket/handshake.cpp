#include "worker/websocket/handshake.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace limpet::websocket {

namespace {

constexpr std::size_t kKeyChars = 24;     // base64 of 16 bytes
constexpr std::size_t kAcceptChars = 28;  // base64 of a SHA-1

/// 22 base64 characters and "==".
bool is_key(std::string_view key) noexcept {
  if (key.size() != kKeyChars || !key.ends_with("==")) return false;
  return std::all_of(key.begin(), key.end() - 2, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '/';
  });
}

/// More of them are nobody's wish, and each is compared with those before it.
constexpr std::size_t kMostProtocols = 64;

/// One line of Sec-WebSocket-Protocol: tokens, none of them twice (section 4.1). False: it is no such list.
bool take_protocols(std::string_view line, std::vector<std::string_view>& protocols) {
  for (bool more = true; more;) {
    const std::size_t comma = line.find(',');
    const std::string_view token = http::trim(line.substr(0, comma));
    if (!http::is_token(token) || protocols.size() == kMostProtocols) return false;
    if (std::find(protocols.begin(), protocols.end(), token) != protocols.end()) return false;
    protocols.push_back(token);
    more = comma != std::string_view::npos;
    if (more) line.remove_prefix(comma + 1);
  }
  return true;
}

}  // namespace

HandshakeCheck check_handshake(const http::RequestHead& head) {
  if (head.method != "GET" || head.version != 11)
    return {400, "WebSocket handshakes are HTTP/1.1 GET requests", {}};
  if (!head.upgrade) return {400, "Missing or invalid Upgrade header", {}};
  // RFC 6455 section 11.3.1: each of these may come once.
  http::SingleLine key, version;
  HandshakeCheck good;
  std::size_t cursor = 0;
  std::string_view name;
  std::string_view value;
  while (http::next_header(head.raw, cursor, name, value)) {
    if (http::equal_ignoring_case(name, "Sec-WebSocket-Key")) {
      key.take(value);
    } else if (http::equal_ignoring_case(name, "Sec-WebSocket-Version")) {
      version.take(value);
    } else if (http::equal_ignoring_case(name, "Sec-WebSocket-Protocol") &&
               !take_protocols(value, good.protocols)) {
      return {400, "Invalid Sec-WebSocket-Protocol header", {}};
    }
  }
  if (!is_key(key.only())) return {400, "Missing or invalid Sec-WebSocket-Key header", {}};
  if (version.only() != "13") return {426, "Missing or invalid Sec-WebSocket-Version header", {}};
  return good;
}

std::string accept_key(std::string_view key) {
  std::string text(key);
  text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::array<unsigned char, kAcceptChars + 1> encoded{};
  EVP_EncodeBlock(encoded.data(), digest.data(), static_cast<int>(digest.size()));
  return {reinterpret_cast<const char*>(encoded.data()), kAcceptChars};
}

http::Response accept_handshake(const http::RequestHead& head, std::string_view protocol) {
  http::Response response(101);
  response.add_header("Upgrade", "websocket").add_header("Connection", "Upgrade");
  response.add_header("Sec-WebSocket-Accept", accept_key(head.header("Sec-WebSocket-Key")));
  if (!protocol.empty()) response.add_header("Sec-WebSocket-Protocol", protocol);
  return response;
}

http::Response refuse_handshake(const HandshakeCheck& check) {
  http::Response response(check.error, "text/html", std::string(check.message));
  if (check.error == 426) {
    // RFC 9110 section 15.5.22: what to upgrade to; beside the `close` of this connection.
    response.add_header("Upgrade", "websocket").add_header("Connection", "Upgrade");
    response.add_header("Sec-WebSocket-Version", "13");
  }
  response.close = true;
  return response;
}

}  // namespace limpet::websocket
