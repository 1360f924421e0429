// The answers of a WebSocket and Socket.IO handshake, for the raw loop. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace limpet::bench {

/// The 101 response to `request` (a whole header), followed by the frame of the Engine.IO open packet, as one
/// send. Empty if `request` has no Sec-WebSocket-Key.
std::string handshake_answer(std::string_view request, std::uint64_t session);
/// The frame that answers the Socket.IO CONNECT.
std::string connect_answer(std::uint64_t session);

}  // namespace limpet::bench
