// How a socket ends. Most end at once. Of one with many rooms or many awaited replies kEndedAtOnce are dealt
// with at once, and the others in later turns, as their allowance goes; what anybody can see happens in the
// same order: the disconnecting handlers, no more broadcasts, the replies given up, the disconnect handlers.
#include <array>
#include <chrono>
#include <utility>

#include "worker/socketio/costs.h"
#include "worker/socketio/dispatch.h"
#include "worker/socketio/server.h"

namespace limpet::socketio {
namespace {

/// What is done at once when a socket ends. Not bounded in time: what its handlers see must not depend on it.
loop::Allowance at_once() noexcept {
  loop::Allowance allowance;
  allowance.begin(kEndedAtOnce, std::chrono::hours(1));
  return allowance;
}

std::ptrdiff_t cost_of_auth(const SocketExtras& extras) noexcept {
  const std::size_t parsed = extras.parsed_auth == nullptr ? 0 : extras.parsed_auth->bytes();
  return static_cast<std::ptrdiff_t>(extras.auth.capacity() + parsed);
}

}  // namespace

/// Ends a socket: handlers are told, and afterwards its handles are of no effect. Sends nothing.
void Server::retire_socket(SocketState& socket, std::string_view reason) {
  if (socket.phase == SocketState::Phase::Closing) return;  // a handler disconnects the socket that is going
  const bool was_connected = socket.phase == SocketState::Phase::Connected;
  socket.phase = SocketState::Phase::Closing;
  if (was_connected) {
    run_special(socket, kDisconnectingEvent, reason);
    leave_namespace(socket);
  }
  cut_off(socket);
  loop::Allowance allowance = at_once();
  const bool gave_up = give_up_replies(socket, kDisconnectedReply, allowance);
  if (gave_up) end_socket(socket, was_connected, reason);
  if (!gave_up || has_rooms_to_leave(socket))
    endings_.push_back({&socket, std::string(reason), !gave_up, was_connected});
}

/// From here on no broadcast reaches the socket, and its session is charged nothing for it.
void Server::cut_off(SocketState& socket) {
  const std::ptrdiff_t held = held_without_rooms(socket) + static_cast<std::ptrdiff_t>(held_by_rooms(socket));
  charge(socket, -held);
  socket.ended = true;
  charge(socket, held);
  if (socket.extras != nullptr && socket.extras->many_rooms != nullptr)
    socket.extras->many_rooms->gate.shut();
  leave_rooms(socket);
}

void Server::end_socket(SocketState& socket, bool was_connected, std::string_view reason) {
  if (was_connected) run_special(socket, kDisconnectEvent, reason);
  forget_socket(socket);
}

/// The last of it, but for the rooms that it has not left yet.
void Server::forget_socket(SocketState& socket) {
  ClientState& client = *socket.client;
  unlink(client, socket);
  sockets_[socket.index] = nullptr;
  free_indices_.push_back(socket.index);
  charge(socket, -held_without_rooms(socket));
  drop_handlers(socket);
  if (!has_rooms_to_leave(socket)) graveyard_.sockets.emplace_back(&socket);
  if (client.first == nullptr && client.session == nullptr) graveyard_.clients.emplace_back(&client);
}

void Server::go_on_with_endings(loop::Allowance& allowance) {
  while (!endings_.empty()) {
    SocketState& socket = *endings_.front().socket;
    if (!leave_more_rooms(socket, allowance)) return;
    if (endings_.front().is_awaited && !give_up_replies(socket, kDisconnectedReply, allowance)) return;
    const Ending last = endings_.pop_front();
    if (last.is_awaited)
      end_socket(socket, last.was_connected, last.reason);
    else if (sockets_[socket.index] != &socket)  // forgotten meanwhile; else it has moved, and is known by id
      graveyard_.sockets.emplace_back(&socket);
  }
}

void Server::go_on_forgetting(loop::Allowance& allowance) {
  while (!forgotten_.empty()) {
    MovedSockets& moved = forgotten_.front();
    while (!moved.empty()) {
      SocketState& socket = *sockets_[moved.begin()->second];
      if (!allowance.take() || !give_up_replies(socket, kMovedReply, allowance)) return;
      moved.erase(moved.begin());
      forget_socket(socket);
    }
    forgotten_.pop_front();
  }
}

void Server::forget_moved() {
  if (moved_.empty()) return;
  const Dispatch dispatch(*this);
  forgotten_.push_back(std::exchange(moved_, {}));
  loop::Allowance allowance = at_once();
  go_on_forgetting(allowance);
}

void Server::charge(SocketState& socket, std::ptrdiff_t bytes) noexcept {
  if (socket.ended)
    held_for_ended_ += static_cast<std::size_t>(bytes);
  else
    socket.client->session->hold(bytes);
}

std::ptrdiff_t Server::held_without_rooms(const SocketState& socket) noexcept {
  std::ptrdiff_t held = kSocketBytes + static_cast<std::ptrdiff_t>(handler_count(socket)) * kHandlerBytes;
  if (socket.extras == nullptr) return held;
  held += kExtrasBytes + cost_of_auth(*socket.extras);
  if (socket.extras->replies != nullptr) held += socket.extras->replies->held();
  return held;
}

SocketExtras& Server::extras(SocketState& socket) {
  if (socket.extras == nullptr) {
    socket.extras = std::make_unique<SocketExtras>();
    charge(socket, kExtrasBytes + cost_of_auth(*socket.extras));
  }
  return *socket.extras;
}

void Server::keep_auth(SocketState& socket, std::string_view auth) {
  SocketExtras& more = extras(socket);
  charge(socket, -cost_of_auth(more));
  more.auth = auth;
  more.parsed_auth.reset();
  charge(socket, cost_of_auth(more));
}

const boost::json::value& Server::parsed_auth(SocketState& socket) {
  SocketExtras& more = *socket.extras;
  if (more.parsed_auth == nullptr) {
    auto parsed = std::make_unique<const ParsedAuth>(more.auth);
    charge(socket, static_cast<std::ptrdiff_t>(parsed->bytes()));
    more.parsed_auth = std::move(parsed);
  }
  return more.parsed_auth->value();
}

void Server::close_unconnected(loop::Allowance& allowance) {
  while (!unconnected_.empty() && unconnected_.begin()->first <= clock_.now() && allowance.take())
    close_client(*unconnected_.begin()->second, "forced server close", engineio::CloseReason::ForcedClose);
}

void Server::tick(loop::Allowance& allowance) {
  const Dispatch dispatch(*this);
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
