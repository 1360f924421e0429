#include "worker/application/guarded_handlers.h"

#include "worker/socketio/server.h"

namespace limpet::application {
namespace {

bool is_there(const socketio::SocketHandle& handle) noexcept {
  return handle.server->find(handle.index, handle.epoch) != nullptr;
}

}  // namespace

std::optional<Error> GuardedHandlers::admit(const socketio::SocketHandle& handle) noexcept {
  std::optional<Error> refusal;
  Socket socket(handle);
  // One that has disconnected the socket was the last one.
  for (std::size_t next = 0; next < middlewares_.size() && !refusal && is_there(handle); ++next) {
    // A middleware that throws must not let anybody in.
    refusal = Error{"Internal server error"};
    guard_.run({"middleware", socket.id()}, [&] { refusal = middlewares_[next](socket); });
  }
  return refusal;
}

void GuardedHandlers::connected(const socketio::SocketHandle& handle) noexcept {
  Socket socket(handle);
  for (std::size_t next = 0; next < connection_handlers_.size(); ++next)
    guard_.run({"connection", socket.id()}, [&] { connection_handlers_[next](socket); });
}

void GuardedHandlers::leaving(const socketio::SocketHandle& handle) noexcept {
  Socket socket(handle);
  for (std::size_t next = 0; next < leaving_handlers_.size() && is_there(handle); ++next)
    guard_.run({"leaving", socket.id()}, [&] { leaving_handlers_[next](socket); });
}

void GuardedHandlers::run(const socketio::Handler& handler, socketio::Call& call,
                          std::string_view name) noexcept {
  const HandlerName who{name, socketio::view_of(call.socket.id)};
  guard_.run(who, [&] {
    if (!handler.invoke(call))
      guard_.note_failure(who, "is missing or of another type; not called", call.misfit + 1);
  });
}

}  // namespace limpet::application
