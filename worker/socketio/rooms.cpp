// Rooms, and who gets a broadcast.
#include <algorithm>

#include "worker/socketio/server.h"

namespace limpet::socketio {
namespace {

/// Sessions lie scattered in memory: a broadcast asks for those that come soon.
constexpr std::size_t kPrefetchAhead = 6;

}  // namespace

bool Server::join(SocketState& socket, std::string_view room) {
  if (socket.phase == SocketState::Phase::Closing) return false;
  if (socket.phase == SocketState::Phase::Moved) {
    if (elsewhere_ != nullptr) elsewhere_->join(socket.nsp->name, view_of(socket.id), room);
    return elsewhere_ != nullptr;
  }
  if (room == view_of(socket.id)) return true;  // its own room is implicit
  auto found = socket.nsp->rooms.find(room);
  if (found == socket.nsp->rooms.end()) {
    found = socket.nsp->rooms.emplace(std::string(room), std::make_unique<RoomState>()).first;
    found->second->name = found->first;
  }
  RoomState& state = *found->second;
  const auto is_it = [&state](const Membership& place) { return place.room == &state; };
  if (std::any_of(socket.rooms.begin(), socket.rooms.end(), is_it)) return true;
  socket.rooms.push_back({&state, static_cast<std::uint32_t>(state.members.size())});
  state.members.push_back({socket.client->session, &socket});
  return true;
}

bool Server::leave(SocketState& socket, std::string_view room) {
  if (socket.phase == SocketState::Phase::Moved) {
    if (elsewhere_ != nullptr) elsewhere_->leave(socket.nsp->name, view_of(socket.id), room);
    return elsewhere_ != nullptr;
  }
  const auto found = std::find_if(socket.rooms.begin(), socket.rooms.end(),
                                  [room](const Membership& place) { return place.room->name == room; });
  if (found == socket.rooms.end()) return false;
  const Membership place = *found;
  socket.rooms.erase(found);
  leave_room(place);
  return true;
}

/// The last member takes the place that becomes free. Ends an empty room.
void Server::leave_room(const Membership& place) {
  RoomState& room = *place.room;
  NamespaceState& nsp = *room.members[place.index].socket->nsp;
  const auto last = static_cast<std::uint32_t>(room.members.size() - 1);
  if (place.index != last) {
    room.members[place.index] = room.members[last];
    for (Membership& moved : room.members[place.index].socket->rooms)
      if (moved.room == &room) moved.index = place.index;
  }
  room.members.pop_back();
  if (room.members.empty()) nsp.rooms.erase(nsp.rooms.find(room.name));
}

void Server::leave_rooms(SocketState& socket) {
  while (!socket.rooms.empty()) {
    const Membership place = socket.rooms.back();
    socket.rooms.pop_back();
    leave_room(place);
  }
}

EmitResult Server::broadcast(const NamespaceState& nsp, const Broadcast& broadcast, bool local) {
  deliver_in(nsp, broadcast);
  if (local || adapter_ == nullptr) return EmitResult::Published;
  return adapter_->publish(broadcast);
}

SocketState* Server::socket_with_id(const NamespaceState& nsp, std::string_view id) const noexcept {
  if (id.size() != sizeof(SocketId)) return nullptr;
  const std::uint32_t index =
      by_id_.find(id, [&](std::uint32_t candidate) { return view_of(sockets_[candidate]->id) == id; });
  if (index == IdTable::kNone || sockets_[index]->nsp != &nsp) return nullptr;
  return sockets_[index];
}

std::uint32_t Server::next_mark() {
  if (++last_mark_ == 0) {  // after 2^32 of them: an old mark must not look like a new one
    for (SocketState* socket : sockets_)
      if (socket != nullptr) socket->mark = 0;
    last_mark_ = 1;
  }
  return last_mark_;
}

void Server::mark_members(const NamespaceState& nsp, std::string_view room, std::uint32_t mark) {
  if (SocketState* const socket = socket_with_id(nsp, room)) socket->mark = mark;
  const auto found = nsp.rooms.find(room);
  if (found == nsp.rooms.end()) return;
  for (const Member& member : found->second->members) member.socket->mark = mark;
}

void Server::deliver(const Broadcast& broadcast) {
  const auto found = namespaces_.find(broadcast.nsp);
  if (found != namespaces_.end()) deliver_in(*found->second, broadcast);
}

void Server::deliver_in(const NamespaceState& nsp, const Broadcast& broadcast) {
  if (nsp.members.empty()) return;

  // The two common forms, all but the sender and one room, look at no socket's state: only at the list.
  const SocketState* left_out = nullptr;
  std::uint32_t mark = 0;
  if (broadcast.except.size() == 1 && !nsp.rooms.contains(broadcast.except[0])) {
    left_out = socket_with_id(nsp, broadcast.except[0]);
  } else if (!broadcast.except.empty()) {
    mark = next_mark();
    for (const std::string_view room : broadcast.except) mark_members(nsp, room, mark);
  }
  if (broadcast.rooms.empty()) return deliver_to(nsp.members, broadcast, left_out, mark);
  // Several rooms, or one that is both a socket's own and joined by others: each socket gets it once.
  if (mark == 0 && broadcast.rooms.size() > 1) mark = next_mark();
  for (const std::string_view room : broadcast.rooms) {
    const auto members = nsp.rooms.find(room);
    SocketState* const own = socket_with_id(nsp, room);
    if (mark == 0 && own != nullptr && members != nsp.rooms.end()) mark = next_mark();
    if (own != nullptr) {
      const Member member{own->client->session, own};
      deliver_to({&member, 1}, broadcast, left_out, mark);
    }
    if (members != nsp.rooms.end()) deliver_to(members->second->members, broadcast, left_out, mark);
  }
}

void Server::deliver_to(std::span<const Member> members, const Broadcast& broadcast,
                        const SocketState* left_out, std::uint32_t mark) {
  std::uint64_t sent = 0;
  for (std::size_t at = 0; at < members.size(); ++at) {
    // First the session, later what it sends to.
    if (at + 2 * kPrefetchAhead < members.size())
      __builtin_prefetch(members[at + 2 * kPrefetchAhead].session);
    if (at + kPrefetchAhead < members.size()) members[at + kPrefetchAhead].session->expect_send();
    const Member& member = members[at];
    if (member.socket == left_out) continue;
    if (mark != 0) {
      if (member.socket->mark == mark) continue;
      member.socket->mark = mark;
    }
    if (broadcast.is_volatile && !member.session->writable()) continue;
    member.session->send(broadcast.frames);
    ++sent;
  }
  stats_.packets_out += sent;
}

}  // namespace limpet::socketio
