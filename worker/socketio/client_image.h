// All that the Socket.IO server knows of a client, as one plain value: what travels when it moves to another
// process. Handlers are not in it: they are bound again by running the connection handler. Neither are
// callbacks of acknowledgements: they stay where they were born, and replies that nobody waits for in the new
// place are passed back there.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "worker/loop/buffer.h"
#include "worker/socketio/room_names.h"

namespace limpet::socketio {

/// A connected socket.
struct SocketImage {
  std::string nsp;                  ///< "/", "/admin"
  std::string id;                   ///< 20 characters
  RoomNames rooms;                  ///< without its own
  std::string data;                 ///< JSON text of socket.data()
  std::string auth;                 ///< JSON text of the CONNECT packet; empty: none
  std::uint64_t next_reply_id = 0;  ///< of the next emit with an acknowledgement
};

struct ClientImage {
  /// A packet whose attachments are not all here.
  struct Assembly {
    std::string text;
    std::uint32_t expected = 0;
    std::vector<loop::Buffer> attachments;  ///< as frames
  };
  std::vector<SocketImage> sockets;
  std::optional<Assembly> assembly;
  /// What is left for it to join a first namespace; nothing once it has.
  std::optional<std::chrono::milliseconds> connect_timer;
};

}  // namespace limpet::socketio
