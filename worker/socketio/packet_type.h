// What stands in the head of a Socket.IO 5 packet, for those who write one and those who read it.
#pragma once

#include <cstdint>
#include <string_view>

namespace limpet::socketio {

enum class PacketType : std::uint8_t {
  Connect,
  Disconnect,
  Event,
  Ack,
  ConnectError,
  BinaryEvent,
  BinaryAck
};

/// More attachments than this in one packet are refused, by us and by current clients (CVE-2026-33151).
inline constexpr std::uint32_t kMaxAttachments = 10;

/// Names that the protocol keeps for itself: "connect", "disconnect", …
[[nodiscard]] bool is_reserved_event(std::string_view name) noexcept;

}  // namespace limpet::socketio
