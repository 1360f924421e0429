// Which sockets a client has: a list, the last one that it joined first. Few have more than a handful, and
// are searched; of those with many both searches are a look into ManySockets.
//
// Invariant: a client has ManySockets from the moment when it has more than kFewSockets until it has none.
#pragma once

#include <string_view>
#include <unordered_map>

#include "worker/socketio/many_sockets.h"
#include "worker/socketio/namespaces.h"
#include "worker/socketio/state.h"

namespace limpet::socketio {

class ClientSockets {
 public:
  /// `namespaces` outlives it.
  explicit ClientSockets(const Namespaces& namespaces) noexcept : namespaces_(namespaces) {}

  /// The one in that namespace that is not ending; null: none. Inline, for every packet passes here.
  [[nodiscard]] SocketState* find(const ClientState& client, std::string_view nsp) const noexcept {
    if (client.sockets > kFewSockets) return find_among_many(client, nsp);
    // One that is ending is not seen any more: the client may have joined anew.
    const auto is_it = [nsp](const SocketState& one) {
      return one.phase != SocketState::Phase::Closing && one.nsp->name == nsp;
    };
    SocketState* socket = client.first;
    while (socket != nullptr && !is_it(*socket)) socket = socket->next;
    return socket;
  }
  void add(ClientState& client, SocketState& socket);
  void remove(ClientState& client, SocketState& socket) noexcept;

 private:
  [[nodiscard]] SocketState* find_among_many(const ClientState& client, std::string_view nsp) const noexcept;
  void become_many(const ClientState& client);

  const Namespaces& namespaces_;
  std::unordered_map<const ClientState*, ManySockets> many_;
};

}  // namespace limpet::socketio
