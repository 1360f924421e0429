// One client: a WebSocket connection that speaks Socket.IO, from connect to close. Owns its socket. Allocates
// nothing while whole frames arrive, so that the load generator's own cost stays small. A server's mistake (a
// wrong answer, a close nobody asked for) throws std::runtime_error: a figure measured over a connection that
// failed is worth nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "tests/bench/load_generator/endpoint.h"

namespace limpet::bench {

class Client;

/// What a workload hears of its clients. Called from Crowd::turn only.
class Workload {
 public:
  virtual ~Workload() = default;
  /// The server has answered the Socket.IO CONNECT.
  virtual void on_joined(Client&) {}
  /// An event or acknowledgement. `packet` starts with the Socket.IO packet as an Engine.IO message ("42…",
  /// "43…").
  virtual void on_packet(Client& client, std::string_view packet) = 0;
  /// The server has closed after leave().
  virtual void on_left(Client&) {}
};

class Client {
 public:
  enum class State : std::uint8_t { Absent, Connecting, Upgrading, Opening, Joining, Joined, Leaving };

  /// Starts a connection of `caller`, which it borrows for life, and watches it with `epoll` under `number`.
  void connect(const Caller& caller, std::uint16_t port, int epoll, std::uint32_t number);
  /// To be called when epoll reports the socket ready. `buffer` is working memory, shared by all clients.
  void on_ready(int epoll, Workload& workload, std::span<char> buffer);
  /// Sends whole frames at once; they must fit into the socket's buffer.
  void send(std::string_view frames);
  /// Ends the sending direction; the server is to close.
  void leave();
  /// Closes at once.
  void drop();

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] std::uint32_t number() const noexcept { return number_; }

 private:
  void on_connected(int epoll);
  void on_bytes(Workload& workload, std::span<char> buffer);
  void on_end(Workload& workload, ssize_t received);
  /// Handles what is complete at the front of `bytes`; returns how much that is.
  std::size_t consume(Workload& workload, std::string_view bytes);
  std::size_t consume_upgrade(std::string_view bytes);
  std::size_t consume_frame(Workload& workload, std::string_view bytes);
  void on_message(Workload& workload, std::string_view packet);
  [[noreturn]] void fail(std::string_view what) const;

  base::Descriptor socket_;
  State state_ = State::Absent;
  std::uint32_t number_ = 0;
  std::string_view preamble_;
  std::string rest_;  ///< the beginning of a frame whose end has not arrived; nearly always empty
};

}  // namespace limpet::bench
