// A plain HTTP request and its answer, for `io.get`. Views live during the call.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace limpet {

struct HttpRequest {
  std::string_view method;        ///< "GET"
  std::string_view path;          ///< "/worker": the target up to `?`, as it came
  std::string_view query_string;  ///< behind the `?`
  std::string_view body;
  std::string address;  ///< the client's
  std::vector<std::pair<std::string_view, std::string_view>> headers;

  /// The first header of that name (any case); empty if there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
  /// A parameter of the query, decoded; empty if there is none.
  [[nodiscard]] std::string query(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;  ///< 200 to 599
  /// Not Date, Content-Length, Transfer-Encoding, Upgrade or Keep-Alive: the server says those itself, and
  /// drops them here. `Connection: close` ends the connection behind the answer.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  /// Text, `text/plain; charset=utf-8`.
  static HttpResponse text(std::string body, int status = 200);
};

}  // namespace limpet
