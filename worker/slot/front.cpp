#include "worker/slot/front.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "base/descriptor_limit.h"
#include "base/log.h"
#include "worker/application/application.h"
#include "worker/client/proxy_protocol.h"
#include "worker/slot/relay.h"

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

client::ConnectionImage image_of(ipc::Handover handover) {
  return {.client_address = std::move(handover.client_address),
          .client_port = handover.client_port,
          .listener = handover.listener,
          .one_request = handover.kind == ipc::HandoverKind::Request,
          .placed = handover.placed,
          .by_proxy = handover.by_proxy,
          .unread = std::move(handover.bytes),
          .unsent = {}};
}

}  // namespace

Front::Front(client::Clients& clients, engineio::Server& engine, application::Application& application,
             Router& router, client::Admission& admission, const client::Limits& limits,
             const client::Listeners& listeners, const loop::Clock& clock, ipc::CounterBlock& counters)
    : clients_(clients),
      engine_(engine),
      application_(application),
      router_(router),
      admission_(admission),
      limits_(limits),
      listeners_(listeners),
      clock_(clock),
      counters_(counters),
      descriptor_limit_(base::descriptor_limit()),
      http_(*this, {.header_bytes = limits.header_bytes, .clock = &clock}) {}

void Front::welcome(base::Descriptor socket, const client::PeerAddress& peer, std::uint16_t listener) {
  const bool admitted = admission_.admits_connection(clients_.open());
  // So many may linger with their refusal; whoever comes beyond that is closed without a word.
  if (!admitted && clients_.open() >= limits_.connections + kRefusalsAtOnce) return;
  client::ClientConnection* connection = clients_.adopt(std::move(socket), peer, listener);
  if (connection == nullptr) return;
  if (!admitted) return refuse_as_busy(*connection);
  if (listeners_.of(*connection).proxy_protocol) {
    connection->set_receiver(&proxy_reader_);
    connection->set_waiting(loop::Stream::Waiting::Header);
  } else {
    let_in(*connection);
  }
}

/// What its client speaks is the listener's to say: it is chosen here, for all but the connections of
/// sessions that have moved, whose transport the session knows.
void Front::serve(client::ClientConnection& client) {
  switch (listeners_.of(client).protocol) {
    case client::Protocol::Http:
      return http_.adopt(client);
  }
}

void Front::let_in(client::ClientConnection& client) {
  admits_one_more_of(client) ? serve(client) : refuse_as_busy(client);
}

/// A proxy's own address counts for nobody.
bool Front::counts_for_its_address(const client::ClientConnection& client) const {
  return admission_.counts_addresses() && client.peer().family() != AF_UNSPEC &&
         !client.serves_one_request() && !listeners_.trusts(client);
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
                                     listeners_.named_by_proxy(client, head).value_or(client.peer()));
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
  front.let_in(client);
  return header.bytes;
}

/// A client with a session may come by way of any worker: its connections are let in beyond the caps, as many
/// as there may be refusals at once.
void Front::take_in(ipc::ReceivedHandover arrival) {
  const std::size_t most = limits_.connections;
  if (clients_.open() >= most + 2 * kRefusalsAtOnce)
    return (void)admission_.admits_connection(clients_.open());
  const bool came_from_reserve = static_cast<std::uint64_t>(arrival.socket.get()) >= descriptor_limit_;
  const client::ConnectionImage image = image_of(std::move(arrival.handover));
  client::ClientConnection* connection = restore(clients_, std::move(arrival.socket), image);
  if (connection == nullptr) return;
  if (came_from_reserve && connection->serves_one_request()) {
    counters_.add(ipc::Counter::RelaysRefused);
    return refuse_as_busy(*connection);
  }
  if (connection->serves_one_request() || asks_for_session(image.unread)) {
    count_arrived(*connection);
    return serve(*connection);
  }
  if (clients_.open() > most) {
    counters_.add(ipc::Counter::RefusedConnections);
    return clients_.open() > most + kRefusalsAtOnce ? connection->abort() : refuse_as_busy(*connection);
  }
  let_in(*connection);
}

