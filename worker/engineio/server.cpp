#include "worker/engineio/server.h"

#include <array>
#include <utility>

#include "worker/engineio/core.h"

namespace limpet::engineio {

std::string_view to_string(CloseReason reason) noexcept {
  switch (reason) {
    case CloseReason::TransportError:
      return "transport error";
    case CloseReason::TransportClose:
      return "transport close";
    case CloseReason::ForcedClose:
      return "forced close";
    case CloseReason::PingTimeout:
      return "ping timeout";
    case CloseReason::ParseError:
      return "parse error";
    case CloseReason::ServerShuttingDown:
      return "server shutting down";
  }
  return "unknown";
}

Server::Server(Options options, const loop::Clock& clock, SessionHandler& handler, Hooks hooks)
    : core_(std::make_unique<Core>(std::move(options), clock, handler, std::move(hooks))) {}

Server::~Server() = default;

bool Server::matches(const http::RequestHead& head) const noexcept {
  return head.target.starts_with(core_->options().path);
}

std::size_t Server::body_limit() const noexcept { return core_->options().max_payload_bytes; }

std::unique_ptr<http::AwaitedBody> Server::on_body_awaited(const http::RequestHead& head) {
  return core_->on_body_awaited(head);
}

void Server::on_request(http::Exchange exchange, const http::Request& request) {
  core_->on_request(std::move(exchange), request);
}

void Server::tick(loop::Allowance& allowance) { core_->tick(allowance); }

std::optional<loop::TimePoint> Server::next_deadline() const noexcept { return core_->next_deadline(); }

Session* Server::find(std::string_view sid) noexcept { return core_->find_open(sid); }

void Server::close_transport(Session& session, CloseReason reason) {
  core_->close(static_cast<OpenSession&>(session), reason, websocket::CloseCode::ServiceRestart);
}

std::size_t Server::drain(std::size_t count, loop::Allowance& allowance) {
  constexpr std::uint32_t kUnitsOfClose = 4;
  while (count-- > 0 && allowance.take(kUnitsOfClose)) {
    OpenSession* const session = core_->first_open();
    if (session == nullptr) break;
    close_transport(*session);
  }
  return session_count();
}

std::vector<Session*> Server::go_round(Round& round, std::size_t at_most, loop::Allowance& allowance,
                                       const std::function<bool(const Session&)>& which) const {
  return core_->go_round(round, at_most, allowance, which);
}

std::size_t Server::bytes_of(const Session& session) const noexcept {
  return core_->bytes_of(static_cast<const OpenSession&>(session));
}
bool Server::can_depart(const Session& session) const noexcept {
  return core_->can_depart(static_cast<const OpenSession&>(session));
}

Departure Server::depart(Session& session) { return core_->depart(static_cast<OpenSession&>(session)); }

Session* Server::arrive(SessionImage image, loop::Stream* stream) {
  return core_->arrive(std::move(image), stream);
}

bool Server::knows(std::string_view sid) const noexcept { return core_->knows(sid); }

std::size_t Server::session_count() const noexcept { return core_->open_count(); }

bool Server::has_lingering() const noexcept { return core_->has_lingering(); }

std::size_t Server::largest_bytes() const noexcept { return core_->largest_bytes(); }
std::size_t Server::released_bytes() const noexcept { return core_->released_bytes(); }
void Server::shed_largest() { core_->shed_largest(); }
const Counts& Server::counts() const noexcept { return core_->counts(); }

}  // namespace limpet::engineio
