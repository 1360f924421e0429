// What depends on the Engine.IO version that a client's handshake has named (`EIO` in its query). Each
// session has one dialect for life. There is one so far, EIO=4; what all versions have in common is not here.
#pragma once

#include <cstdint>
#include <string_view>

namespace limpet::engineio {

enum class PacketType : std::uint8_t { Open, Close, Ping, Pong, Message, Upgrade, Noop, Binary, Invalid };

struct Dialect {
  std::string_view protocol;  ///< the value of `EIO` in the query of every request
  char separator;             ///< between the packets of a polling payload
  /// By which a client says that it is still there: Pong, for the server sends the pings. The other one of
  /// Ping and Pong ends the session.
  PacketType heartbeat;
};

inline constexpr Dialect kEngineIo4{.protocol = "4", .separator = '\x1e', .heartbeat = PacketType::Pong};

/// Which one a handshake asks for; nullptr: none that is spoken here.
[[nodiscard]] constexpr const Dialect* find_dialect(std::string_view protocol) noexcept {
  return protocol == kEngineIo4.protocol ? &kEngineIo4 : nullptr;
}

}  // namespace limpet::engineio
