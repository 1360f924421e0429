#include "worker/socketio/charges.h"

#include "worker/socketio/costs.h"
#include "worker/socketio/event_handlers.h"

namespace limpet::socketio {
namespace {

std::ptrdiff_t cost_of_auth(const SocketExtras& extras) noexcept {
  const std::size_t parsed = extras.parsed_auth == nullptr ? 0 : extras.parsed_auth->bytes();
  return static_cast<std::ptrdiff_t>(extras.auth.capacity() + parsed);
}

}  // namespace

SocketExtras& extras_of(SocketState& socket, Charges& charges) {
  if (socket.extras == nullptr) {
    socket.extras = std::make_unique<SocketExtras>();
    charges.charge(socket, kExtrasBytes + cost_of_auth(*socket.extras));
  }
  return *socket.extras;
}

void keep_auth(SocketState& socket, std::string_view auth, Charges& charges) {
  SocketExtras& more = extras_of(socket, charges);
  charges.charge(socket, -cost_of_auth(more));
  more.auth = auth;
  more.parsed_auth.reset();
  charges.charge(socket, cost_of_auth(more));
}

const boost::json::value& parsed_auth(SocketState& socket, Charges& charges) {
  SocketExtras& more = *socket.extras;
  if (more.parsed_auth == nullptr) {
    auto parsed = std::make_unique<const ParsedAuth>(more.auth);
    charges.charge(socket, static_cast<std::ptrdiff_t>(parsed->bytes()));
    more.parsed_auth = std::move(parsed);
  }
  return more.parsed_auth->value();
}

std::ptrdiff_t held_without_rooms(const SocketState& socket) noexcept {
  std::ptrdiff_t held =
      kSocketBytes + static_cast<std::ptrdiff_t>(EventHandlers::count(socket)) * kHandlerBytes;
  if (socket.extras == nullptr) return held;
  held += kExtrasBytes + cost_of_auth(*socket.extras);
  if (socket.extras->replies != nullptr) held += socket.extras->replies->held();
  return held;
}

}  // namespace limpet::socketio
