#include "worker/socketio/delivery.h"

#include <algorithm>

#include "worker/socketio/memberships.h"

namespace limpet::socketio {
namespace {

/// Sessions lie scattered in memory: a broadcast asks for those that come soon.
constexpr std::size_t kPrefetchAhead = 6;

}  // namespace

std::uint32_t Delivery::next_mark() {
  if (++last_mark_ == 0) {  // after 2^32 of them: an old mark must not look like a new one
    sockets_.for_each([](SocketState& socket) { socket.mark = 0; });
    last_mark_ = 1;
  }
  return last_mark_;
}

void Delivery::mark_members(const NamespaceState& nsp, std::string_view room, std::uint32_t mark) {
  if (SocketState* const socket = sockets_.find_connected(nsp, room)) socket->mark = mark;
  const RoomState* const state = nsp.rooms.find(room);
  if (state == nullptr) return;
  for (const Member& member : state->members) member.socket->mark = mark;
}

void Delivery::deliver(const NamespaceState& nsp, const Broadcast& broadcast) {
  if (nsp.members.empty()) return;

  // The two common forms, all but the sender and one room, look at no socket's state: only at the list.
  const SocketState* left_out = nullptr;
  std::uint32_t mark = 0;
  if (broadcast.except.size() == 1 && nsp.rooms.find(broadcast.except[0]) == nullptr) {
    left_out = sockets_.find_connected(nsp, broadcast.except[0]);
  } else if (!broadcast.except.empty()) {
    mark = next_mark();
    for (const std::string_view room : broadcast.except) mark_members(nsp, room, mark);
  }
  if (broadcast.rooms.empty()) return deliver_to(nsp.members, broadcast, left_out, mark);
  // Several rooms, or one that is both a socket's own and joined by others: each socket gets it once.
  if (mark == 0 && broadcast.rooms.size() > 1) mark = next_mark();
  for (const std::string_view room : broadcast.rooms) {
    const RoomState* const state = nsp.rooms.find(room);
    SocketState* const own = sockets_.find_connected(nsp, room);
    if (mark == 0 && own != nullptr && state != nullptr) mark = next_mark();
    if (own != nullptr) {
      const Member member{own->client->session, own};
      deliver_to({&member, 1}, broadcast, left_out, mark);
    }
    if (state != nullptr) deliver_to(state->members, broadcast, left_out, mark);
  }
}

void Delivery::deliver_to(std::span<const Member> members, const Broadcast& broadcast,
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
  packets_out_ += sent;
}

bool Delivery::is_for(const SocketState& socket, const Broadcast& broadcast) noexcept {
  const auto in_any_of = [&socket](std::span<const std::string_view> rooms) {
    return std::any_of(rooms.begin(), rooms.end(),
                       [&socket](std::string_view room) { return Memberships::is_in(socket, room); });
  };
  return socket.phase == SocketState::Phase::Connected && socket.nsp->name == broadcast.nsp &&
         (broadcast.rooms.empty() || in_any_of(broadcast.rooms)) && !in_any_of(broadcast.except);
}

}  // namespace limpet::socketio
