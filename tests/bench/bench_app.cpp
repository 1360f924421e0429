// The application that is measured: the same two handlers as node/server.mjs, a route that says who answers,
// and static files if the environment names their directory.
#include <limpet/app.h>

#include <cstdlib>
#include <string>

int main(int argc, char** argv) {
  return limpet::run(argc, argv, [](limpet::Io& io) {
    io.on_connection([io](limpet::Socket& socket) {
      socket.on("b", [io](limpet::Json argument) { io.emit("b", argument); });
      socket.on("e", [](limpet::Json argument, limpet::Ack acknowledge) { acknowledge(argument); });
    });
    if (const char* const files = std::getenv("LIMPET_BENCH_FILES")) io.files("/files", files);
    io.get("/slot", [io](const limpet::HttpRequest&) {
      return limpet::HttpResponse::text(std::to_string(io.slot()));
    });
  });
}
