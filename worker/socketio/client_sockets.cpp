#include "worker/socketio/client_sockets.h"

#include <utility>

#include "base/check.h"

namespace limpet::socketio {

SocketState* ClientSockets::find_among_many(const ClientState& client, std::string_view nsp) const noexcept {
  const NamespaceState* const found = namespaces_.find(nsp);
  if (found == nullptr) return nullptr;
  const auto& newest = many_.find(&client)->second.newest;
  const auto socket = newest.find(found);
  const bool is_there = socket != newest.end() && socket->second->phase != SocketState::Phase::Closing;
  return is_there ? socket->second : nullptr;
}

void ClientSockets::add(ClientState& client, SocketState& socket) {
  socket.next = std::exchange(client.first, &socket);
  ++client.sockets;
  const auto many = many_.find(&client);
  if (many == many_.end()) {
    if (client.sockets > kFewSockets) become_many(client);
    return;
  }
  many->second.newest[socket.nsp] = &socket;
  many->second.before[&socket] = nullptr;
  if (socket.next != nullptr) many->second.before[socket.next] = &socket;
}

void ClientSockets::become_many(const ClientState& client) {
  ManySockets& many = many_[&client];
  SocketState* before = nullptr;
  for (SocketState* socket = client.first; socket != nullptr; before = std::exchange(socket, socket->next)) {
    many.newest.emplace(socket->nsp, socket);
    many.before.emplace(socket, before);
  }
}

void ClientSockets::remove(ClientState& client, SocketState& socket) noexcept {
  CHECK(client.sockets > 0, "a socket leaves a client that has none");
  --client.sockets;
  const auto many = many_.find(&client);
  if (many == many_.end()) {
    SocketState** place = &client.first;
    while (*place != &socket) place = &(*place)->next;
    *place = socket.next;
    return;
  }
  auto& [newest, before] = many->second;
  SocketState* const previous = before.find(&socket)->second;
  before.erase(&socket);
  (previous == nullptr ? client.first : previous->next) = socket.next;
  if (socket.next != nullptr) before.find(socket.next)->second = previous;
  if (const auto found = newest.find(socket.nsp); found != newest.end() && found->second == &socket)
    newest.erase(found);
  if (client.sockets == 0) many_.erase(many);
}

}  // namespace limpet::socketio
