// The Socket.IO 5 packet as it stands in a text message, read strictly (docs/protocol.md, "Socket.IO 5").
// Names and extents only: arguments stay text until a handler asks for them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "worker/socketio/json_scan.h"
#include "worker/socketio/packet_type.h"

namespace limpet::socketio {

/// The largest ack id that a JavaScript client counts to exactly: 2^53 - 1.
inline constexpr std::uint64_t kMaxAckId = (std::uint64_t{1} << 53) - 1;

/// Views into the text that was decoded.
struct Packet {
  std::string_view text;  ///< the whole packet
  PacketType type = PacketType::Connect;
  std::uint32_t attachments = 0;
  std::string_view nsp = "/";
  std::optional<std::uint64_t> id;
  std::string_view json;  ///< empty: no payload
  ElementList elements;   ///< of EVENT and ACK: the array's; an event's name is the first

  /// An event's name; view into the text, or into `storage` if it had to be unescaped.
  [[nodiscard]] std::string_view event_name(std::string& storage) const;
};

/// False: `text` is no packet that a correct client sends; the session is to be closed.
[[nodiscard]] bool decode_packet(std::string_view text, Packet& packet);

}  // namespace limpet::socketio
