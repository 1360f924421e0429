// How a socket ends. Most end at once. Of one with many rooms or many awaited replies kEndedAtOnce are dealt
// with at once, and the others in later turns, as their allowance goes; what anybody can see happens in the
// same order: the disconnecting handlers, no more broadcasts, the replies given up, the disconnect handlers.
#include <array>
#include <chrono>
#include <memory>
#include <utility>

#include "worker/socketio/server.h"

namespace limpet::socketio {
namespace {

/// What is done at once when a socket ends. Not bounded in time: what its handlers see must not depend on it.
loop::Allowance at_once() noexcept {
  loop::Allowance allowance;
  allowance.begin(kEndedAtOnce, std::chrono::hours(1));
  return allowance;
}

}  // namespace

/// Ends a socket: handlers are told, and afterwards its handles are of no effect. Sends nothing.
void Server::retire_socket(SocketState& socket, std::string_view reason) {
  if (socket.phase == SocketState::Phase::Closing) return;  // a handler disconnects the socket that is going
  const bool was_connected = socket.phase == SocketState::Phase::Connected;
  socket.phase = SocketState::Phase::Closing;
  if (was_connected) {
    handlers_.run_special(socket, kDisconnectingEvent, reason);
    leave_namespace(socket);
  }
  cut_off(socket);
  loop::Allowance allowance = at_once();
  const bool gave_up = replies_.give_up(socket, kDisconnectedReply, allowance);
  if (gave_up) end_socket(socket, was_connected, reason);
  if (!gave_up || Memberships::has_rooms_to_leave(socket))
    endings_.push_back({&socket, std::string(reason), !gave_up, was_connected});
}

/// From here on no broadcast reaches the socket, and its session is charged nothing for it.
void Server::cut_off(SocketState& socket) {
  const std::ptrdiff_t held =
      held_without_rooms(socket) + static_cast<std::ptrdiff_t>(Memberships::held(socket));
  charges_.charge(socket, -held);
  socket.ended = true;
  charges_.charge(socket, held);
  memberships_.leave_all(socket);
}

void Server::end_socket(SocketState& socket, bool was_connected, std::string_view reason) {
  if (was_connected) handlers_.run_special(socket, kDisconnectEvent, reason);
  forget_socket(socket);
}

/// The last of it, but for the rooms that it has not left yet.
void Server::forget_socket(SocketState& socket) {
  ClientState& client = *socket.client;
  client_sockets_.remove(client, socket);
  sockets_.remove(socket);
  charges_.charge(socket, -held_without_rooms(socket));
  handlers_.drop_all(socket);
  if (!Memberships::has_rooms_to_leave(socket)) discarded_.add(std::unique_ptr<SocketState>(&socket));
  if (client.first == nullptr && client.session == nullptr)
    discarded_.add(std::unique_ptr<ClientState>(&client));
}

void Server::go_on_with_endings(loop::Allowance& allowance) {
  while (!endings_.empty()) {
    SocketState& socket = *endings_.front().socket;
    if (!memberships_.leave_more(socket, allowance)) return;
    if (endings_.front().is_awaited && !replies_.give_up(socket, kDisconnectedReply, allowance)) return;
    const Ending last = endings_.pop_front();
    if (last.is_awaited)
      end_socket(socket, last.was_connected, last.reason);
    else if (!sockets_.has(socket))  // forgotten meanwhile; else it has moved, and is known by id
      discarded_.add(std::unique_ptr<SocketState>(&socket));
  }
}

void Server::go_on_forgetting(loop::Allowance& allowance) {
  while (!forgotten_.empty()) {
    MovedSockets& moved = forgotten_.front();
    while (!moved.empty()) {
      SocketState& socket = sockets_.at(moved.begin()->second);
      if (!allowance.take() || !replies_.give_up(socket, kMovedReply, allowance)) return;
      moved.erase(moved.begin());
      forget_socket(socket);
    }
    forgotten_.pop_front();
  }
}

void Server::forget_moved() {
  if (moved_.empty()) return;
  const Dispatch dispatch(discarded_);
  forgotten_.push_back(std::exchange(moved_, {}));
  loop::Allowance allowance = at_once();
  go_on_forgetting(allowance);
}

void Server::close_unconnected(loop::Allowance& allowance) {
  while (!unconnected_.empty() && unconnected_.begin()->first <= clock_.now() && allowance.take())
    close_client(*unconnected_.begin()->second, "forced server close", engineio::CloseReason::ForcedClose);
}

void Server::tick(loop::Allowance& allowance) {
  const Dispatch dispatch(discarded_);
  using Part = void (Server::*)(loop::Allowance&);
  static constexpr std::array<Part, 3> kParts = {&Server::close_unconnected, &Server::go_on_with_endings,
                                                 &Server::go_on_forgetting};
  // Another one is first in each turn: one that always has work must not use up what all have.
  for (std::size_t at = 0; at < kParts.size(); ++at)
    (this->*kParts[(first_part_ + at) % kParts.size()])(allowance);
  first_part_ = (first_part_ + 1) % kParts.size();
}

std::optional<loop::TimePoint> Server::next_deadline() const {
  if (!endings_.empty() || !forgotten_.empty()) return clock_.now();
  if (unconnected_.empty()) return std::nullopt;
  return unconnected_.begin()->first;
}

}  // namespace limpet::socketio
