#include "worker/process/peer_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

namespace limpet::process {

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

PeerAddress PeerAddress::from_text(std::string_view text, std::uint16_t port) {
  PeerAddress peer;
  const std::string terminated(text);
  for (const int family : {AF_INET, AF_INET6}) {
    if (::inet_pton(family, terminated.c_str(), peer.bytes_.data()) == 1) {
      peer.family_ = static_cast<std::uint8_t>(family);
      peer.port_ = port;
      break;
    }
  }
  return peer;
}

std::string PeerAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (family_ == AF_UNSPEC || ::inet_ntop(family_, bytes_.data(), text.data(), text.size()) == nullptr)
    return {};
  return text.data();
}

}  // namespace limpet::process
