// What each listening address wants of the connections that it has accepted.
#pragma once

#include <optional>
#include <vector>

#include "worker/client/client_connection.h"
#include "worker/client/limits.h"
#include "worker/http/request.h"

namespace limpet::client {

class Listeners {
 public:
  /// In the order of the addresses.
  Listeners(const Limits& limits, std::vector<ListenerSettings> listeners);

  /// Of the one that accepted it, in this worker or in another.
  [[nodiscard]] const ListenerSettings& of(const ClientConnection& connection) const noexcept;
  /// The connection comes from a proxy that may name clients.
  [[nodiscard]] bool trusts(const ClientConnection& connection) const noexcept;
  /// The client that a trusted proxy names in the request's head.
  [[nodiscard]] std::optional<PeerAddress> named_by_proxy(const ClientConnection& connection,
                                                          const http::RequestHead& head) const;

 private:
  std::vector<ListenerSettings> listeners_;
  ListenerSettings unknown_;
};

}  // namespace limpet::client
