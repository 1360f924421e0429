// Which rooms the sockets are in. Both sides know their place in the other's list, so to join and to leave
// costs the same however many rooms the socket has and however many members the room.
//
// Invariants: M1 room.members[i].socket->rooms[room.places[i]] is {&room, i}. M2 a member's session is the
// socket's own if its place is below kEndedAtOnce, else the socket's gate; it is the gate for all rooms of a
// socket that has no client yet (Server::join_ahead). M3 a socket with more than kFewRooms has ManyRooms,
// whose `places` has all of its rooms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/loop/allowance.h"
#include "worker/socketio/charges.h"
#include "worker/socketio/state.h"

namespace limpet::socketio {

/// Of joining or leaving a room: its name is hashed, copied or freed.
[[nodiscard]] inline std::uint32_t units_of_room(std::string_view name) noexcept {
  return 1 + loop::units_of_bytes(name.size());
}

class Memberships {
 public:
  /// Both outlive it. `packets_out`: where those are counted that a broadcast gives to members.
  Memberships(Charges& charges, std::uint64_t& packets_out) noexcept
      : charges_(charges), packets_out_(packets_out) {}

  /// Nothing happens if it is in that room. Its own room, which has its id as name, is implicit.
  void join(SocketState& socket, std::string_view room);
  /// False: it is not in that room, or it can only be in its own.
  bool leave(SocketState& socket, std::string_view room);
  [[nodiscard]] static bool is_in(const SocketState& socket, std::string_view room) noexcept;

  /// Before it joins so many, which are more than kFewRooms.
  void become_many(SocketState& socket, std::size_t expected);
  /// A socket that has joined rooms before it had a client has one now: they reach its session.
  void open_gate(SocketState& socket);
  /// It has ended: all, or those that are known by the session itself; whatever is left then is behind the
  /// gate, which is shut.
  void leave_all(SocketState& socket);
  [[nodiscard]] static bool has_rooms_to_leave(const SocketState& socket) noexcept;
  /// False: the allowance did not suffice.
  bool leave_more(SocketState& socket, loop::Allowance& allowance);

  /// Bytes that the socket is charged with for its rooms.
  [[nodiscard]] static std::size_t held(const SocketState& socket) noexcept;

 private:
  void add(SocketState& socket, RoomState& room);
  void remove(SocketState& socket, std::uint32_t place);
  void leave_room(const Membership& gone);
  void charge(SocketState& socket, std::ptrdiff_t bytes) noexcept;

  Charges& charges_;
  std::uint64_t& packets_out_;
};

}  // namespace limpet::socketio
