#include "worker/client/peer_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

namespace limpet::client {

PeerAddress PeerAddress::from(const sockaddr_storage& address) noexcept {
  PeerAddress peer;
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    peer.family_ = AF_INET;
    peer.port_ = ntohs(v4.sin_port);
    std::memcpy(peer.bytes_.data(), &v4.sin_addr, 4);
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) != 0;
    peer.family_ = mapped ? AF_INET : AF_INET6;
    peer.port_ = ntohs(v6.sin6_port);
    std::memcpy(peer.bytes_.data(), v6.sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
  }
  return peer;
}

PeerAddress PeerAddress::from_bytes(std::span<const std::uint8_t> bytes, std::uint16_t port) noexcept {
  sockaddr_storage address{};
  if (bytes.size() == 4) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(address);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, bytes.data(), 4);
  } else if (bytes.size() == 16) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, bytes.data(), 16);
  }
  return from(address);
}

PeerAddress PeerAddress::from_text(std::string_view text, std::uint16_t port) {
  if (text.find('\0') != std::string_view::npos) return {};  // inet_pton would end there
  const std::string terminated(text);
  std::array<std::uint8_t, 16> bytes{};
  if (::inet_pton(AF_INET, terminated.c_str(), bytes.data()) == 1)
    return from_bytes(std::span(bytes).first(4), port);
  if (::inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1) return from_bytes(bytes, port);
  return {};
}

std::uint64_t PeerAddress::network_key() const noexcept {
  std::uint64_t key = 0;
  if (family_ == AF_INET6) {
    std::memcpy(&key, bytes_.data(), sizeof key);
    return key;
  }
  // No client has an address of ffff::/32, which is multicast.
  std::memcpy(&key, bytes_.data(), 4);
  return key << 32 | 0xffffffffu;
}

std::string PeerAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (family_ == AF_UNSPEC || ::inet_ntop(family_, bytes_.data(), text.data(), text.size()) == nullptr)
    return {};
  return text.data();
}

}  // namespace limpet::client
