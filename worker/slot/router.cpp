#include "worker/slot/router.h"

#include <string>
#include <utility>

#include "base/check.h"
#include "worker/client/connection_image.h"

namespace limpet::slot {

using client::ClientConnection;
using client::Destination;

Router::Router(client::Clients& clients, const client::Listeners& listeners, const engineio::Server& engine,
               Handovers* handovers, Placement* placement)
    : listeners_(listeners), engine_(engine), handovers_(handovers), placement_(placement) {
  clients.set_mover([this](base::Descriptor socket, const ClientConnection& from, Destination to,
                           std::string_view unread) { dispatch(std::move(socket), from, to, unread); });
}

Router::Decision Router::decide(ClientConnection& client, const http::RequestHead& head) {
  const Decision not_here{giving_ ? Verdict::Later : Verdict::Here};
  if (handovers_ == nullptr || !engine_.matches(head)) {
    client.set_asked(0);
    return not_here;
  }
  const auto sid = engineio::sid_of(head);
  // Until it moves, a session is served here, whatever the table says.
  if (sid && engine_.knows(*sid)) {
    client.set_asked(0);
    return {Verdict::Here};
  }
  if (!sid) {
    const Decision placed = place(client, head);
    return placed.verdict == Verdict::Here ? not_here : placed;
  }
  const auto owner = handovers_->other_owner_of(*sid);
  if (!owner) return decide_unknown(client, *sid);
  if (placement_ != nullptr && !placement_->takes_part(*owner)) return not_here;
  return {Verdict::Leaves, Destination::of_slot(*owner)};
}

/// One of ours that is not here: on its way, perhaps.
Router::Decision Router::decide_unknown(ClientConnection& client, std::string_view sid) {
  if (client.asked() < last_giver_) return {Verdict::Leaves, Destination::giver()};
  // The supervisor has named the giver before it changed the table; that may not be read yet.
  if (handovers_->is_new_owner_of(sid) && !client.waited()) {
    client.set_waited(true);
    waits_for_supervisor_ = true;
    return {Verdict::Later};
  }
  client.set_asked(0);
  client.set_waited(false);
  return {giving_ ? Verdict::Later : Verdict::Here};
}

/// Of a request that names no session: a handshake goes to the slot that is to have its session.
Router::Decision Router::place(const ClientConnection& client, const http::RequestHead& head) {
  const bool is_handshake = http::raw_query_value(head.query, "sid").value_or("").empty() &&
                            http::raw_query_value(head.query, "EIO").has_value();
  if (placement_ == nullptr || !is_handshake) return {Verdict::Here};
  const auto named = listeners_.named_by_proxy(client, head);
  const auto leaves_for = [&](std::uint16_t slot) -> Decision {
    return {Verdict::Leaves, Destination::of_slot(slot, true), named.has_value()};
  };
  // Without a bucket there is no sid for it.
  if (!handovers_->owns_a_bucket())
    return leaves_for(placement_->another_by_address(named.value_or(client.peer())));
  if (client.placed()) return {Verdict::Here};
  std::uint16_t chosen = placement_->own_slot();  // as the kernel has chosen already
  if (placement_->rule() == PlacementRule::LeastConnections) {
    chosen = placement_->by_connections(engine_.session_count());
  } else if (named || client.peer_by_proxy()) {
    chosen = placement_->by_address(named.value_or(client.peer()));
  }
  return chosen == placement_->own_slot() ? Decision{Verdict::Here} : leaves_for(chosen);
}

void Router::dispatch(base::Descriptor socket, const ClientConnection& from, Destination to,
                      std::string_view unread) {
  CHECK(to, "a connection leaves for nowhere");
  if (to.to == Destination::To::Giver) return streams_->give_back(std::move(socket), from, unread);
  const bool for_a_session = !to.opens_session;
  if (for_a_session && streams_ != nullptr && streams_->pass_on(socket, from, to.slot, unread)) return;
  (void)handovers_->send(socket, image_of(from, std::string(unread)), to);
}

bool Router::send_request(const base::Descriptor& stream, const ClientConnection& of, const Destination& to) {
  client::ConnectionImage image = image_of(of, {});
  image.one_request = true;
  return handovers_->send(stream, image, to);
}

bool Router::expects(std::string_view sid) const {
  if (engine_.knows(sid)) return true;
  const bool comes = last_giver_ > 0 || handovers_->is_new_owner_of(sid);
  return comes && !handovers_->other_owner_of(sid);
}

bool Router::is_lost(const http::RequestHead& head) const {
  if (handovers_ == nullptr) return false;
  const auto sid = engineio::sid_of(head);
  return sid && handovers_->other_owner_of(*sid) && !engine_.knows(*sid);
}

}  // namespace limpet::slot
