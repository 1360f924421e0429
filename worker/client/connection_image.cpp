#include "worker/client/connection_image.h"

#include <utility>

#include "worker/client/clients.h"

namespace limpet::client {

ConnectionImage image_of(const ClientConnection& connection, std::string unread, std::string unsent) {
  return {.client_address = connection.peer().text(),
          .client_port = connection.peer().port(),
          .listener = connection.listener(),
          .one_request = connection.serves_one_request(),
          .placed = connection.placed(),
          .by_proxy = connection.peer_by_proxy(),
          .unread = std::move(unread),
          .unsent = std::move(unsent)};
}

ClientConnection* restore(Clients& clients, base::Descriptor socket, const ConnectionImage& image) {
  const auto peer = PeerAddress::from_text(image.client_address, image.client_port);
  ClientConnection* connection = clients.adopt(std::move(socket), peer, image.listener, image.unread);
  if (connection == nullptr) return nullptr;
  if (image.one_request) connection->serve_one_request();
  if (image.placed) connection->set_placed();
  if (image.by_proxy) connection->set_peer_by_proxy(peer);
  if (!image.unsent.empty()) connection->send(loop::Buffer::copy_of(image.unsent));
  return connection;
}

}  // namespace limpet::client
