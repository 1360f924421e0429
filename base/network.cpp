#include "base/network.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <charconv>

namespace limpet::base {
namespace {

/// Is a bit behind the prefix set? Then the operator meant something else.
bool has_host_bits(const Network& network) {
  for (unsigned bit = network.prefix_bits; bit < network.bytes.size() * 8; ++bit) {
    if ((network.bytes[bit / 8] & (0x80U >> (bit % 8))) != 0) return true;
  }
  return false;
}

bool is_mapped(const Network& network) {
  return network.family == AF_INET6 && network.prefix_bits >= 96 &&
         IN6_IS_ADDR_V4MAPPED(reinterpret_cast<const in6_addr*>(network.bytes.data())) != 0;
}

}  // namespace

bool Network::contains(int address_family, std::span<const std::uint8_t> address) const noexcept {
  if (address_family != family) return false;
  for (unsigned bit = 0; bit < prefix_bits; ++bit) {
    const unsigned mask = 0x80U >> (bit % 8);
    if (((bytes[bit / 8] ^ address[bit / 8]) & mask) != 0) return false;
  }
  return true;
}

std::optional<Network> parse_network(std::string_view text, std::string* why) {
  Network network;
  if (text == "unix") return network;
  *why = fmt::format(
      "'{}' is no network; 10.0.0.0/8, 2001:db8::/32, 192.0.2.7 and unix (the peers of Unix sockets) are",
      text);
  if (text.find('\0') != std::string_view::npos) return std::nullopt;  // inet_pton would end there
  const std::size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  network.family = host.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (::inet_pton(network.family, host.c_str(), network.bytes.data()) != 1) return std::nullopt;
  const unsigned whole = network.family == AF_INET ? 32 : 128;
  network.prefix_bits = whole;
  if (slash != std::string_view::npos) {
    const std::string_view bits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), network.prefix_bits);
    if (error != std::errc() || end != bits.data() + bits.size() || network.prefix_bits > whole)
      return std::nullopt;
  }
  if (has_host_bits(network)) {
    *why = fmt::format("'{}' has bits set behind its prefix of {} bits; which network is meant?", text,
                       network.prefix_bits);
    return std::nullopt;
  }
  if (is_mapped(network)) {
    *why = fmt::format(
        "'{}': IPv4 clients are seen as IPv4, whatever they come in over; 192.0.2.0/24 is right", text);
    return std::nullopt;
  }
  return network;
}

}  // namespace limpet::base
