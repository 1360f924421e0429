// Who of this worker's sockets gets a broadcast.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "worker/socketio/broadcast.h"
#include "worker/socketio/socket_table.h"
#include "worker/socketio/state.h"

namespace limpet::socketio {

class Delivery {
 public:
  /// Both outlive it. `packets_out` counts what is sent, once per socket.
  Delivery(const SocketTable& sockets, std::uint64_t& packets_out) noexcept
      : sockets_(sockets), packets_out_(packets_out) {}

  /// To the sockets of its namespace that it is meant for, each once.
  void deliver(const NamespaceState& nsp, const Broadcast& broadcast);
  /// deliver() would give it to this socket.
  [[nodiscard]] static bool is_for(const SocketState& socket, const Broadcast& broadcast) noexcept;

 private:
  std::uint32_t next_mark();
  void mark_members(const NamespaceState& nsp, std::string_view room, std::uint32_t mark);
  /// `mark` not 0: skips sockets that carry it, and gives it to the others.
  void deliver_to(std::span<const Member> members, const Broadcast& broadcast, const SocketState* left_out,
                  std::uint32_t mark);

  const SocketTable& sockets_;
  std::uint64_t& packets_out_;
  std::uint32_t last_mark_ = 0;
};

}  // namespace limpet::socketio
