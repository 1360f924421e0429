#include "worker/slot/front.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "base/descriptor_limit.h"
#include "base/log.h"
#include "worker/client/client_address.h"
#include "worker/client/proxy_protocol.h"
#include "worker/slot/relay.h"
#include "worker/socketio/server.h"

namespace limpet::slot {
namespace {

/// The body of a request that is not Engine.IO's.
constexpr std::size_t kRouteBodyBytes = 1'000'000;
/// Connections beyond limits.connections that may be on their way out with a 503 at a time.
constexpr std::size_t kRefusalsAtOnce = 1024;
/// RFC 9110 section 10.2.3: seconds.
constexpr std::string_view kRetryAfterSeconds = "2";
/// Descriptors that relays leave to others, an eighth of all at the most: a relayed request takes two here
/// and one at its owner besides its client's, so that few clients that pipeline could take those of all
/// others.
constexpr std::uint64_t kLeftByRelays = 128;

http::Response busy_response() {
  http::Response response(503, "text/plain; charset=utf-8", "Too many clients\n");
  response.add_header("Retry-After", kRetryAfterSeconds);
  response.close = true;
  return response;
}

/// What the server as a whole can do (RFC 9110 section 9.3.7).
http::Response methods_response() {
  http::Response response(204);
  response.add_header("Allow", "GET, HEAD, POST, OPTIONS");
  return response;
}

}  // namespace

Front::Front(client::Clients& clients, engineio::Server& engine, socketio::Server& socketio,
             Handovers* handovers, Placement* placement, client::Admission& admission,
             const process::Settings& settings, const loop::Clock& clock, ipc::CounterBlock& counters)
    : clients_(clients),
      engine_(engine),
      socketio_(socketio),
      handovers_(handovers),
      placement_(placement),
      admission_(admission),
      settings_(settings),
      clock_(clock),
      other_listener_(client::unknown_listener(settings.limits)),
      counters_(counters),
      header_bytes_(settings.limits.header_bytes),
      descriptor_limit_(base::descriptor_limit()),
      http_(*this, {.header_bytes = header_bytes_, .clock = &clock}) {}

const client::ListenerSettings& Front::listener_of(const client::ClientConnection& client) const noexcept {
  const auto& all = settings_.listeners;
  return client.listener() < all.size() ? all[client.listener()] : other_listener_;
}

void Front::welcome(base::Descriptor socket, const client::PeerAddress& peer, std::uint16_t listener) {
  const bool admitted = admission_.admits_connection(clients_.open());
  // So many may linger with their refusal; whoever comes beyond that is closed without a word.
  if (!admitted && clients_.open() >= settings_.limits.connections + kRefusalsAtOnce) return;
  client::ClientConnection* connection = clients_.adopt(std::move(socket), peer, listener);
  if (connection == nullptr) return;
  if (!admitted) return refuse_as_busy(*connection);
  if (listener_of(*connection).proxy_protocol) {
    connection->set_receiver(&proxy_reader_);
    connection->set_waiting(loop::Stream::Waiting::Header);
  } else if (admits_one_more_of(*connection)) {
    http_.adopt(*connection);
  } else {
    refuse_as_busy(*connection);
  }
}

/// A proxy's own address counts for nobody.
bool Front::counts_for_its_address(const client::ClientConnection& client) const {
  return admission_.counts_addresses() && client.peer().family() != AF_UNSPEC &&
         !client.serves_one_request() && !client::is_trusted(client.peer(), listener_of(client).trusted);
}

bool Front::admits_one_more_of(client::ClientConnection& client) {
  if (!counts_for_its_address(client)) return true;
  if (!admission_.admits_one_more_of(client.peer())) return false;
  client.set_counted();
  return true;
}

void Front::count_arrived(client::ClientConnection& client) {
  if (!counts_for_its_address(client)) return;
  admission_.count(client.peer());
  client.set_counted();
}

/// 503 before anything was asked: the request is not waited for.
void Front::refuse_as_busy(client::ClientConnection& client) {
  client.send(http::render(busy_response(), {.keep_alive = false, .date = clock_.date()}));
  client.finish();
}

bool Front::admits_handshake(const http::Exchange& exchange, const http::RequestHead& head) {
  if (!http::raw_query_value(head.query, "sid").value_or("").empty()) return true;
  const auto& client = static_cast<const client::ClientConnection&>(exchange.stream());
  return admission_.admits_handshake(engine_.session_count(),
                                     named_by_proxy(client, head).value_or(client.peer()));
}

std::size_t Front::ProxyReader::on_bytes(loop::Stream& stream, std::span<char> bytes) {
  auto& client = static_cast<client::ClientConnection&>(stream);
  const client::ProxyHeader header = client::parse_proxy_header({bytes.data(), bytes.size()});
  switch (header.status) {
    case client::ProxyHeader::Status::Incomplete:
      return 0;
    case client::ProxyHeader::Status::Bad:
      front.refuse_connection(client, header.why);
      return bytes.size();
    case client::ProxyHeader::Status::Complete:
      break;
  }
  if (header.client) client.set_peer_by_proxy(*header.client);
  if (front.admits_one_more_of(client)) {
    front.http_.adopt(stream);
  } else {
    front.refuse_as_busy(client);
  }
  return header.bytes;
}

/// A client with a session may come by way of any worker: its connections are let in beyond the caps, as many
/// as there may be refusals at once.
void Front::take_in(ipc::ReceivedHandover arrival) {
  const std::size_t most = settings_.limits.connections;
  if (clients_.open() >= most + 2 * kRefusalsAtOnce)
    return (void)admission_.admits_connection(clients_.open());
  const auto peer =
      client::PeerAddress::from_text(arrival.handover.client_address, arrival.handover.client_port);
  const bool came_from_reserve = static_cast<std::uint64_t>(arrival.socket.get()) >= descriptor_limit_;
  client::ClientConnection* connection =
      clients_.adopt(std::move(arrival.socket), peer, arrival.handover.listener, arrival.handover.bytes);
  if (connection == nullptr) return;
  if (arrival.handover.kind == ipc::HandoverKind::Request) connection->serve_one_request();
  if (came_from_reserve && connection->serves_one_request()) {
    counters_.add(ipc::Counter::RelaysRefused);
    return refuse_as_busy(*connection);
  }
  if (arrival.handover.placed) connection->set_placed();
  if (connection->serves_one_request() || asks_for_session(arrival.handover.bytes)) {
    count_arrived(*connection);
    return http_.adopt(*connection);
  }
  if (clients_.open() > most) {
    counters_.add(ipc::Counter::RefusedConnections);
    return clients_.open() > most + kRefusalsAtOnce ? connection->abort() : refuse_as_busy(*connection);
  }
  admits_one_more_of(*connection) ? http_.adopt(*connection) : refuse_as_busy(*connection);
}

/// For one that is here, or on its way here: a client with a session is let in whatever the caps say.
bool Front::asks_for_session(std::string_view request) const {
  const http::ParsedHead parsed = http::parse_head(request, header_bytes_);
  if (parsed.status != http::HeadStatus::Complete) return false;
  const auto sid = engineio::sid_of(parsed.head);
  if (!sid) return false;
  if (engine_.knows(*sid)) return true;
  const bool comes = last_giver_ > 0 || handovers_->is_new_owner_of(*sid);
  return comes && !handovers_->other_owner_of(*sid);
}

client::ClientConnection* Front::take_in(base::Descriptor socket, const migration::ConnectionImage& image) {
  const auto peer = client::PeerAddress::from_text(image.client_address, image.client_port);
  client::ClientConnection* connection =
      clients_.adopt(std::move(socket), peer, image.listener, image.unread);
  if (connection == nullptr) return nullptr;
  if (image.one_request) connection->serve_one_request();
  if (image.placed) connection->set_placed();
  if (image.by_proxy) connection->set_peer_by_proxy(peer);
  if (!image.unsent.empty()) connection->send(loop::Buffer::copy_of(image.unsent));
  count_arrived(*connection);
  http_.adopt(*connection);
  return connection;
}

void Front::give_away(bool giving) {
  giving_ = giving;
  if (!giving) http_.ask_again();
}

void Front::ask_again() {
  waits_for_supervisor_ = false;
  http_.ask_again();
}

std::optional<client::PeerAddress> Front::named_by_proxy(const client::ClientConnection& client,
                                                         const http::RequestHead& head) const {
  const client::ListenerSettings& listener = listener_of(client);
  if (listener.trusted.empty()) return std::nullopt;
  return client::forwarded_client(client.peer(), listener.trusted, listener.address_header, head.raw);
}

http::RequestHandler::Route Front::route(loop::Stream& stream, const http::RequestHead& head,
                                         std::size_t bytes_after_head) {
  const Route not_here = giving_ ? Route::Later : Route::Here;
  auto& client = static_cast<client::ClientConnection&>(stream);
  if (handovers_ == nullptr || !engine_.matches(head)) {
    client.set_asked(0);
    return not_here;
  }
  const auto sid = engineio::sid_of(head);
  // Until it moves, a session is served here, whatever the table says.
  if (sid && engine_.knows(*sid)) {
    client.set_asked(0);
    return Route::Here;
  }
  const auto to = elsewhere(client, head);
  if (!to) {
    if (!sid || handovers_->other_owner_of(*sid)) return not_here;
    return route_unknown(client, head, *sid);
  }
  const std::string_view unread(head.raw.data(), head.raw.size() + bytes_after_head);
  http::RequestEnd end(head, header_bytes_);
  const std::size_t of_request = end.pass(unread);
  // Refused here as it would be there, and by the same parser.
  if (end.status() == http::RequestEnd::Status::Malformed) return Route::Here;
  // What stands behind an upgrade is the new protocol's.
  const bool alone =
      head.upgrade ||
      (!to->pooled && (end.status() == http::RequestEnd::Status::Incomplete || of_request == unread.size()));
  if (!alone || unread.size() > ipc::kHandoverLimitBytes)
    return relay(client, *to, head) ? Route::Taken : Route::Here;
  if (to->opens_session) client.set_places_session();
  client.take_from(head.raw.data(), to->slot);
  return Route::Taken;
}

/// One of ours that is not here: on its way, perhaps.
http::RequestHandler::Route Front::route_unknown(client::ClientConnection& client,
                                                 const http::RequestHead& head, std::string_view sid) {
  if (client.asked() < last_giver_) {
    client.take_from(head.raw.data(), client::kGiver);
    return Route::Taken;
  }
  // The supervisor has named the giver before it changed the table; that may not be read yet.
  if (handovers_->is_new_owner_of(sid) && !client.waited()) {
    client.set_waited(true);
    waits_for_supervisor_ = true;
    return Route::Later;
  }
  client.set_asked(0);
  client.set_waited(false);
  return giving_ ? Route::Later : Route::Here;
}

std::optional<Front::Elsewhere> Front::elsewhere(const client::ClientConnection& client,
                                                 const http::RequestHead& head) {
  if (const auto sid = engineio::sid_of(head)) {
    const auto owner = handovers_->other_owner_of(*sid);
    if (!owner || (placement_ != nullptr && !placement_->takes_part(*owner))) return std::nullopt;
    return Elsewhere{*owner, false, false};
  }
  const bool is_handshake = http::raw_query_value(head.query, "sid").value_or("").empty() &&
                            http::raw_query_value(head.query, "EIO").has_value();
  if (placement_ == nullptr || !is_handshake) return std::nullopt;
  const auto named = named_by_proxy(client, head);
  // Without a bucket there is no sid for it.
  if (!handovers_->owns_a_bucket())
    return Elsewhere{placement_->another_by_address(named.value_or(client.peer())), true, named.has_value()};
  if (client.placed()) return std::nullopt;
  const auto chosen = chosen_slot(client, named);
  if (!chosen || *chosen == placement_->own_slot()) return std::nullopt;
  return Elsewhere{*chosen, true, named.has_value()};
}

/// Nothing where the kernel has chosen already.
std::optional<std::uint16_t> Front::chosen_slot(const client::ClientConnection& client,
                                                const std::optional<client::PeerAddress>& named) {
  if (settings_.placement == PlacementRule::LeastConnections)
    return placement_->by_connections(engine_.session_count());
  if (named) return placement_->by_address(*named);
  if (client.peer_by_proxy()) return placement_->by_address(client.peer());
  return std::nullopt;
}

/// Its session is another slot's, and did not get there: nobody there answers, or its inbox is full.
bool Front::is_lost(const http::RequestHead& head) {
  if (handovers_ == nullptr) return false;
  const auto sid = engineio::sid_of(head);
  return sid && handovers_->other_owner_of(*sid) && !engine_.knows(*sid);
}

void Front::refuse_connection(client::ClientConnection& client, const char* why) {
  counters_.add(ipc::Counter::ProxyHeadersRefused);
  base::log_at_most(refusals_, clock_.now(), base::LogLevel::Warning, [&] {
    return fmt::format("listener {}: PROXY protocol header of {}: {}; the connection is closed",
                       client.listener(), client.peer().text(), why);
  });
  client.abort();
}

bool Front::relay(client::ClientConnection& client, const Elsewhere& to, const http::RequestHead& head) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    counters_.add(ipc::Counter::RelaysRefused);
    return false;
  }
  base::Descriptor near(ends[0]);
  const base::Descriptor far(ends[1]);
  // The kernel gives the lowest numbers that are free: as many are in use at least.
  const auto highest = static_cast<std::uint64_t>(std::max(ends[0], ends[1]));
  if (highest + std::min(kLeftByRelays, descriptor_limit_ / 8) >= descriptor_limit_) {
    counters_.add(ipc::Counter::RelaysRefused);
    return false;
  }
  if (!handovers_->send(ipc::HandoverKind::Request, far, client, to.slot, {}, to.opens_session)) return false;
  client.take_from(head.raw.data());
  client::ClientConnection* owner = clients_.adopt(std::move(near), client.peer(), client.listener());
  if (owner == nullptr) {
    client.abort();
    return true;
  }
  Relay::start(client, *owner, head, header_bytes_, [this](loop::Stream& stream) { http_.resume(stream); });
  return true;
}

