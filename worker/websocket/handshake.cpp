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

}  // namespace

HandshakeCheck check_handshake(const http::RequestHead& head) noexcept {
  if (head.method != "GET" || head.version != 11)
    return {400, "WebSocket handshakes are HTTP/1.1 GET requests"};
  if (!head.upgrade) return {400, "Missing or invalid Upgrade header"};
  if (!is_key(head.header("Sec-WebSocket-Key"))) return {400, "Missing or invalid Sec-WebSocket-Key header"};
  if (head.header("Sec-WebSocket-Version") != "13")
    return {426, "Missing or invalid Sec-WebSocket-Version header"};
  return {};
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

http::Response accept_handshake(const http::RequestHead& head) {
  http::Response response(101);
  response.add_header("Upgrade", "websocket").add_header("Connection", "Upgrade");
  response.add_header("Sec-WebSocket-Accept", accept_key(head.header("Sec-WebSocket-Key")));
  return response;
}

http::Response refuse_handshake(const HandshakeCheck& check) {
  http::Response response(check.error, "text/html", std::string(check.message));
  if (check.error == 426) response.add_header("Sec-WebSocket-Version", "13");
  response.close = true;
  return response;
}

}  // namespace limpet::websocket
