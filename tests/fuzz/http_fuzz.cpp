// A client that sends any bytes in any pieces to http::Server. The answer must not depend on where the pieces
// end.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tests/worker/memory_stream.h"
#include "worker/http/server.h"

namespace {

using namespace limpet;

class Echo final : public http::RequestHandler {
 public:
  Route route(loop::Stream&, const http::RequestHead&, std::size_t) override { return Route::Here; }
  std::size_t body_limit(const http::RequestHead&) override { return 1000; }
  void on_request(http::Exchange exchange, const http::Request& request) override {
    std::string body(request.head.method);
    body += http::query_value(request.head.query, "a").value_or("-");
    body += request.head.header("x");
    body += request.body;
    exchange.answer(http::Response(200, "text/plain", std::move(body)));
  }
};

std::string answers(std::string_view bytes, std::size_t piece) {
  Echo handler;
  http::Server server(handler, {.header_bytes = 500});
  test::MemoryStream stream;
  server.adopt(stream);
  for (std::size_t at = 0; at < bytes.size(); at += piece) stream.receive(bytes.substr(at, piece));
  stream.close();
  if (server.connection_count() != 0) __builtin_trap();
  return stream.take_sent();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 4096) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = answers(bytes.substr(1), size);
  const std::string pieces = answers(bytes.substr(1), 1 + data[0] % 64u);
  // A request that waits for `100 Continue` sees one only if its body comes later.
  if (bytes.find("100-") == std::string_view::npos && whole != pieces) __builtin_trap();
  return 0;
}
