#include <limpet/app.h>

int main(int argc, char** argv) {
  return limpet::run(argc, argv, [](limpet::Io& io) {
    io.on_connection([](limpet::Socket& socket) {
      socket.on("say", [](limpet::Socket from, std::string_view text, limpet::Ack ack) {
        from.broadcast().emit("said", text);
        ack("ok");
      });
    });
    io.get("/health", [](const limpet::HttpRequest&) { return limpet::HttpResponse::text("ok"); });
  });
}
