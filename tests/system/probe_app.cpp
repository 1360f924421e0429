// The application that the client and system tests drive: the handlers of ../client/reference.mjs, the chat,
// and requests that make a worker misbehave. Table [app] of limpet.toml:
//   protocol = "NAME"  the WebSocket subprotocol that is taken if a client offers it; "none"
//   broken = "FILE"   while that file exists, its first word says how this worker fails: at its start exit,
//   throw, hang, crash; `later`: a crash some time after it is ready; `arrival`: a crash, once, as the first
//   session arrives from the worker before
#include <fcntl.h>
#include <limpet/app.h>
#include <unistd.h>
#include <boost/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using limpet::Ack;
using limpet::Args;
using limpet::HttpRequest;
using limpet::HttpResponse;
using limpet::Io;
using limpet::Socket;
using Names = std::vector<std::string>;

[[noreturn]] void hang() {
  for (volatile unsigned turns = 0;;) turns = turns + 1;
}

std::string how_broken(const boost::json::object& config) {
  const auto* file = config.if_contains("broken");
  std::string how;
  if (file != nullptr) std::ifstream(file->as_string().c_str()) >> how;
  return how;
}

void fail_if_broken(const Io& io) {
  const std::string how = how_broken(io.config());
  if (how.empty() || how == "arrival") return;
  if (how == "later") {
    io.after(std::chrono::milliseconds(300), [] { std::abort(); });
    return;
  }
  if (how == "exit") std::_Exit(7);
  if (how == "hang") hang();
  if (how == "crash") std::abort();
  throw std::runtime_error("the probe is told to be broken");
}

/// One name, or an array of them.
Names names_in(const boost::json::value& value) {
  if (value.is_string()) return {std::string(value.as_string())};
  return boost::json::value_to<Names>(value);
}

/// Room by room, as applications do.
limpet::BroadcastOperator chosen(limpet::BroadcastOperator all, const Names& rooms, const Names& except) {
  for (const auto& room : rooms) all = all.to(room);
  return std::move(all).except(except);
}

void server_word(const Io& io, const Names& rooms, const Names& except, std::string_view text) {
  if (rooms.empty() && except.empty()) {
    io.emit("word", text);
    return;
  }
  // The first one twice: a room chosen or left out twice is that room.
  chosen(rooms.empty() ? io.except(except.front()) : io.to(rooms.front()), rooms, except).emit("word", text);
}

void handle_echoes(const Io& io, Socket& socket) {
  socket.on("echo", [](Socket from, Args args, Ack ack) {
    if (ack) {
      ack(args);
    } else {
      from.emit("echo", args);
    }
  });
  socket.on("burst", [](Socket from, int count, std::string_view text) {
    for (int i = 0; i < count; ++i) from.emit("burst", i, text);
  });
  socket.on("ask me", [](Socket from, std::string_view question) {
    from.emit("question", question,
              [](Socket answering, Args answers) { answering.emit("answered", answers); });
  });
  socket.on("ask me within", [](Socket from, int milliseconds) {
    from.timeout(std::chrono::milliseconds(milliseconds))
        .emit("question", "in time?", [](Socket answering, std::optional<limpet::Error> error) {
          answering.emit("answered", error ? "too late" : "in time");
        });
  });
  socket.on("whoami", [io](Socket from, Ack ack) {
    const auto handshake = from.handshake();
    const boost::json::value& auth = handshake.auth;  // looked at, whoever asks
    if (!ack) return;
    ack(boost::json::object{{"id", from.id()},
                            {"slot", io.slot()},
                            {"address", handshake.address},
                            {"query", boost::json::object{{"room", handshake.query("room")}}},
                            {"auth", auth},
                            {"agent", handshake.header("user-agent")}});
  });
}

void handle_rooms(const Io& io, Socket& socket) {
  socket.on("join", [](Socket from, std::string_view room, Ack ack) {
    from.join(room);
    ack();
  });
  socket.on("leave", [](Socket from, std::string_view room, Ack ack) {
    from.leave(room);
    ack();
  });
  socket.on("rooms", [](Socket from, Ack ack) {
    auto rooms = from.rooms();
    std::sort(rooms.begin(), rooms.end());
    ack(boost::json::value_from(rooms));
  });
  socket.on("enter", [](Socket from, std::string_view room) { from.join(room); });
  socket.on("say", [](Socket from, std::string_view room, int sender, int number) {
    from.broadcast().to(room).emit("say", sender, number);
  });
  socket.on("word", [](Socket from, boost::json::value rooms, boost::json::value except,
                       std::string_view text, Ack ack) {
    chosen(from.broadcast(), names_in(rooms), names_in(except)).emit("word", text);
    ack();
  });
  socket.on("server word",
            [io](boost::json::value rooms, boost::json::value except, std::string_view text, Ack ack) {
              server_word(io, names_in(rooms), names_in(except), text);
              ack();
            });
  socket.on("word to all", [io](std::string_view text, Ack ack) {
    io.emit("word", text);
    ack();
  });
  socket.on("word to others", [](Socket from, Args args, Ack ack) {
    from.broadcast().emit("word", args);
    ack();
  });
}