std::size_t Front::body_limit(const http::RequestHead& head) {
  return engine_.matches(head) ? engine_.body_limit() : kRouteBodyBytes;
}

std::unique_ptr<http::AwaitedBody> Front::on_body_awaited(const http::RequestHead& head) {
  return engine_.matches(head) ? engine_.on_body_awaited(head) : nullptr;
}

void Front::on_request(http::Exchange exchange, const http::Request& request) {
  counters_.add(ipc::Counter::HttpRequests);
  const auto& client = static_cast<const client::ClientConnection&>(exchange.stream());
  if (const auto named = named_by_proxy(client, request.head)) exchange.name_peer(named->text());
  if (engine_.matches(request.head) && http::raw_query_value(request.head.query, "EIO")) {
    if (is_lost(request.head)) {
      counters_.add(ipc::Counter::RequestsUnowned);
      // Any error ends the transport of a client, which then connects anew: sooner than its worker comes
      // back.
      return exchange.answer(
          http::Response(503, "text/plain; charset=utf-8", "The worker of this session does not answer\n"));
    }
    if (!admits_handshake(exchange, request.head)) return exchange.answer(busy_response());
    return engine_.on_request(std::move(exchange), request);
  }
  if (request.head.target == "*") return exchange.answer(methods_response());
  auto answer = socketio_.handle_http(request, [&exchange] { return exchange.peer_address(); });
  if (answer) {
    exchange.answer(std::move(*answer));
  } else if (engine_.matches(request.head)) {
    engine_.on_request(std::move(exchange), request);
  } else {
    exchange.answer(http::Response(404, "text/plain; charset=utf-8", "Not Found\n"));
  }
}

}  // namespace limpet::slot
