#include "worker/process/front.h"

#include <sys/socket.h>

#include <array>

#include "worker/process/relay.h"
#include "worker/socketio/server.h"

namespace limpet::process {
namespace {

/// The body of a request that is not Engine.IO's.
constexpr std::size_t kRouteBodyBytes = 1'000'000;

HttpRequest to_route_request(const http::Request& request, std::string address) {
  HttpRequest out;
  out.method = request.head.method;
  out.path = request.head.path;
  out.query_string = request.head.query;
  out.body = request.body;
  out.address = std::move(address);
  std::size_t cursor = 0;
  std::string_view name;
  std::string_view value;
  while (http::next_header(request.head.raw, cursor, name, value)) out.headers.emplace_back(name, value);
  return out;
}

http::Response to_response(HttpResponse from) {
  http::Response response(from.status);
  for (const auto& [name, value] : from.headers) response.add_header(name, value);
  response.body = std::move(from.body);
  return response;
}

}  // namespace

Front::Front(Clients& clients, engineio::Server& engine, socketio::Server& socketio, Handovers* handovers,
             std::size_t header_bytes, ipc::CounterBlock& counters)
    : clients_(clients),
      engine_(engine),
      socketio_(socketio),
      handovers_(handovers),
      counters_(counters),
      header_bytes_(header_bytes),
      http_(*this, {.header_bytes = header_bytes}) {}

void Front::welcome(ipc::Descriptor socket, const PeerAddress& peer, std::uint16_t listener) {
  if (ClientConnection* connection = clients_.adopt(std::move(socket), peer, listener))
    http_.adopt(*connection);
}

void Front::take_in(ipc::ReceivedHandover arrival) {
  const auto peer = PeerAddress::from_text(arrival.handover.client_address, arrival.handover.client_port);
  ClientConnection* connection =
      clients_.adopt(std::move(arrival.socket), peer, arrival.handover.listener, arrival.handover.bytes);
  if (connection == nullptr) return;
  if (arrival.handover.kind == ipc::HandoverKind::Request) connection->serve_one_request();
  http_.adopt(*connection);
}

http::RequestHandler::Route Front::route(http::Stream& stream, const http::RequestHead& head,
                                         std::size_t bytes_after_head) {
  if (handovers_ == nullptr || !engine_.matches(head)) return Route::Here;
  const auto sid = engineio::sid_of(head);
  const auto owner = sid ? handovers_->other_owner_of(*sid) : std::nullopt;
  if (!owner) return Route::Here;
  auto& client = static_cast<ClientConnection&>(stream);
  const std::string_view unread(head.raw.data(), head.raw.size() + bytes_after_head);
  http::RequestEnd end(head, header_bytes_);
  const std::size_t of_request = end.pass(unread);
  // Refused here as it would be there, and by the same parser.
  if (end.status() == http::RequestEnd::Status::Malformed) return Route::Here;
  // What stands behind an upgrade is the new protocol's.
  const bool alone =
      head.upgrade || end.status() == http::RequestEnd::Status::Incomplete || of_request == unread.size();
  if (alone && unread.size() <= ipc::kHandoverLimitBytes) {
    client.take_from(head.raw.data(), *owner);
  } else {
    relay(client, *owner, head);
  }
  return Route::Taken;
}

void Front::relay(ClientConnection& client, std::uint16_t to_slot, const http::RequestHead& head) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    counters_.add(ipc::Counter::HandoversFailed);
    client.take_from(head.raw.data());
    client.abort();
    return;
  }
  const ipc::Descriptor far(ends[1]);
  handovers_->send(ipc::HandoverKind::Request, far, client, to_slot, {});
  client.take_from(head.raw.data());
  ClientConnection* owner = clients_.adopt(ipc::Descriptor(ends[0]), client.peer(), client.listener());
  if (owner == nullptr) {
    client.abort();
    return;
  }
  Relay::start(client, *owner, head, header_bytes_, [this](http::Stream& stream) { http_.resume(stream); });
}

std::size_t Front::body_limit(const http::RequestHead& head) {
  return engine_.matches(head) ? engine_.body_limit() : kRouteBodyBytes;
}

std::unique_ptr<http::AwaitedBody> Front::on_body_awaited(const http::RequestHead& head) {
  return engine_.matches(head) ? engine_.on_body_awaited(head) : nullptr;
}

void Front::on_request(http::Exchange exchange, const http::Request& request) {
  counters_.add(ipc::Counter::HttpRequests);
  // Before the routes are asked, which wants a copy of the whole request.
  if (engine_.matches(request.head) && http::raw_query_value(request.head.query, "EIO")) {
    return engine_.on_request(std::move(exchange), request);
  }
  auto answer = socketio_.handle_http(to_route_request(request, exchange.peer_address()));
  if (answer) {
    exchange.answer(to_response(std::move(*answer)));
  } else if (engine_.matches(request.head)) {
    engine_.on_request(std::move(exchange), request);
  } else {
    exchange.answer(http::Response(404, "text/plain; charset=utf-8", "Not Found\n"));
  }
}

}  // namespace limpet::process
