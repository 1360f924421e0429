// While application code may run: what it removes (handlers, sockets, clients, values) is kept until the
// outermost Dispatch ends, for the code that removes it may stand in it.
#pragma once

#include <boost/json.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "worker/socketio/state.h"

namespace limpet::socketio {

/// What has been removed.
class Discarded {
 public:
  void add(const Handler& handler) { now_.handlers.push_back(handler); }
  void add(std::unique_ptr<SocketState> socket) { now_.sockets.push_back(std::move(socket)); }
  void add(std::unique_ptr<ClientState> client) { now_.clients.push_back(std::move(client)); }
  void add(std::shared_ptr<const boost::json::value> value) { now_.values.push_back(std::move(value)); }
  /// Application code may run.
  [[nodiscard]] bool is_dispatching() const noexcept { return depth_ > 0; }

 private:
  friend class Dispatch;
  struct Things {
    std::vector<Handler> handlers;
    std::vector<std::unique_ptr<SocketState>> sockets;
    std::vector<std::unique_ptr<ClientState>> clients;
    std::vector<std::shared_ptr<const boost::json::value>> values;
    [[nodiscard]] bool empty() const noexcept {
      return handlers.empty() && sockets.empty() && clients.empty() && values.empty();
    }
  };

  unsigned depth_ = 0;
  Things now_;
};

class Dispatch {
 public:
  explicit Dispatch(Discarded& discarded) noexcept : discarded_(discarded) { ++discarded_.depth_; }
  ~Dispatch() {
    // One level up while freeing: destructors of the application's captures may come back here.
    while (discarded_.depth_ == 1 && !discarded_.now_.empty()) {
      const Discarded::Things dead = std::exchange(discarded_.now_, {});
      for (const Handler& handler : dead.handlers) handler.destroy();
    }
    --discarded_.depth_;
  }
  Dispatch(const Dispatch&) = delete;
  Dispatch& operator=(const Dispatch&) = delete;

 private:
  Discarded& discarded_;
};

}  // namespace limpet::socketio