/// What a client leaves with one worker and finds with the next.
void handle_memory(Socket& socket) {
  socket.on("remember", [](Socket from, boost::json::value what, Ack ack) {
    from.data() = std::move(what);
    ack();
  });
  socket.on("recall", [](Socket from, Ack ack) {
    ack(boost::json::object{{"data", from.data()}, {"recovered", from.recovered()}});
  });
}

void on_connection(const Io& io, Socket& socket) {
  if (socket.recovered() && how_broken(io.config()) == "arrival") {
    ::unlink(io.config().at("broken").as_string().c_str());
    std::abort();
  }
  handle_memory(socket);
  handle_echoes(io, socket);
  handle_rooms(io, socket);
  socket.on("chat message", [](Socket from, std::string_view user, std::string_view message) {
    from.broadcast().emit("chat message", std::string(message) + " from " + std::string(user));
  });
  socket.on("disconnect me", [](Socket from, bool close) { from.disconnect(close); });
  socket.on("throw", [] { throw std::runtime_error("a handler's mistake"); });
  socket.on("hang", [] { hang(); });
  socket.on_disconnect([io](Socket gone, std::string_view reason) { io.emit("gone", gone.id(), reason); });
}

void set_up_other(const limpet::Namespace& other) {
  other.on_connection([other](Socket& socket) {
    socket.emit("welcome", socket.handshake().auth);
    socket.on("echo", [](Args args, Ack ack) { ack(args); });
    socket.on("word to all", [other](std::string_view text, Ack ack) {
      other.emit("word", text);
      ack();
    });
    socket.on("disconnect me", [](Socket from, bool close) { from.disconnect(close); });
    socket.on_disconnect(
        [other](Socket gone, std::string_view reason) { other.emit("gone", gone.id(), reason); });
  });
}

/// Opens all that this process may have; with `and_close`, they are closed again.
HttpResponse take_all_descriptors(bool and_close) {
  static std::vector<int> taken;
  for (int number = ::open("/dev/null", O_RDONLY | O_CLOEXEC); number != -1;
       number = ::fcntl(number, F_DUPFD_CLOEXEC, 0))
    taken.push_back(number);
  const std::string count = std::to_string(taken.size());
  for (std::size_t i = 0; and_close && i < taken.size(); ++i) ::close(taken[i]);
  if (and_close) taken.clear();
  return HttpResponse::text(count);
}

/// The pid of a program that outlives this worker.
HttpResponse start_child() {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setpgid(0, 0);
    ::execlp("sleep", "sleep", "60", nullptr);
    ::_exit(127);
  }
  return HttpResponse::text(std::to_string(child));
}

void set_up_requests(const Io& io) {
  io.get("/child", [](const HttpRequest&) { return start_child(); });
  io.get("/take-descriptors", [](const HttpRequest&) { return take_all_descriptors(false); });
  io.get("/give-descriptors", [](const HttpRequest&) { return take_all_descriptors(true); });
  io.get("/worker", [io](const HttpRequest&) {
    return HttpResponse::text("worker: " + std::to_string(io.slot()) + "\n");
  });
  io.get("/who", [io](const HttpRequest& request) {
    return HttpResponse::text(
        boost::json::serialize(boost::json::object{{"slot", io.slot()},
                                                   {"generation", io.worker_generation()},
                                                   {"pid", ::getpid()},
                                                   {"address", request.address}}));
  });
  if (const auto* const files = io.config().if_contains("files"))
    io.files("/files", std::string(files->as_string()));
  io.get("/hang", [](const HttpRequest&) -> HttpResponse { hang(); });
  io.get("/crash", [](const HttpRequest&) -> HttpResponse { std::abort(); });
  io.get("/throw",
         [](const HttpRequest&) -> HttpResponse { throw std::runtime_error("a request's mistake"); });
}

/// The one that is configured, of those that a client offers; "none" takes none of them.
void choose_protocols(const Io& io) {
  const auto* const wanted = io.config().if_contains("protocol");
  if (wanted == nullptr) return;
  io.handle_protocols([wanted = std::string(wanted->as_string())](
                          std::span<const std::string_view> offered) -> std::optional<std::string> {
    if (wanted == "none" || std::find(offered.begin(), offered.end(), wanted) == offered.end())
      return std::nullopt;
    return wanted;
  });
}

void set_up(Io& io) {
  fail_if_broken(io);
  choose_protocols(io);
  io.on_connection([io](Socket& socket) { on_connection(io, socket); });
  set_up_other(io.of("/other"));
  set_up_requests(io);
}

}  // namespace

int main(int argc, char** argv) { return limpet::run(argc, argv, set_up); }
