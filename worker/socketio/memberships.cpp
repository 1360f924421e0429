#include "worker/socketio/memberships.h"

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "worker/socketio/costs.h"
#include "worker/socketio/many_rooms.h"

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

void Memberships::join(SocketState& socket, std::string_view room) {
  if (room == view_of(socket.id)) return;  // its own room is implicit
  RoomState& state = socket.nsp->rooms.obtain(room);
  if (place_of(socket, state) == kNoPlace) add(socket, state);
}

bool Memberships::leave(SocketState& socket, std::string_view room) {
  const RoomState* const state = socket.ended ? nullptr : socket.nsp->rooms.find(room);
  const std::uint32_t place = state == nullptr ? kNoPlace : place_of(socket, *state);
  if (place == kNoPlace) return false;
  remove(socket, place);
  return true;
}

bool Memberships::is_in(const SocketState& socket, std::string_view room) noexcept {
  if (room == view_of(socket.id)) return true;
  const RoomState* const state = socket.ended ? nullptr : socket.nsp->rooms.find(room);
  return state != nullptr && place_of(socket, *state) != kNoPlace;
}

void Memberships::add(SocketState& socket, RoomState& room) {
  const auto place = static_cast<std::uint32_t>(socket.rooms.size());
  const auto index = static_cast<std::uint32_t>(room.members.size());
  socket.rooms.push_back({&room, index});
  room.members.push_back({session_at(socket, place), &socket});
  room.places.push_back(place);
  charge(socket, kMembershipBytes + (index == 0 ? cost_of(room) : 0));
  if (ManyRooms* const many = many_rooms_of(socket))
    many->places.emplace(&room, place);
  else if (socket.rooms.size() > kFewRooms)
    become_many(socket, socket.rooms.size());
}

void Memberships::become_many(SocketState& socket, std::size_t expected) {
  SocketExtras& more = extras_of(socket, charges_);
  engineio::Session* const session = socket.client == nullptr ? nullptr : socket.client->session;
  more.many_rooms = std::make_unique<ManyRooms>(session, packets_out_);
  more.many_rooms->places.reserve(expected);
  more.many_rooms->held = held(socket);
  for (std::uint32_t place = 0; place < socket.rooms.size(); ++place)
    more.many_rooms->places.emplace(socket.rooms[place].room, place);
}

void Memberships::remove(SocketState& socket, std::uint32_t place) {
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

void Memberships::open_gate(SocketState& socket) {
  many_rooms_of(socket)->gate.open(*socket.client->session);
  for (std::uint32_t place = 0; place < kEndedAtOnce && place < socket.rooms.size(); ++place)
    tell_place(socket, place);
}

/// The room's side of it. The last member takes the place that becomes free, and an empty room ends.
void Memberships::leave_room(const Membership& gone) {
  RoomState& room = *gone.room;
  CHECK(gone.index < room.members.size(), "a socket leaves a room at a place that the room has not");
  SocketState& leaver = *room.members[gone.index].socket;
  const bool pays = gone.index == 0;
  charge(leaver, -kMembershipBytes - (pays ? cost_of(room) : 0));
  room.members[gone.index] = room.members.back();
  room.places[gone.index] = room.places.back();
  room.members.pop_back();
  room.places.pop_back();
  if (room.members.empty()) return leaver.nsp->rooms.erase(room);
  if (gone.index == room.members.size()) return;
  SocketState& moved = *room.members[gone.index].socket;
  CHECK(moved.rooms[room.places[gone.index]].room == &room, "a member and its room disagree about its place");
  moved.rooms[room.places[gone.index]].index = gone.index;
  if (pays) charge(moved, cost_of(room));
}

void Memberships::leave_all(SocketState& socket) {
  if (ManyRooms* const many = many_rooms_of(socket)) many->gate.shut();
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

bool Memberships::has_rooms_to_leave(const SocketState& socket) noexcept {
  return socket.ended && !socket.rooms.empty();
}

bool Memberships::leave_more(SocketState& socket, loop::Allowance& allowance) {
  if (socket.rooms.empty()) return true;
  while (socket.rooms.size() > kEndedAtOnce) {
    if (!allowance.take(units_of_room(socket.rooms.back().room->name))) return false;
    leave_room(socket.rooms.back());
    socket.rooms.pop_back();
  }
  socket.rooms.clear();  // leave_all() has left these
  return true;
}

std::size_t Memberships::held(const SocketState& socket) noexcept {
  if (const ManyRooms* const many = many_rooms_of(socket); many != nullptr && many->held != 0)
    return many->held;
  std::ptrdiff_t bytes = 0;
  for (const Membership& one : socket.rooms)
    bytes += kMembershipBytes + (one.index == 0 ? cost_of(*one.room) : 0);
  return static_cast<std::size_t>(bytes);
}

void Memberships::charge(SocketState& socket, std::ptrdiff_t bytes) noexcept {
  charges_.charge(socket, bytes);
  if (ManyRooms* const many = many_rooms_of(socket)) many->held += static_cast<std::size_t>(bytes);
}

}  // namespace limpet::socketio
