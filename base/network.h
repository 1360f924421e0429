// A network as the operator writes it, in CIDR form: 10.0.0.0/8, 2001:db8::/32, 192.0.2.7 (one address); or
// `unix`, the peers of Unix sockets, which have no address. A value.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace limpet::base {

struct Network {
  int family = 0;  ///< AF_INET, AF_INET6; AF_UNSPEC for `unix`
  unsigned prefix_bits = 0;
  std::array<std::uint8_t, 16> bytes{};  ///< network byte order; IPv4 in the first four

  /// `address`: of that family, 4 or 16 bytes; none for AF_UNSPEC.
  [[nodiscard]] bool contains(int address_family, std::span<const std::uint8_t> address) const noexcept;
  bool operator==(const Network&) const = default;
};

/// nullopt, with what would be right in `*why`.
[[nodiscard]] std::optional<Network> parse_network(std::string_view text, std::string* why);

}  // namespace limpet::base
