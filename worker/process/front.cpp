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

void Front::take_in(ipc::Descriptor socket, const ConnectionImage& image) {
  const auto peer = PeerAddress::from_text(image.client_address, image.client_port);
  ClientConnection* connection = clients_.adopt(std::move(socket), peer, image.listener, image.unread);
  if (connection == nullptr) return;
  if (image.one_request) connection->serve_one_request();
  if (!image.unsent.empty()) connection->send(http::Buffer::copy_of(image.unsent));
  http_.adopt(*connection);
}

void Front::give_away(bool giving) {
  giving_ = giving;
  if (!giving) http_.ask_again();
}

http::RequestHandler::Route Front::route(http::Stream& stream, const http::RequestHead& head,
                                         std::size_t bytes_after_head) {
  const Route not_here = giving_ ? Route::Later : Route::Here;
  if (handovers_ == nullptr || !engine_.matches(head)) return not_here;
  auto& client = static_cast<ClientConnection&>(stream);
  const auto sid = engineio::sid_of(head);
  if (!sid) return not_here;
  const auto owner = handovers_->other_owner_of(*sid);
  if (!owner) {
    if (engine_.knows(*sid)) return Route::Here;
    if (!expecting_) return not_here;
    client.take_from(head.raw.data(), kPredecessor);
    return Route::Taken;
  }
  const bool more_behind = bytes_after_head > head.content_length.value_or(0);
  // A request whose end cannot be counted here travels with its connection; what follows it is routed from
  // there.
  const bool countable = !head.upgrade && !head.chunked && head.method != "HEAD";
  const bool fits = head.raw.size() + bytes_after_head <= ipc::kHandoverLimitBytes;
  if ((more_behind || !fits) && countable) {
    relay(client, *owner, head);
  } else {
    client.take_from(head.raw.data(), *owner);
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
  const std::size_t request_bytes = head.raw.size() + head.content_length.value_or(0);
  Relay::start(client, *owner, request_bytes, [this](http::Stream& stream) { http_.adopt(stream); });
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
