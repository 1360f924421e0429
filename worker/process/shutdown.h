// How a worker ends with its clients: it drains them (each transport is closed, evenly over a window), or
// they move to the worker that follows it in its slot. From the order until the process may end. An
// application that runs alone drains.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>

#include "ipc/messages/control.h"
#include "ipc/shared/counters.h"
#include "worker/client/acceptor.h"
#include "worker/client/clients.h"
#include "worker/engineio/server.h"
#include "worker/http/server.h"
#include "worker/loop/allowance.h"
#include "worker/loop/clock.h"
#include "worker/migration/departure.h"
#include "worker/migration/migration.h"
#include "worker/process/peers.h"
#include "worker/socketio/server.h"

namespace limpet::process {

class Shutdown {
 public:
  using Milliseconds = std::chrono::milliseconds;
  using OnProgress = std::function<void(const ipc::DrainProgress&)>;

  /// Borrowed for life.
  struct Parts {
    const loop::Clock& clock;
    loop::Allowance& allowance;  ///< of the turn
    ipc::CounterBlock& counters;
    client::Acceptor& acceptor;
    client::Clients& clients;
    engineio::Server& engine;
    socketio::Server& socketio;
    http::Server& http;
  };

  explicit Shutdown(const Parts& parts) : parts_(parts) {}
  /// Of a worker in a cluster: both are borrowed for life. `on_progress` is called once a second.
  void join_cluster(Peers& peers, migration::Migration& migration, OnProgress on_progress);

  /// From now on nobody new is accepted and all sessions are closed over `window`; again: with the new times.
  void drain(Milliseconds window, Milliseconds deadline);
  /// All sessions move on `stream`; those that have not by `window` before the deadline are closed.
  void move(Milliseconds window, Milliseconds deadline, base::Descriptor stream);

  [[nodiscard]] bool has_begun() const noexcept { return departure_.has_value(); }
  [[nodiscard]] bool is_draining() const noexcept {
    return has_begun() && departure_->kind() == migration::Departure::Kind::Draining;
  }
  /// Everybody has left and nothing is unsent, or it is too late.
  [[nodiscard]] bool is_over() const noexcept { return over_; }
  /// Sessions that have moved, and that were drained, since the first order.
  [[nodiscard]] ipc::Leaving so_far() const;
  void report_progress();

  /// Once per turn.
  void turn();
  /// turn() can go on at once.
  [[nodiscard]] bool has_work() const noexcept;
  [[nodiscard]] loop::TimePoint next_deadline() const noexcept;

 private:
  void begin(migration::Departure::Kind kind, Milliseconds window, Milliseconds deadline);
  void go_on_draining();
  void go_on_moving();
  void close_due_sessions();
  void end_unfinished(bool gives_connections);
  [[nodiscard]] bool has_nothing_unsent() const;
  [[nodiscard]] ipc::Leaving counted() const;
  void finish();

  Parts parts_;
  Peers* peers_ = nullptr;  ///< null: the application runs alone
  migration::Migration* migration_ = nullptr;
  OnProgress on_progress_;
  std::optional<migration::Departure> departure_;
  std::optional<ipc::Leaving> counted_before_;  ///< `ctl scale` may have had it move others before
  loop::TimePoint progress_at_{};
  loop::TimePoint linger_until_{};
  bool told_empty_ = false;  ///< that all have left for the successor
  bool more_idle_ = false;
  bool more_unfinished_ = false;
  bool over_ = false;
};

}  // namespace limpet::process
