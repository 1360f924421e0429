// Which rooms a socket is in. Both sides know their place in the other's list, so to join and to leave costs
// the same however many rooms the socket has and however many members the room.
//
// Invariants: M1 room.members[i].socket->rooms[room.places[i]] is {&room, i}. M2 a member's session is the
// socket's own if its place is below kEndedAtOnce, else the socket's gate; it is the gate for all rooms of a
// socket that has no client yet (join_ahead). M3 a socket with more than
// kFewRooms has ManyRooms, whose `places` has all of its rooms.
#include <algorithm>
#include <utility>

#include "worker/socketio/costs.h"
#include "worker/socketio/server.h"

namespace limpet::socketio {
namespace {

constexpr std::uint32_t kNoPlace = 0xffffffff;

ManyRooms* many_rooms_of(const SocketState& socket) noexcept {
  return socket.extras == nullptr ? nullptr : socket.extras->many_rooms.get();
}

/// Of the room in socket.rooms.
std::uint32_t place_of(const SocketState& socket, const RoomState& room) noexcept {
  if (const ManyRooms* const many = many_rooms_of(socket)) {
    const auto found = many->places.find(&room);
    return found == many->places.end() ? kNoPlace : found->second;
  }
  const auto found = std::find_if(socket.rooms.begin(), socket.rooms.end(),
                                  [&room](const Membership& one) { return one.room == &room; });
  return found == socket.rooms.end() ? kNoPlace : static_cast<std::uint32_t>(found - socket.rooms.begin());
}

std::ptrdiff_t cost_of(const RoomState& room) noexcept {
  return kRoomBytes + static_cast<std::ptrdiff_t>(room.name.size());
}

/// Of joining or leaving it: its name is hashed, copied or freed.
std::uint32_t units_of(std::string_view room) noexcept { return 1 + loop::units_of_bytes(room.size()); }

engineio::Session* session_at(const SocketState& socket, std::size_t place) noexcept {
  if (place < kEndedAtOnce && socket.client != nullptr) return socket.client->session;
  return &many_rooms_of(socket)->gate;
}

/// The room behind a membership that has come to another place.
void tell_place(const SocketState& socket, std::uint32_t place) noexcept {
  const Membership& moved = socket.rooms[place];
  moved.room->places[moved.index] = place;
  moved.room->members[moved.index].session = session_at(socket, place);
}

}  // namespace

bool Server::join(SocketState& socket, std::string_view room) {
  if (socket.phase == SocketState::Phase::Closing) return false;
  if (socket.phase == SocketState::Phase::Moved) {
    if (elsewhere_ != nullptr) elsewhere_->join(socket.nsp->name, view_of(socket.id), room);
    return elsewhere_ != nullptr;
  }
  if (room == view_of(socket.id)) return true;  // its own room is implicit
  RoomState& state = socket.nsp->rooms.obtain(room);
  if (place_of(socket, state) == kNoPlace) add_membership(socket, state);
  return true;
}

bool Server::leave(SocketState& socket, std::string_view room) {
  if (socket.phase == SocketState::Phase::Moved) {
    if (elsewhere_ != nullptr) elsewhere_->leave(socket.nsp->name, view_of(socket.id), room);
    return elsewhere_ != nullptr;
  }
  const RoomState* const state = socket.ended ? nullptr : socket.nsp->rooms.find(room);
  const std::uint32_t place = state == nullptr ? kNoPlace : place_of(socket, *state);
  if (place == kNoPlace) return false;
  remove_membership(socket, place);
  return true;
}

bool Server::is_in(const SocketState& socket, std::string_view room) noexcept {
  if (room == view_of(socket.id)) return true;
  const RoomState* const state = socket.ended ? nullptr : socket.nsp->rooms.find(room);
  return state != nullptr && place_of(socket, *state) != kNoPlace;
}

void Server::add_membership(SocketState& socket, RoomState& room) {
  const auto place = static_cast<std::uint32_t>(socket.rooms.size());
  const auto index = static_cast<std::uint32_t>(room.members.size());
  socket.rooms.push_back({&room, index});
  room.members.push_back({session_at(socket, place), &socket});
  room.places.push_back(place);
  charge_rooms(socket, kMembershipBytes + (index == 0 ? cost_of(room) : 0));
  if (ManyRooms* const many = many_rooms_of(socket))
    many->places.emplace(&room, place);
  else if (socket.rooms.size() > kFewRooms)
    become_many(socket, socket.rooms.size());
}

void Server::become_many(SocketState& socket, std::size_t expected) {
  SocketExtras& more = extras(socket);
  engineio::Session* const session = socket.client == nullptr ? nullptr : socket.client->session;
  more.many_rooms = std::make_unique<ManyRooms>(session, stats_.packets_out);
  more.many_rooms->places.reserve(expected);
  more.many_rooms->held = held_by_rooms(socket);
  for (std::uint32_t place = 0; place < socket.rooms.size(); ++place)
    more.many_rooms->places.emplace(socket.rooms[place].room, place);
}

void Server::remove_membership(SocketState& socket, std::uint32_t place) {
  const Membership gone = socket.rooms[place];
  ManyRooms* const many = many_rooms_of(socket);
  if (many == nullptr) {  // in the order in which they were joined, as long as that costs little
    socket.rooms.erase(socket.rooms.begin() + place);
    for (auto later = place; later < socket.rooms.size(); ++later) tell_place(socket, later);
  } else {
    many->places.erase(gone.room);
    if (place + 1 < socket.rooms.size()) {
      socket.rooms[place] = socket.rooms.back();
      many->places[socket.rooms[place].room] = place;
      tell_place(socket, place);
    }
    socket.rooms.pop_back();
  }
  leave_room(gone);
  if (many != nullptr && socket.rooms.size() <= kFewRooms / 2) socket.extras->many_rooms.reset();
}

bool Server::join_ahead(const ClientImage& image, loop::Allowance& allowance) {
  for (const SocketImage& one : image.sockets) {
    if (one.rooms.size() <= kJoinedAtOnce || !namespaces_.contains(one.nsp)) continue;
    Ahead& ahead = ahead_[one.id];
    if (ahead.socket == nullptr) ahead.socket = make_ahead(one);
    SocketState& socket = *ahead.socket;
    for (; ahead.joined < one.rooms.size(); ++ahead.joined) {
      if (!allowance.take(units_of(one.rooms[ahead.joined]))) return false;
      RoomState& room = socket.nsp->rooms.obtain(one.rooms[ahead.joined]);
      if (place_of(socket, room) == kNoPlace) add_membership(socket, room);
    }
  }
  return true;
}

/// In no list but that of its rooms, where its gate is shut; charged to the server, as if it had ended.
std::unique_ptr<SocketState> Server::make_ahead(const SocketImage& image) {
  auto socket = std::make_unique<SocketState>();
  give_index(*socket);
  std::copy_n(image.id.begin(), std::min(image.id.size(), socket->id.size()), socket->id.begin());
  socket->client = nullptr;
  socket->nsp = find_namespace(image.nsp);
  socket->ended = true;
  charge(*socket, kSocketBytes);
  become_many(*socket, image.rooms.size());
  return socket;
}

/// Null: none has joined rooms before it came.
SocketState* Server::take_ahead(ClientState& client, const SocketImage& image) {
  auto found = ahead_.extract(image.id);
  if (found.empty()) return nullptr;
  SocketState& socket = *found.mapped().socket.release();
  const std::ptrdiff_t held = held_without_rooms(socket) + static_cast<std::ptrdiff_t>(held_by_rooms(socket));
  charge(socket, -held);
  socket.ended = false;
  socket.client = &client;
  charge(socket, held);
  many_rooms_of(socket)->gate.open(*client.session);
  for (std::uint32_t place = 0; place < kEndedAtOnce && place < socket.rooms.size(); ++place)
    tell_place(socket, place);
  link(client, socket);
  sockets_[socket.index] = &socket;
  return &socket;
}

void Server::forget_ahead(const ClientImage& image) {
  for (const SocketImage& one : image.sockets) {
    auto found = ahead_.extract(one.id);
    if (found.empty()) continue;
    SocketState& socket = *found.mapped().socket.release();
    free_indices_.push_back(socket.index);
    charge(socket, -held_without_rooms(socket));
    leave_rooms(socket);
    endings_.push_back({&socket, {}, false, false});
  }
}

/// The room's side of it. The last member takes the place that becomes free, and an empty room ends.
void Server::leave_room(const Membership& gone) {
  RoomState& room = *gone.room;
  SocketState& leaver = *room.members[gone.index].socket;
  const bool pays = gone.index == 0;
  charge_rooms(leaver, -kMembershipBytes - (pays ? cost_of(room) : 0));
  room.members[gone.index] = room.members.back();
  room.places[gone.index] = room.places.back();
  room.members.pop_back();
  room.places.pop_back();
  if (room.members.empty()) return leaver.nsp->rooms.erase(room);
  if (gone.index == room.members.size()) return;
  SocketState& moved = *room.members[gone.index].socket;
  moved.rooms[room.places[gone.index]].index = gone.index;
  if (pays) charge_rooms(moved, cost_of(room));
}

/// All, or those that are known by the session itself: whatever is left then is behind the gate.
void Server::leave_rooms(SocketState& socket) {
  std::vector<Membership>& rooms = socket.rooms;
  if (rooms.size() > kEndedAtOnce) {
    for (std::size_t place = 0; place < kEndedAtOnce; ++place) leave_room(rooms[place]);
    return;
  }
  while (!rooms.empty()) {
    leave_room(rooms.back());
    rooms.pop_back();
  }
}

bool Server::has_rooms_to_leave(const SocketState& socket) noexcept {
  return socket.ended && !socket.rooms.empty();
}

bool Server::leave_more_rooms(SocketState& socket, loop::Allowance& allowance) {
  if (socket.rooms.empty()) return true;
  while (socket.rooms.size() > kEndedAtOnce) {
    if (!allowance.take(units_of(socket.rooms.back().room->name))) return false;
    leave_room(socket.rooms.back());
    socket.rooms.pop_back();
  }
  socket.rooms.clear();  // leave_rooms() has left these
  return true;
}

std::size_t Server::held_by_rooms(const SocketState& socket) noexcept {
  if (const ManyRooms* const many = many_rooms_of(socket); many != nullptr && many->held != 0)
    return many->held;
  std::ptrdiff_t held = 0;
  for (const Membership& one : socket.rooms)
    held += kMembershipBytes + (one.index == 0 ? cost_of(*one.room) : 0);
  return static_cast<std::size_t>(held);
}

void Server::charge_rooms(SocketState& socket, std::ptrdiff_t bytes) noexcept {
  charge(socket, bytes);
  if (ManyRooms* const many = many_rooms_of(socket)) many->held += static_cast<std::size_t>(bytes);
}

}  // namespace limpet::socketio
