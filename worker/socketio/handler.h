// A handler of events without its type, and what it is called with. Two words per handler: worker/limpet
// makes them of any callable, this layer keeps and calls them.
#pragma once

#include <cstddef>

#include "worker/socketio/ack_state.h"
#include "worker/socketio/arguments.h"
#include "worker/socketio/error.h"
#include "worker/socketio/socket_handle.h"

namespace limpet::socketio {

/// One event, or one reply, on its way into handlers.
struct Call {
  Call(const SocketHandle& call_socket, const Arguments& call_args,
       const Error* call_error = nullptr) noexcept
      : socket(call_socket), args(call_args), error(call_error) {}

  SocketHandle socket;
  Arguments args;
  /// For a reply that did not come.
  const Error* error;
  /// Answers the client, if it asked for an answer: all handlers of one event share it.
  AckRef ack;
  /// Set by a handler that was not called: which argument (from 0) did not fit.
  std::size_t misfit = 0;
};

/// What a kind of handler can do. One object per type of callable.
struct HandlerType {
  /// False: an argument did not fit, so the handler was not called. Throws what the handler throws.
  bool (*invoke)(void* object, Call& call);
  void (*destroy)(void* object) noexcept;
};

/// A handler; whoever holds it last calls destroy().
struct Handler {
  const HandlerType* type = nullptr;
  void* object = nullptr;  // the callable, or its bytes if it fits

  bool invoke(Call& call) const { return type->invoke(object, call); }
  void destroy() const noexcept {
    if (type != nullptr) type->destroy(object);
  }
};

}  // namespace limpet::socketio
