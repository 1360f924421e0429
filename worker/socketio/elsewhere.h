// Where a client is that has moved, as the Socket.IO server sees it: what handles and callbacks that stayed
// behind do to its sockets goes there, and so do answers that are not for this process. The process layer
// implements it over migration streams.
#pragma once

#include <span>
#include <string_view>

#include "worker/loop/buffer.h"

namespace limpet::socketio {

class Elsewhere {
 public:
  virtual ~Elsewhere() = default;

  // To the process that a socket has moved to.
  virtual void emit(std::string_view nsp, std::string_view id, std::span<const loop::Buffer> frames) = 0;
  virtual void join(std::string_view nsp, std::string_view id, std::string_view room) = 0;
  virtual void leave(std::string_view nsp, std::string_view id, std::string_view room) = 0;
  virtual void disconnect(std::string_view nsp, std::string_view id, bool close) = 0;

  /// To the process that the socket came from: an acknowledgement that nobody waits for here.
  virtual void reply(std::string_view nsp, std::string_view id, std::string_view packet,
                     std::span<const loop::Buffer> attachments) = 0;
};

}  // namespace limpet::socketio
