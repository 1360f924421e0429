// While application code may run: what it removes (handlers, sockets, clients) is kept until the outermost
// Dispatch ends, for the code that removes it may stand in it.
#pragma once

#include "worker/socketio/server.h"

namespace limpet::socketio {

class Server::Dispatch {
 public:
  explicit Dispatch(Server& server) noexcept : server_(server) { ++server_.dispatch_depth_; }
  ~Dispatch() {
    // One level up while freeing: destructors of the application's captures may come back here.
    while (server_.dispatch_depth_ == 1 && !server_.graveyard_.empty()) {
      const Graveyard dead = std::exchange(server_.graveyard_, Graveyard());
      for (const Handler& handler : dead.handlers) handler.destroy();
    }
    --server_.dispatch_depth_;
  }
  Dispatch(const Dispatch&) = delete;
  Dispatch& operator=(const Dispatch&) = delete;

 private:
  Server& server_;
};

}  // namespace limpet::socketio
