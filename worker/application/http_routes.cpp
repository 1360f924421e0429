#include "worker/application/http_routes.h"

#include <utility>

namespace limpet {

std::string_view HttpRequest::header(std::string_view name) const noexcept {
  for (const auto& [header_name, value] : headers)
    if (http::equal_ignoring_case(header_name, name)) return value;
  return {};
}

std::string HttpRequest::query(std::string_view name) const {
  return http::query_value(query_string, name).value_or(std::string());
}

HttpResponse HttpResponse::text(std::string body, int status) {
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(body)};
}

namespace application {
namespace {

HttpRequest to_public(const http::Request& request, std::string address) {
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

/// RFC 9110 section 15: the others are no final answers, or none at all.
bool is_final(int status) noexcept { return status >= 200 && status <= 599; }

http::Response from_public(HttpResponse from) {
  http::Response response(is_final(from.status) ? from.status : 500);
  for (const auto& [name, value] : from.headers) {
    // Two of them would be two answers to whoever reads the other one.
    if (!http::is_set_by_renderer(name)) response.add_header(name, value);
    if (http::equal_ignoring_case(name, "Connection") && http::has_token(value, "close"))
      response.close = true;
  }
  response.body = std::move(from.body);
  return response;
}

}  // namespace

void HttpRoutes::get(std::string_view path, HttpHandler handler) {
  handlers_.insert_or_assign(std::string(path), std::move(handler));
}

std::optional<http::Response> HttpRoutes::answer(const http::Request& request, const Address& address,
                                                 const loop::Clock& clock,
                                                 loop::HandlerClock& handler_clock) {
  const std::string_view path = request.head.path;
  const auto handler = path.starts_with(socketio_path_) ? handlers_.end() : handlers_.find(path);
  // Only a handler needs a copy of the request.
  if (handler == handlers_.end()) return files_.answer(request.head, clock);
  if (!is_read(request.head)) return method_not_allowed();
  const HttpRequest for_handler = to_public(request, address());
  const loop::HandlerClock::Running running(handler_clock);
  return from_public(handler->second(for_handler));
}

}  // namespace application
}  // namespace limpet
