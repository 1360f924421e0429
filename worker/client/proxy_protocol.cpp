#include "worker/client/proxy_protocol.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

namespace limpet::client {
namespace {

using Status = ProxyHeader::Status;

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view kLineBegin = "PROXY ";
constexpr std::size_t kLineLimitBytes = 107;  // with its CRLF
constexpr std::size_t kFixedBytes = 16;       // of version 2

ProxyHeader bad(const char* why) { return {Status::Bad, why, 0, std::nullopt}; }

/// As the protocol writes it: no sign, no leading zero.
std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool padded = text.size() > 1 && text.front() == '0';
  if (error != std::errc() || end != text.data() + text.size() || padded) return std::nullopt;
  return port;
}

/// The next word of a line of words that are apart by exactly one blank.
std::string_view take_word(std::string_view* line) {
  const std::size_t end = line->find(' ');
  const std::string_view word = line->substr(0, end);
  line->remove_prefix(end == std::string_view::npos ? line->size() : end + 1);
  return word;
}

/// PROXY TCP4 source destination source-port destination-port
std::optional<PeerAddress> client_of_line(std::string_view words, bool ipv6) {
  const std::string_view source = take_word(&words);
  const std::string_view destination = take_word(&words);
  const auto source_port = port_of(take_word(&words));
  const auto destination_port = port_of(words);
  if (!source_port || !destination_port) return std::nullopt;
  for (const std::string_view address : {source, destination}) {
    const bool looks_right = (address.find(':') != std::string_view::npos) == ipv6;
    if (!looks_right || PeerAddress::from_text(address, 0).family() == AF_UNSPEC) return std::nullopt;
  }
  return PeerAddress::from_text(source, *source_port);
}

ProxyHeader parse_line(std::string_view bytes) {
  const std::size_t end = bytes.substr(0, kLineLimitBytes).find("\r\n");
  if (end == std::string_view::npos)
    return bytes.size() >= kLineLimitBytes ? bad("a line without end") : ProxyHeader{};
  std::string_view words = bytes.substr(kLineBegin.size(), end - kLineBegin.size());
  ProxyHeader header{Status::Complete, "", end + 2, std::nullopt};
  const std::string_view protocol = take_word(&words);
  if (protocol == "UNKNOWN") return header;  // the rest of the line means nothing
  if (protocol != "TCP4" && protocol != "TCP6") return bad("a protocol that is none");
  header.client = client_of_line(words, protocol == "TCP6");
  return header.client ? header : bad("addresses that are none");
}

std::uint16_t number_at(std::span<const std::uint8_t> bytes, std::size_t offset) {
  return static_cast<std::uint16_t>(bytes[offset] << 8 | bytes[offset + 1]);
}

ProxyHeader parse_binary(std::string_view text) {
  if (text.size() < kFixedBytes) return {};
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  const unsigned version = bytes[12] >> 4;
  const unsigned command = bytes[12] & 15U;
  const unsigned family = bytes[13] >> 4;
  const unsigned transport = bytes[13] & 15U;
  const std::size_t length = number_at(bytes, 14);
  if (version != 2) return bad("another version than 1 and 2");
  if (command > 1) return bad("an unknown command");
  // Ignored with LOCAL (section 2.2), else there are no others.
  if (command == 1 && (family > 3 || transport > 2)) return bad("an unknown family or transport");
  if (kFixedBytes + length > kProxyHeaderLimitBytes) return bad("longer than 4096 bytes");
  constexpr std::array<std::size_t, 4> kAddressBytes = {0, 12, 36, 216};
  if (command == 1 && length < kAddressBytes[family]) return bad("shorter than its addresses");
  if (text.size() < kFixedBytes + length) return {};
  ProxyHeader header{Status::Complete, "", kFixedBytes + length, std::nullopt};
  const auto addresses = bytes.subspan(kFixedBytes, length);
  if (command == 1 && transport != 0) {
    if (family == 1) header.client = PeerAddress::from_bytes(addresses.first(4), number_at(addresses, 8));
    if (family == 2) header.client = PeerAddress::from_bytes(addresses.first(16), number_at(addresses, 32));
  }
  return header;
}

}  // namespace

ProxyHeader parse_proxy_header(std::string_view bytes) {
  const auto begins_like = [bytes](std::string_view wanted) {
    const std::size_t common = std::min(bytes.size(), wanted.size());
    return bytes.substr(0, common) == wanted.substr(0, common);
  };
  if (begins_like(kSignature)) return parse_binary(bytes);
  if (!begins_like(kLineBegin)) return bad("no header");
  return bytes.size() < kLineBegin.size() ? ProxyHeader{} : parse_line(bytes);
}

}  // namespace limpet::client
