// Who pays for the memory of a socket (costs.h): its session, or once it has ended, and its session may be
// gone, the server itself.
#pragma once

#include <cstddef>

#include "base/check.h"
#include "worker/socketio/state.h"

namespace limpet::socketio {

class Charges {
 public:
  void charge(SocketState& socket, std::ptrdiff_t bytes) noexcept {
    if (!socket.ended) return socket.client->session->hold(bytes);
    CHECK(bytes >= 0 || held_for_ended_ >= static_cast<std::size_t>(-bytes),
          "more is given back for sockets that have ended than was charged");
    held_for_ended_ += static_cast<std::size_t>(bytes);
  }
  [[nodiscard]] std::size_t held_for_ended() const noexcept { return held_for_ended_; }

 private:
  std::size_t held_for_ended_ = 0;
};

/// What few sockets need, made if need be.
SocketExtras& extras_of(SocketState& socket, Charges& charges);
/// JSON text of the CONNECT packet.
void keep_auth(SocketState& socket, std::string_view auth, Charges& charges);
/// Of a socket that has an auth. Kept: as many looks as there are cost one time of parsing.
const boost::json::value& parsed_auth(SocketState& socket, Charges& charges);
/// Bytes that the socket is charged with, but for its rooms (Memberships::held()).
[[nodiscard]] std::ptrdiff_t held_without_rooms(const SocketState& socket) noexcept;

}  // namespace limpet::socketio
