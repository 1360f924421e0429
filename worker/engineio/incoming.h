// What a packet of a client does, whichever transport has brought it: it goes to the layer above, keeps the
// session alive, or ends it.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/engineio/heartbeats.h"
#include "worker/engineio/lives.h"
#include "worker/engineio/open_session.h"
#include "worker/engineio/packet.h"
#include "worker/engineio/session.h"
#include "worker/websocket/reader.h"

namespace limpet::engineio {

class Incoming {
 public:
  Incoming(SessionHandler& handler, Heartbeats& heartbeats, Lives& lives) noexcept
      : handler_(handler), heartbeats_(heartbeats), lives_(lives) {}

  /// `session` is open. False: the packet has ended it. Inline, for every message passes here.
  bool take(OpenSession& session, const Packet& packet) {
    switch (packet.type) {
      case PacketType::Message:
        ++messages_;
        handler_.on_text(session, packet.data);
        return true;
      case PacketType::Binary:
        take_binary(session, from_base64(packet.data));
        return true;
      case PacketType::Ping:
      case PacketType::Pong:
        if (packet.type != session.dialect().heartbeat) return end(session, CloseReason::TransportError);
        heartbeats_.on_pong(session);
        return true;
      case PacketType::Open:
      case PacketType::Upgrade:
      case PacketType::Noop:
        return true;
      case PacketType::Close:
        return end(session, CloseReason::TransportClose);
      case PacketType::Invalid:
        break;
    }
    return end(session, CloseReason::ParseError);
  }
  void take_binary(OpenSession& session, std::string_view bytes) {
    ++messages_;
    handler_.on_binary(session, bytes);
  }

  /// To the layer above.
  [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }

 private:
  bool end(OpenSession& session, CloseReason reason) {
    lives_.end(session, reason, websocket::CloseCode::Normal);
    return false;
  }

  SessionHandler& handler_;
  Heartbeats& heartbeats_;
  Lives& lives_;
  std::uint64_t messages_ = 0;
};

}  // namespace limpet::engineio
