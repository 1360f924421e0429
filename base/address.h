// A listening address as the operator writes it: tcp://127.0.0.1:3000, tcp://[::]:3000, tcp://*:3000,
// unix:///run/app/limpet.sock. A value; numbers only, no names are resolved.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace limpet::base {

struct Address {
  sockaddr_storage storage = {};
  socklen_t length = 0;

  [[nodiscard]] int family() const noexcept { return storage.ss_family; }
  [[nodiscard]] bool is_unix() const noexcept { return family() == AF_UNIX; }
  /// Of a Unix socket.
  [[nodiscard]] std::string path() const;
  /// All addresses of its family: [::], 0.0.0.0.
  [[nodiscard]] bool is_any() const noexcept;
  /// 0 for a Unix socket.
  [[nodiscard]] std::uint16_t port() const noexcept;
  void set_port(std::uint16_t port) noexcept;
  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// nullopt, with what would be right in `*why`. `*` is [::] where IPv6 exists, else 0.0.0.0.
[[nodiscard]] std::optional<Address> parse_address(std::string_view text, std::string* why);

/// tcp://[::]:3000, unix:///run/app/limpet.sock
[[nodiscard]] std::string to_text(const Address& address);

}  // namespace limpet::base
