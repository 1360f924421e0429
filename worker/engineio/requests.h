// What an Engine.IO request asks for, as it stands in its query, and the error table of docs/protocol.md
// ("Engine.IO 4"): what is wrong with it, and how it is told so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "worker/engineio/open_session.h"
#include "worker/engineio/options.h"
#include "worker/http/request.h"
#include "worker/http/response.h"

namespace limpet::engineio {

/// Engine.IO's error codes.
enum class ErrorCode : std::uint8_t {
  UnknownTransport = 0,
  UnknownSid = 1,
  BadHandshakeMethod = 2,
  BadRequest = 3,
  Forbidden = 4,
  UnsupportedProtocolVersion = 5,
};
inline constexpr std::size_t kErrorCodes = 6;

/// Views into the query.
struct Query {
  std::string_view transport;
  std::string_view sid;  ///< empty: a handshake
  std::string_view protocol;
  std::optional<std::string_view> jsonp;

  [[nodiscard]] bool asks_websocket() const noexcept { return transport == "websocket"; }
};
[[nodiscard]] Query parse_query(std::string_view query) noexcept;

/// The sid a request names, if it is well formed (20 characters of [A-Za-z0-9_-]). Looks at the query only:
/// whether the request is Engine.IO's at all is Server::matches().
[[nodiscard]] std::optional<std::string_view> sid_of(const http::RequestHead& head) noexcept;

struct Refusal {
  ErrorCode code;
  std::string message = {};  ///< empty: that of the code
};

class RequestRules {
 public:
  RequestRules(const Options& options, const Hooks& hooks) noexcept : options_(options), hooks_(hooks) {}

  /// In Node's order: who breaks two rules is told the same one. `session`: the one that the query names, if
  /// it names one that is here. Asks Hooks::refuse of a handshake.
  [[nodiscard]] std::optional<Refusal> check(const Query& query, const http::RequestHead& head,
                                             const OpenSession* session) const;

 private:
  [[nodiscard]] bool serves(std::string_view transport) const noexcept;
  [[nodiscard]] std::optional<Refusal> check_handshake(const Query& query,
                                                       const http::RequestHead& head) const;

  const Options& options_;
  const Hooks& hooks_;
};

/// `upgrade`: the request asked for one.
[[nodiscard]] http::Response make_response(const Refusal& refusal, bool upgrade);

}  // namespace limpet::engineio
