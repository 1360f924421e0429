// One emit as it travels between workers: who gets it, and the packet, encoded once. The adapter carries it;
// the Socket.IO server makes it on one side and delivers it on the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "worker/loop/buffer.h"

namespace limpet::socketio {

/// Bytes of a room's name. As many as the other workers can be told of (adapter/record.h), so that no room is
/// one of this worker alone.
inline constexpr std::size_t kLongestRoomName = 65'535;
/// Rooms of one broadcast, and as many exceptions, for the same reason.
inline constexpr std::size_t kMostRooms = 65'535;

/// Views and buffers are valid during the call they are passed to; take copies (of Buffers: handles) to keep
/// them.
struct Broadcast {
  std::string_view nsp;  ///< "/", "/admin"
  std::span<const std::string_view>
      rooms;  ///< empty: every socket of the namespace. A socket's own id is a room
  std::span<const std::string_view> except;  ///< rooms (and socket ids) left out
  bool is_volatile = false;                  ///< dropped for sockets that are not writable
  std::span<const loop::Buffer>
      frames;  ///< the packet, then its binary attachments, as Session::send takes them
};

/// What became of an emit for the other workers (docs/design.md, "What is promised").
enum class EmitResult : std::uint8_t {
  Published,  ///< written to the ring: survives SIGKILL of this worker
  Deferred,   ///< the ring was full: queued privately, bounded; counted
  Lost,       ///< too large, or the private queue was full; counted. Local sockets got it all the same
};

/// The way to the other workers.
class Adapter {
 public:
  virtual ~Adapter() = default;
  virtual EmitResult publish(const Broadcast& broadcast) = 0;
};

}  // namespace limpet::socketio
