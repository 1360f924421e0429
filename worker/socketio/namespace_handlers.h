// The one way from this layer to the application's code: what an application has said about a namespace, and
// how its handlers are run there. worker/application implements it. Nothing is thrown out of these functions.
//
// While one of them runs, the application may do with the server whatever it likes, so the socket may be gone
// when it returns.
#pragma once

#include <optional>
#include <string_view>

#include "worker/socketio/error.h"
#include "worker/socketio/handler.h"
#include "worker/socketio/socket_handle.h"

namespace limpet::socketio {

class NamespaceHandlers {
 public:
  virtual ~NamespaceHandlers() = default;

  /// Before a socket is let in; why it is not. Nothing: it is let in.
  virtual std::optional<Error> admit(const SocketHandle& socket) noexcept = 0;
  /// It has been let in, or has come from another process.
  virtual void connected(const SocketHandle& socket) noexcept = 0;
  /// It is about to move to another process.
  virtual void leaving(const SocketHandle& socket) noexcept = 0;
  /// Runs a handler of an event, or of a reply. `name`: of that, for the log.
  virtual void run(const Handler& handler, Call& call, std::string_view name) noexcept = 0;
};

}  // namespace limpet::socketio
