// What an application has said about one namespace: its middlewares and handlers, each run through the guard,
// with a public Socket in place of the server's handle.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "worker/application/guard.h"
#include "worker/limpet/io.h"
#include "worker/socketio/namespace_handlers.h"

namespace limpet::application {

class Application;

class GuardedHandlers final : public socketio::NamespaceHandlers {
 public:
  /// Both outlive it.
  GuardedHandlers(Application& application, Guard& guard) noexcept
      : application_(application), guard_(guard) {}

  void add_middleware(Middleware middleware) { middlewares_.push_back(std::move(middleware)); }
  void add_connection_handler(std::function<void(Socket&)> handler) {
    connection_handlers_.push_back(std::move(handler));
  }
  void add_leaving_handler(std::function<void(Socket&)> handler) {
    leaving_handlers_.push_back(std::move(handler));
  }
  [[nodiscard]] Application& application() const noexcept { return application_; }

  std::optional<Error> admit(const socketio::SocketHandle& handle) noexcept override;
  void connected(const socketio::SocketHandle& handle) noexcept override;
  void leaving(const socketio::SocketHandle& handle) noexcept override;
  void run(const socketio::Handler& handler, socketio::Call& call, std::string_view name) noexcept override;

 private:
  Application& application_;
  Guard& guard_;
  // Deques: a handler that adds another must not move the one that runs. Gone through by index, for the same
  // reason.
  std::deque<Middleware> middlewares_;
  std::deque<std::function<void(Socket&)>> connection_handlers_;
  std::deque<std::function<void(Socket&)>> leaving_handlers_;
};

}  // namespace limpet::application