/// For one that is here, or on its way here: a client with a session is let in whatever the caps say.
bool Front::asks_for_session(std::string_view request) const {
  const http::ParsedHead parsed = http::parse_head(request, limits_.header_bytes);
  if (parsed.status != http::HeadStatus::Complete) return false;
  const auto sid = engineio::sid_of(parsed.head);
  return sid && router_.expects(*sid);
}

client::ClientConnection* Front::take_in(base::Descriptor socket, const client::ConnectionImage& image) {
  client::ClientConnection* connection = restore(clients_, std::move(socket), image);
  if (connection == nullptr) return nullptr;
  count_arrived(*connection);
  serve(*connection);
  return connection;
}

void Front::give_away(bool giving) {
  router_.set_giving(giving);
  if (!giving) http_.ask_again();
}

void Front::ask_again() {
  router_.heard_supervisor();
  http_.ask_again();
}

http::RequestHandler::Route Front::route(loop::Stream& stream, const http::RequestHead& head,
                                         std::size_t bytes_after_head) {
  auto& client = static_cast<client::ClientConnection&>(stream);
  const Router::Decision decision = router_.decide(client, head);
  switch (decision.verdict) {
    case Router::Verdict::Here:
      return Route::Here;
    case Router::Verdict::Later:
      return Route::Later;
    case Router::Verdict::Leaves:
      break;
  }
  return send_away(client, decision, head, bytes_after_head);
}

/// The connection travels with its request, unless something else on it could be answered here: then the
/// request is relayed.
http::RequestHandler::Route Front::send_away(client::ClientConnection& client,
                                             const Router::Decision& decision, const http::RequestHead& head,
                                             std::size_t bytes_after_head) {
  if (decision.to.to == client::Destination::To::Slot) {
    const std::string_view unread(head.raw.data(), head.raw.size() + bytes_after_head);
    http::RequestEnd end(head, limits_.header_bytes);
    const std::size_t of_request = end.pass(unread);
    // Refused here as it would be there, and by the same parser.
    if (end.status() == http::RequestEnd::Status::Malformed) return Route::Here;
    // What stands behind an upgrade is the new protocol's.
    const bool alone =
        head.upgrade || (!decision.pooled && (end.status() == http::RequestEnd::Status::Incomplete ||
                                              of_request == unread.size()));
    if (!alone || unread.size() > ipc::kHandoverLimitBytes)
      return relay(client, decision.to, head) ? Route::Taken : Route::Here;
  }
  client.take_from(head.raw.data(), decision.to);
  return Route::Taken;
}

void Front::refuse_connection(client::ClientConnection& client, const char* why) {
  counters_.add(ipc::Counter::ProxyHeadersRefused);
  base::log_at_most(refusals_, clock_.now(), base::LogLevel::Warning, [&] {
    return fmt::format("listener {}: PROXY protocol header of {}: {}; the connection is closed",
                       client.listener(), client.peer().text(), why);
  });
  client.abort();
}

bool Front::relay(client::ClientConnection& client, const client::Destination& to,
                  const http::RequestHead& head) {
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
  if (!router_.send_request(far, client, to)) return false;
  client.take_from(head.raw.data());
  client::ClientConnection* owner = clients_.adopt(std::move(near), client.peer(), client.listener());
  if (owner == nullptr) {
    client.abort();
    return true;
  }
  Relay::start(client, *owner, head, limits_.header_bytes,
               [this](loop::Stream& stream) { http_.resume(stream); });
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
  if (const auto named = listeners_.named_by_proxy(client, request.head)) exchange.name_peer(named->text());
  if (engine_.matches(request.head) && http::raw_query_value(request.head.query, "EIO")) {
    if (router_.is_lost(request.head)) {
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
  auto answer = application_.handle_http(request, [&exchange] { return exchange.peer_address(); });
  if (answer) {
    exchange.answer(std::move(*answer));
  } else if (engine_.matches(request.head)) {
    engine_.on_request(std::move(exchange), request);
  } else {
    exchange.answer(http::Response(404, "text/plain; charset=utf-8", "Not Found\n"));
  }
}

}  // namespace limpet::slot
