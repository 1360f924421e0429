// The application that is measured: the same two handlers as node/server.mjs.
#include <limpet/app.h>

int main(int argc, char** argv) {
  return limpet::run(argc, argv, [](limpet::Io& io) {
    io.on_connection([io](limpet::Socket& socket) {
      socket.on("b", [io](limpet::Json argument) { io.emit("b", argument); });
      socket.on("e", [](limpet::Json argument, limpet::Ack acknowledge) { acknowledge(argument); });
    });
  });
}
