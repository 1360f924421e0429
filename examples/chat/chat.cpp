// The default application: a chat. What one client sends as `chat message` (user, message), every other
// client gets as `chat message` ("<message> from <user>"), whichever worker it sits on. GET /worker tells
// which worker that is.
//
// Table [app] of limpet.toml: `public`, the folder of the web page; `client`, npm's socket.io-client/dist.
#include <limpet/app.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace {

namespace fs = std::filesystem;
using limpet::Ack;
using limpet::HttpRequest;
using limpet::HttpResponse;
using limpet::Io;
using limpet::Socket;

/// The folder that [app] names under `key`; else `name` beside the executable, else in the sources.
fs::path folder(const Io& io, std::string_view key, const fs::path& name) {
  if (const auto* configured = io.config().if_contains(key)) return fs::path(configured->as_string().c_str());
  std::error_code problem;
  const fs::path beside = fs::read_symlink("/proc/self/exe", problem).parent_path() / "chat" / name;
  return fs::is_directory(beside, problem) ? beside : fs::path(LIMPET_EXAMPLE_FOLDER) / name;
}

void say(const Socket& from, std::string_view user, std::string_view message) {
  std::string line(message);
  line.append(" from ").append(user);
  from.broadcast().emit("chat message", line);
}

}  // namespace

int main(int argc, char** argv) {
  return limpet::run(argc, argv, [](Io& io) {
    io.files("/", folder(io, "public", "public"));
    io.serve_client(folder(io, "client", "node_modules/socket.io-client/dist"));
    io.get("/worker", [io](const HttpRequest&) {
      return HttpResponse::text(std::string("worker: ").append(std::to_string(io.slot())));
    });

    io.on_connection([io](Socket& socket) {
      socket.on("chat message", [](Socket from, std::string_view user, std::string_view message, Ack ack) {
        say(from, user, message);
        ack();
      });
      // The page asks where it sits.
      socket.on("where am i", [io](Ack ack) { ack(io.slot(), io.worker_generation()); });
    });
  });
}
