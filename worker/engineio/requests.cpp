#include "worker/engineio/requests.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/limits.h"
#include "worker/engineio/dialect.h"
#include "worker/engineio/packet.h"

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

std::optional<Refusal> check_request_of_session(const Query& query, const http::RequestHead& head,
                                                const OpenSession* session) {
  if (session == nullptr) return Refusal{ErrorCode::UnknownSid};
  if (query.asks_websocket() != head.upgrade || query.protocol != session->dialect().protocol)
    return Refusal{ErrorCode::BadRequest};
  if (!query.asks_websocket() && !session->polling) return Refusal{ErrorCode::BadRequest};
  return std::nullopt;
}

}  // namespace

std::optional<std::string_view> sid_of(const http::RequestHead& head) noexcept {
  const auto sid = http::raw_query_value(head.query, "sid");
  if (!sid || sid->size() != base::kIdBytes || !std::all_of(sid->begin(), sid->end(), is_sid_character))
    return std::nullopt;
  return sid;
}

/// Keys that are not asked for are passed over, whatever they are called.
Query parse_query(std::string_view query) noexcept {
  Query parsed;
  parsed.transport = http::raw_query_value(query, "transport").value_or("");
  parsed.sid = http::raw_query_value(query, "sid").value_or("");
  parsed.protocol = http::raw_query_value(query, "EIO").value_or("");
  parsed.jsonp = http::raw_query_value(query, "j");
  return parsed;
}

bool RequestRules::serves(std::string_view transport) const noexcept {
  return (options_.polling && transport == "polling") || (options_.websocket && transport == "websocket");
}

std::optional<Refusal> RequestRules::check(const Query& query, const http::RequestHead& head,
                                           const OpenSession* session) const {
  if (!serves(query.transport)) return Refusal{ErrorCode::UnknownTransport};
  return query.sid.empty() ? check_handshake(query, head) : check_request_of_session(query, head, session);
}

std::optional<Refusal> RequestRules::check_handshake(const Query& query,
                                                     const http::RequestHead& head) const {
  if (head.method != "GET") return Refusal{ErrorCode::BadHandshakeMethod};
  if (query.asks_websocket() != head.upgrade) return Refusal{ErrorCode::BadRequest};
  if (hooks_.refuse) {
    if (auto message = hooks_.refuse(head)) return Refusal{ErrorCode::Forbidden, std::move(*message)};
  }
  if (find_dialect(query.protocol) == nullptr) return Refusal{ErrorCode::UnsupportedProtocolVersion};
  return std::nullopt;
}

http::Response make_response(const Refusal& refusal, bool upgrade) {
  const std::string_view message =
      refusal.message.empty() ? message_of(refusal.code) : std::string_view(refusal.message);
  if (upgrade) {
    http::Response response(400, "text/html", std::string(message));
    response.close = true;
    return response;
  }
  const int status = refusal.code == ErrorCode::Forbidden ? 403 : 400;
  return {status, "application/json", make_error_body(static_cast<int>(refusal.code), message)};
}

}  // namespace limpet::engineio
