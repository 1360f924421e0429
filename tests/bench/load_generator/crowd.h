// All clients of one run, in one epoll loop, from many source addresses of 127.0.0.0/8. Owns the clients.
// Does nothing by itself: whoever measures calls turn(). Fails (std::runtime_error) when nothing has happened
// for kPatience: a message was lost, and waiting on would measure nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/bench/load_generator/client.h"

namespace limpet::bench {

class Crowd {
 public:
  /// Longest silence of the server before the run counts as failed.
  static constexpr std::chrono::seconds kPatience{20};

  /// Reserves `size` clients; none connects yet. Raises the limit of open files as far as it needs and may.
  /// The server listens on 127.0.0.1:`port`. `callers`, at least one: the clients are these in turn.
  Crowd(std::uint16_t port, std::vector<Caller> callers, std::size_t size);

  void connect(std::size_t number);
  /// Connects all clients, a bounded number at a time, and returns once all have joined. Clients that a
  /// server forgot (Node's primary can lose bytes of a connection that it hands to a worker) try again, and
  /// are counted.
  void connect_all();
  /// Waits for readiness, at most kPatience, and lets the ready clients act; what happens goes to `workload`.
  void turn(Workload& workload);
  /// As turn(), but waits `wait` at most, and nothing may happen.
  void turn_for(Workload& workload, std::chrono::milliseconds wait);

  [[nodiscard]] Client& operator[](std::size_t number) { return clients_[number]; }
  /// How many connections connect_all() had to make twice.
  [[nodiscard]] std::size_t retried() const noexcept { return retried_; }
  [[nodiscard]] std::size_t size() const noexcept { return clients_.size(); }

 private:
  void retry_forgotten(std::size_t started);
  [[nodiscard]] int act(Workload& workload, std::chrono::milliseconds wait);

  std::uint16_t port_;
  std::vector<Caller> callers_;
  base::Descriptor epoll_;
  std::vector<Client> clients_;
  std::vector<char> buffer_;
  std::size_t retried_ = 0;
};

}  // namespace limpet::bench
