// Which session a request names, and the error table of docs/protocol.md ("Engine.IO 4").
#include <algorithm>
#include <array>
#include <utility>

#include "base/limits.h"
#include "worker/engineio/core.h"
#include "worker/websocket/handshake.h"

namespace limpet::engineio {

namespace {

struct ErrorRow {
  ErrorCode code;
  std::string_view message;
};
constexpr std::array<ErrorRow, kErrorCodes> kErrors{{
    {ErrorCode::UnknownTransport, "Transport unknown"},
    {ErrorCode::UnknownSid, "Session ID unknown"},
    {ErrorCode::BadHandshakeMethod, "Bad handshake method"},
    {ErrorCode::BadRequest, "Bad request"},
    {ErrorCode::Forbidden, "Forbidden"},
    {ErrorCode::UnsupportedProtocolVersion, "Unsupported protocol version"},
}};

std::string_view message_of(ErrorCode code) noexcept {
  return kErrors[static_cast<std::size_t>(code)].message;
}

bool is_sid_character(char c) noexcept {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/// The one protocol version that is spoken.
constexpr std::string_view kProtocol = "4";

}  // namespace

std::optional<std::string_view> sid_of(const http::RequestHead& head) noexcept {
  const auto sid = http::raw_query_value(head.query, "sid");
  if (!sid || sid->size() != base::kIdBytes || !std::all_of(sid->begin(), sid->end(), is_sid_character))
    return std::nullopt;
  return sid;
}

/// Keys that are not asked for are passed over, whatever they are called.
Core::Query Core::parse_query(std::string_view query) noexcept {
  Query parsed;
  parsed.transport = http::raw_query_value(query, "transport").value_or("");
  parsed.sid = http::raw_query_value(query, "sid").value_or("");
  parsed.protocol = http::raw_query_value(query, "EIO").value_or("");
  parsed.jsonp = http::raw_query_value(query, "j");
  return parsed;
}

bool Core::serves(std::string_view transport) const noexcept {
  return (options_.polling && transport == "polling") || (options_.websocket && transport == "websocket");
}

/// In Node's order: who breaks two rules is told the same one.
std::optional<Core::Refusal> Core::verify(const Query& query, const http::RequestHead& head) const {
  if (!serves(query.transport)) return Refusal{ErrorCode::UnknownTransport, {}};
  return query.sid.empty() ? verify_handshake(query, head) : verify_session(query, head);
}

std::optional<Core::Refusal> Core::verify_handshake(const Query& query, const http::RequestHead& head) const {
  if (head.method != "GET") return Refusal{ErrorCode::BadHandshakeMethod, {}};
  if ((query.transport == "websocket") != head.upgrade) return Refusal{ErrorCode::BadRequest, {}};
  if (hooks_.refuse) {
    if (auto message = hooks_.refuse(head)) return Refusal{ErrorCode::Forbidden, std::move(*message)};
  }
  if (query.protocol != kProtocol) return Refusal{ErrorCode::UnsupportedProtocolVersion, {}};
  return std::nullopt;
}

std::optional<Core::Refusal> Core::verify_session(const Query& query, const http::RequestHead& head) const {
  const OpenSession* session = table_.find(query.sid);
  if (session == nullptr) return Refusal{ErrorCode::UnknownSid, {}};
  const bool asks_websocket = query.transport == "websocket";
  if (asks_websocket != head.upgrade || query.protocol != kProtocol)
    return Refusal{ErrorCode::BadRequest, {}};
  if (!asks_websocket && !session->polling) return Refusal{ErrorCode::BadRequest, {}};
  return std::nullopt;
}

void Core::refuse(http::Exchange exchange, const http::RequestHead& head, const Refusal& refusal) {
  ++counts_.refused[static_cast<std::size_t>(refusal.code)];
  const std::string_view message =
      refusal.message.empty() ? message_of(refusal.code) : std::string_view(refusal.message);
  if (head.upgrade) {
    http::Response response(400, "text/html", std::string(message));
    response.close = true;
    exchange.answer(std::move(response));
    return;
  }
  const int status = refusal.code == ErrorCode::Forbidden ? 403 : 400;
  exchange.answer(
      http::Response(status, "application/json", make_error_body(static_cast<int>(refusal.code), message)));
}

void Core::on_request(http::Exchange exchange, const http::Request& request) {
  const Query query = parse_query(request.head.query);
  if (const auto refusal = verify(query, request.head)) {
    refuse(std::move(exchange), request.head, *refusal);
  } else if (request.head.upgrade) {
    on_upgrade(std::move(exchange), request.head, query);
  } else if (query.sid.empty()) {
    open_polling(std::move(exchange), request.head, query);
  } else if (request.head.method == "GET") {
    on_poll(*table_.find(query.sid), std::move(exchange), query);
  } else if (request.head.method == "POST") {
    on_post(*table_.find(query.sid), std::move(exchange), request, query);
  } else {
    http::Response response(405);
    response.add_header("Allow", "GET, POST");
    exchange.answer(std::move(response));
  }
}

void Core::on_upgrade(http::Exchange exchange, const http::RequestHead& head, const Query& query) {
  const auto check = websocket::check_handshake(head);
  if (check.error != 0) {
    exchange.answer(websocket::refuse_handshake(check));
    return;
  }
  http::Response switching = websocket::accept_handshake(head, choose_protocol(check.protocols));
  if (query.sid.empty()) {
    open_websocket(std::move(exchange), head, std::move(switching));
    return;
  }
  OpenSession& session = *table_.find(query.sid);
  const bool may_upgrade =
      session.open() && session.polling && session.polling->probe == nullptr && options_.allow_upgrades;
  if (may_upgrade) {
    start_probe(session, std::move(exchange), std::move(switching));
  } else {
    accept_and_close(std::move(exchange), std::move(switching));
  }
}

std::string Core::choose_protocol(std::span<const std::string_view> offered) const {
  if (offered.empty()) return {};
  return hooks_.choose_protocol ? hooks_.choose_protocol(offered) : std::string(offered.front());
}

}  // namespace limpet::engineio
