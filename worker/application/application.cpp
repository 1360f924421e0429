#include "worker/application/application.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "worker/socketio/dispatch.h"

namespace limpet::application {

using socketio::Dispatch;

Application::Application(const loop::Clock& clock, Options options, socketio::IdSource ids)
    : clock_(clock),
      options_(std::move(options)),
      guard_(clock),
      routes_(options_.path),
      socketio_(clock, timers_, options_.socketio, std::move(ids)) {
  (void)namespace_named("/");
}

socketio::NamespaceState& Application::namespace_named(std::string_view name) {
  std::string full(name);
  if (!name.starts_with('/')) full.insert(full.begin(), '/');
  if (socketio::NamespaceState* const known = socketio_.find_namespace(full)) return *known;
  return socketio_.add_namespace(std::move(full), std::make_unique<GuardedHandlers>(*this, guard_));
}

void Application::run_timers(loop::Allowance& allowance) {
  timers_.run_due(clock_.now(), allowance, [this](const std::function<void()>& task) {
    guard_.run({"timer", ""}, task);
  });
}

void Application::tick(loop::Allowance& allowance) {
  const Dispatch dispatch(socketio_.discarded());
  // By turns: one that always has work must not use up what both have.
  if (timers_first_) run_timers(allowance);
  socketio_.tick(allowance);
  if (!timers_first_) run_timers(allowance);
  timers_first_ = !timers_first_;
}

std::optional<loop::TimePoint> Application::next_deadline() const {
  const std::optional<loop::TimePoint> timer = timers_.next_deadline();
  const std::optional<loop::TimePoint> server = socketio_.next_deadline();
  return timer && server ? std::min(*timer, *server) : timer ? timer : server;
}

void Application::report_gap(const Gap& gap) {
  const Dispatch dispatch(socketio_.discarded());
  for (std::size_t next = 0; next < gap_handlers_.size(); ++next)
    guard_.run({"gap", ""}, [&] { gap_handlers_[next](gap); });
}

/// One that the application names and the client has not offered is none, for a client ends the connection
/// for it.
std::string Application::choose_protocol(std::span<const std::string_view> offered) {
  if (!protocol_chooser_) return std::string(offered.front());
  const Dispatch dispatch(socketio_.discarded());
  std::optional<std::string> chosen;
  guard_.run({"protocols", ""}, [&] { chosen = protocol_chooser_(offered); });
  const bool was_offered = chosen && std::find(offered.begin(), offered.end(), *chosen) != offered.end();
  return was_offered ? std::move(*chosen) : std::string();
}

std::optional<http::Response> Application::handle_http(const http::Request& request,
                                                       const HttpRoutes::Address& address) {
  const Dispatch dispatch(socketio_.discarded());
  std::optional<http::Response> response;
  bool failed = true;
  guard_.caught({request.head.path, ""}, [&] {
    response = routes_.answer(request, address, clock_, guard_.handler_clock());
    failed = false;
  });
  if (failed) response.emplace(500, "text/plain; charset=utf-8", "Internal Server Error\n");
  return response;
}

}  // namespace limpet::application
