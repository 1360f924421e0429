// Names one socket of a server, as a value: it stays valid when the socket is gone, and then finds nothing
// (law 11 of docs/design.md).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/limits.h"

namespace limpet::socketio {

class Server;

using SocketId = std::array<char, base::kIdBytes>;

inline std::string_view view_of(const SocketId& id) noexcept { return {id.data(), id.size()}; }

struct SocketHandle {
  Server* server = nullptr;  ///< null: of no socket
  std::uint32_t index = 0;
  std::uint32_t epoch = 0;  ///< differs for each socket that has ever had the index
  SocketId id{};
};

}  // namespace limpet::socketio
