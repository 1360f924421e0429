// The examples of docs/guide.md as one application, so that they are known to compile.
#include <limpet/app.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;

// Values of your own
// ------------------------------------------------------------------------------------------------

struct Position {
  double x = 0;
  double y = 0;
};

void tag_invoke(const boost::json::value_from_tag&, boost::json::value& out, const Position& from) {
  out = {{"x", from.x}, {"y", from.y}};
}

Position tag_invoke(const boost::json::value_to_tag<Position>&, const boost::json::value& from) {
  return {from.at("x").to_number<double>(), from.at("y").to_number<double>()};
}

// Events
// --------------------------------------------------------------------------------------------------------------

void add_event_handlers(limpet::Socket& socket) {
  socket.on("hello", [](limpet::Socket from, std::string_view name, std::optional<int> age) {
    from.emit("welcome", name, age);
  });
  socket.on("sum", [](limpet::Args numbers, limpet::Ack ack) {
    double sum = 0;
    for (std::size_t i = 0; i < numbers.size(); ++i) sum += numbers.get<double>(i).value_or(0);
    ack(sum);
  });
  socket.on("move", [](limpet::Socket from, Position to) { from.broadcast().emit("moved", from.id(), to); });
  socket.on("relay",
            [](limpet::Socket from, limpet::Json anything) { from.broadcast().emit("relayed", anything); });
  socket.on("upload",
            [](std::string name, limpet::Binary bytes, limpet::Ack ack) { ack(name, bytes.size()); });
}

void ask(const limpet::Socket& socket) {
  socket.timeout(5s).emit("what is your name",
                          [socket](std::optional<limpet::Error> error, std::string name) {
                            if (error)
                              return;  // "operation has timed out", or "socket has been disconnected"
                            socket.data() = {{"name", name}};
                          });
}

// Rooms
// ---------------------------------------------------------------------------------------------------------------

void add_room_handlers(limpet::Socket& socket) {
  socket.on("enter", [](limpet::Socket from, std::string_view room, limpet::Ack ack) {
    from.join(room);
    from.to(room).emit("entered", from.id());
    ack(from.rooms());
  });
  socket.on_disconnecting([](limpet::Socket leaving, std::string_view reason) {
    for (const std::string& room : leaving.rooms()) leaving.to(room).emit("left", leaving.id(), reason);
  });
}

// Reloads
// --------------------------------------------------------------------------------------------------------------

std::map<std::string, std::int64_t, std::less<>> scores;

std::int64_t score_of(std::string_view id) {
  const auto found = scores.find(id);
  return found == scores.end() ? 0 : found->second;
}

void remember_score(std::string_view id, const boost::json::value& data) {
  scores[std::string(id)] = data.at("score").to_number<std::int64_t>();
}

void set_up_reloads(const limpet::Io& io) {
  io.on_leaving([](limpet::Socket& socket) { socket.data() = {{"score", score_of(socket.id())}}; });
  io.on_connection([](limpet::Socket& socket) {
    if (socket.recovered()) {
      remember_score(socket.id(), socket.data());  // what the worker before has put there
    } else {
      socket.emit("welcome", socket.id());
    }
  });
}

// Namespaces and who may enter
// -------------------------------------------------------------------------------------------

void set_up_admin(const limpet::Io& io) {
  const limpet::Namespace admin = io.of("/admin");
  const boost::json::value token = io.config().contains("token") ? io.config().at("token") : nullptr;
  admin.use([token](limpet::Socket& socket) -> std::optional<limpet::Error> {
    const boost::json::value auth = socket.handshake().auth;
    if (auth.is_object() && token.is_string()) {
      const auto* given = auth.as_object().if_contains("token");
      if (given != nullptr && *given == token) return std::nullopt;
    }
    return limpet::Error{"not authorized"};
  });
  admin.on_connection([io](limpet::Socket& socket) {
    socket.on("announce", [io](limpet::Json text) { io.emit("announcement", text); });
  });
}

// Plain HTTP, timers, gaps
// -----------------------------------------------------------------------------------------------

void set_up_the_rest(const limpet::Io& io) {
  io.get("/health", [io](const limpet::HttpRequest&) {
    return limpet::HttpResponse{200,
                                {{"Content-Type", "application/json"}},
                                boost::json::serialize(boost::json::object{{"clients", io.local_size()}})};
  });
  io.every(1s, [io] { io.local().volatile_().emit("tick"); });
  io.on_gap([](const limpet::Gap& gap) {
    std::cerr << "missed at least " << gap.missed << " broadcasts of slot " << gap.slot << "\n";
  });
}

int main(int argc, char** argv) {
  return limpet::run(argc, argv, [](limpet::Io& io) {
    io.on_connection([](limpet::Socket& socket) {
      add_event_handlers(socket);
      add_room_handlers(socket);
      ask(socket);
    });
    set_up_reloads(io);
    set_up_admin(io);
    set_up_the_rest(io);
  });
}
