// A client's address in 19 bytes: what handshake.address shows and a handover tells.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace limpet::client {

class PeerAddress {
 public:
  PeerAddress() = default;
  /// Of accept(2) or getpeername(2). An IPv4-mapped IPv6 address becomes IPv4; any other family has no text.
  static PeerAddress from(const sockaddr_storage& address) noexcept;
  /// The inverse of text() and port(); no address if `text` is none.
  static PeerAddress from_text(std::string_view text, std::uint16_t port);

  /// 4 or 16 bytes in network order, as the PROXY protocol has them; an IPv4-mapped one becomes IPv4.
  static PeerAddress from_bytes(std::span<const std::uint8_t> bytes, std::uint16_t port) noexcept;

  /// AF_INET, AF_INET6, or AF_UNSPEC for a Unix socket.
  [[nodiscard]] int family() const noexcept { return family_; }
  /// In network order; none for a Unix socket.
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept {
    return std::span(bytes_).first(family_ == AF_INET ? 4 : family_ == AF_INET6 ? 16 : 0);
  }
  /// "127.0.0.5", "::1", or "" for a Unix socket.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// What limits by address go by: an IPv4 address, or an IPv6 /64. Different for the two families.
  [[nodiscard]] std::uint64_t network_key() const noexcept;

 private:
  std::array<std::uint8_t, 16> bytes_{};
  std::uint16_t port_ = 0;
  std::uint8_t family_ = AF_UNSPEC;
};

}  // namespace limpet::client
