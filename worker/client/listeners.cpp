#include "worker/client/listeners.h"

#include <utility>

namespace limpet::client {

Listeners::Listeners(const Limits& limits, std::vector<ListenerSettings> listeners)
    : listeners_(std::move(listeners)), unknown_(unknown_listener(limits)) {}

const ListenerSettings& Listeners::of(const ClientConnection& connection) const noexcept {
  return connection.listener() < listeners_.size() ? listeners_[connection.listener()] : unknown_;
}

bool Listeners::trusts(const ClientConnection& connection) const noexcept {
  return is_trusted(connection.peer(), of(connection).trusted);
}

std::optional<PeerAddress> Listeners::named_by_proxy(const ClientConnection& connection,
                                                     const http::RequestHead& head) const {
  const ListenerSettings& listener = of(connection);
  if (listener.trusted.empty()) return std::nullopt;
  return forwarded_client(connection.peer(), listener.trusted, listener.address_header, head.raw);
}

}  // namespace limpet::client
