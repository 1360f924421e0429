// What a client may say: each input is a conversation, one message per line; a line that begins with `b` is a
// binary message, `!` closes the connection, `?` lets time pass. The handlers read arguments of every type
// and give everything back, so that what came in is also encoded again.
#include <limpet/app.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "tests/worker/plenty.h"
#include "worker/application/application.h"
#include "worker/engineio/session.h"
#include "worker/socketio/json_scan.h"
#include "worker/websocket/frame.h"
#include "worker/websocket/utf8.h"

namespace {

using namespace limpet;

/// What is sent must be what a client accepts: UTF-8 whose JSON is valid.
class Session final : public engineio::Session {
 public:
  [[nodiscard]] std::string_view sid() const noexcept override { return "sid00000000000000000"; }
  [[nodiscard]] engineio::Transport transport() const noexcept override {
    return engineio::Transport::Polling;
  }
  void send(std::span<const loop::Buffer> frames) override {
    for (const loop::Buffer& frame : frames)
      if (websocket::opcode_of(frame) == websocket::Opcode::Text) check(frame.payload());
  }
  [[nodiscard]] bool writable() const noexcept override { return true; }
  void close(engineio::CloseReason) override { is_closed = true; }
  [[nodiscard]] std::string_view handshake_head() const noexcept override {
    return "GET /socket.io/?a=b HTTP/1.1\r\n\r\n";
  }
  [[nodiscard]] std::string address() const override { return "127.0.0.1"; }
  [[nodiscard]] bool secure() const noexcept override { return false; }
  [[nodiscard]] std::int64_t issued_ms() const noexcept override { return 0; }

  bool is_closed = false;

 private:
  static void check(std::string_view payload) {
    if (!websocket::is_valid_utf8(payload)) std::abort();
    socketio::Packet packet;
    if (payload.front() != '4') std::abort();
    const bool is_reply_to_connect = payload[1] == '0' || payload[1] == '4';
    if (!is_reply_to_connect && !socketio::decode_packet(payload.substr(1), packet)) std::abort();
  }
};

void add_handlers(Socket& socket) {
  const auto echo = [](Socket from, Args args, Ack ack) {
    ack(args);
    from.emit("echo", args, [](std::optional<Error>, std::string, std::optional<int>) {});
    for (std::size_t i = 0; i < args.size(); ++i) {
      if (auto value = args.get<boost::json::value>(i)) from.emit("value", *value);
      if (auto text = args.get<std::string>(i)) from.emit("text", *text);
      if (auto bytes = args.get<Binary>(i)) from.emit("bytes", *bytes, args[i]);
      if (auto number = args.get<double>(i))
        from.emit("number", *number, args.get<std::int64_t>(i), args.get<std::uint8_t>(i));
    }
  };
  socket.on("e", echo);
  socket.on("typed", [](std::string_view a, int b, bool c, std::optional<boost::json::object> d, Ack ack) {
    ack(a, b, c, d.has_value());
  });
  socket.on("join", [](Socket from, std::string_view room) { from.join(room); });
  socket.on("say", [](Socket from, std::string_view room, Json what) { from.to(room).emit("said", what); });
  socket.on("end", [](Socket from, bool close) { from.disconnect(close); });
  socket.on_any([](std::string_view, Args) {});
  socket.on_disconnect([](Socket from, std::string_view) { from.broadcast().emit("left"); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  loop::Clock clock;
  std::uint64_t ids = 0;
  application::Application application(clock, {}, [&ids](std::span<char, base::kIdBytes> id) {
    id.back() = static_cast<char>('a' + ids++ % 26);
    std::fill(id.begin(), id.end() - 1, 'x');
  });
  Io io(application);
  socketio::Server& server = application.socketio();
  io.on_connection(add_handlers);
  io.of("/admin").on_connection(add_handlers);

  Session session;
  server.on_open(session);
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (!rest.empty() && session.user != nullptr) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line == "!") {
      server.on_close(session, engineio::CloseReason::TransportClose);
    } else if (line == "?") {
      clock.advance_to(clock.now() + std::chrono::seconds(10));
      application.tick(test::plenty());
    } else if (line.starts_with('b')) {
      server.on_binary(session, line.substr(1));
    } else if (websocket::is_valid_utf8(line)) {
      server.on_text(session, line);
    }
  }
  if (session.user != nullptr) server.on_close(session, engineio::CloseReason::TransportError);
  if (server.stats().sockets_open != 0) std::abort();
  return 0;
}
