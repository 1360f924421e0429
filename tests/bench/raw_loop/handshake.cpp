#include "tests/bench/raw_loop/handshake.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>

#include "tests/bench/traffic.h"

namespace limpet::bench {
namespace {

constexpr std::string_view kKeyHeader = "Sec-WebSocket-Key: ";
constexpr std::size_t kKeyLength = 24;
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3

std::string accepted(std::string_view key) {
  const std::string text = std::string(key).append(kGuid);
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::array<unsigned char, 32> encoded;
  const int length = EVP_EncodeBlock(encoded.data(), digest.data(), SHA_DIGEST_LENGTH);
  return {reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(length)};
}

/// 20 characters, as every server's session ids.
std::string sid(std::uint64_t session) {
  std::string digits = std::to_string(session);
  return std::string(20 - digits.size(), 'A') + digits;
}

}  // namespace

std::string handshake_answer(std::string_view request, std::uint64_t session) {
  const std::size_t header = request.find(kKeyHeader);
  if (header == std::string_view::npos) return {};
  const std::string_view key = request.substr(header + kKeyHeader.size(), kKeyLength);
  std::string answer =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: " +
      accepted(key) + "\r\n\r\n";
  return answer + server_frame("0{\"sid\":\"" + sid(session) +
                               "\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,"
                               "\"maxPayload\":1000000}");
}

std::string connect_answer(std::uint64_t session) {
  return server_frame("40{\"sid\":\"" + sid(session) + "\"}");
}

}  // namespace limpet::bench
