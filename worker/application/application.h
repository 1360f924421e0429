// The application in one worker: the Socket.IO server that it talks to, and what it has set up around that:
// namespaces with their handlers, timers, HTTP routes, gap handlers, the choice of a subprotocol; what it may
// know of its worker. The public Io (worker/limpet/io.h) is a handle of it.
//
// Nothing that the application's code throws gets out of here (guard.h). One thread; never destroyed from
// inside a handler.
//
// For the worker's loop: construct, Io(application) for the application's setup, then each turn tick() once
// next_deadline() has come.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "worker/application/guard.h"
#include "worker/application/guarded_handlers.h"
#include "worker/application/http_routes.h"
#include "worker/limpet/io.h"
#include "worker/loop/allowance.h"
#include "worker/loop/clock.h"
#include "worker/loop/timer_queue.h"
#include "worker/socketio/server.h"

namespace limpet::application {

struct Options {
  socketio::Options socketio;
  std::string path = "/socket.io/";  ///< of the Socket.IO endpoint, which no route answers
  std::uint32_t slot = 0;
  std::uint64_t worker_generation = 0;
  boost::json::object config;  ///< table [app]
};

class Application {
 public:
  /// `clock` outlives it.
  Application(const loop::Clock& clock, Options options, socketio::IdSource ids);
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;

  [[nodiscard]] socketio::Server& socketio() noexcept { return socketio_; }
  [[nodiscard]] const socketio::Server& socketio() const noexcept { return socketio_; }

  void report_gap(const Gap& gap);

  /// Runs timers, and the server's tick(). What `allowance` does not suffice for is done in the next turn.
  void tick(loop::Allowance& allowance);
  [[nodiscard]] std::optional<loop::TimePoint> next_deadline() const;

  /// The application's answer to a plain HTTP request; nothing if no route matches. Below the Socket.IO path
  /// only the browser client's files match, so this may be asked before Engine.IO. For HEAD the body is the
  /// one of GET, not to be sent.
  [[nodiscard]] std::optional<http::Response> handle_http(const http::Request& request,
                                                          const HttpRoutes::Address& address);

  /// The WebSocket subprotocol for a client that offers these, one at least; empty: none.
  [[nodiscard]] std::string choose_protocol(std::span<const std::string_view> offered);

  /// Exceptions of its code, and handlers that were not called because an argument did not fit.
  [[nodiscard]] std::uint64_t handler_exceptions() const noexcept { return guard_.failures(); }
  [[nodiscard]] const loop::HandlerClock& handler_clock() const noexcept { return guard_.handler_clock(); }
  /// Of the static files that are kept in memory.
  [[nodiscard]] std::size_t kept_file_bytes() const noexcept { return routes_.kept_file_bytes(); }

  // What Io is made of.
  // ---------------------------------------------------------------------------

  /// Made if need be. `name`: with or without its slash.
  [[nodiscard]] socketio::NamespaceState& namespace_named(std::string_view name);
  [[nodiscard]] HttpRoutes& routes() noexcept { return routes_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  void set_protocol_chooser(ProtocolChooser chooser) { protocol_chooser_ = std::move(chooser); }
  void add_gap_handler(std::function<void(const Gap&)> handler) {
    gap_handlers_.push_back(std::move(handler));
  }
  /// `period` 0: once.
  TimerId add_timer(std::chrono::milliseconds delay, std::chrono::milliseconds period,
                    std::function<void()> task) {
    return timers_.add(clock_.now() + delay, period, std::move(task));
  }
  bool cancel_timer(TimerId timer) { return timers_.cancel(timer); }

 private:
  void run_timers(loop::Allowance& allowance);

  const loop::Clock& clock_;
  const Options options_;
  Guard guard_;
  loop::TimerQueue timers_;  // the server's too: all are run in the order of their times
  HttpRoutes routes_;
  std::deque<std::function<void(const Gap&)>> gap_handlers_;  // one may be added by another that runs
  ProtocolChooser protocol_chooser_;
  bool timers_first_ = true;  // in the next tick
  socketio::Server socketio_;
};

}  // namespace limpet::application
