// A client's connection on its way to another process, without its socket: what it is, and the bytes on both
// sides of it. Every way out begins with image_of(), every way in ends with restore().
#pragma once

#include <cstdint>
#include <string>

#include "base/descriptor.h"

namespace limpet::client {

class ClientConnection;
class Clients;

struct ConnectionImage {
  std::string client_address;
  std::uint16_t client_port = 0;
  std::uint16_t listener = 0;
  bool one_request = false;  ///< a relayed one: ends behind its answer
  bool placed = false;       ///< another slot has chosen this one for the sessions that it opens
  bool by_proxy = false;     ///< the PROXY protocol has named the client
  std::string unread;        ///< received and not acted on
  std::string unsent;        ///< queued and not taken by the kernel
};

[[nodiscard]] ConnectionImage image_of(const ClientConnection& connection, std::string unread,
                                       std::string unsent = {});
/// The caller sets its receiver. Null if the kernel refuses the socket, which is closed then.
[[nodiscard]] ClientConnection* restore(Clients& clients, base::Descriptor socket,
                                        const ConnectionImage& image);

}  // namespace limpet::client
