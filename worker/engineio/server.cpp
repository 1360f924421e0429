#include "worker/engineio/server.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/check.h"
#include "worker/engineio/packet.h"
#include "worker/engineio/websocket_stream.h"
#include "worker/websocket/frame.h"
#include "worker/websocket/handshake.h"

namespace limpet::engineio {
namespace {

using websocket::CloseCode;

std::int64_t system_time_ms() {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  return static_cast<std::int64_t>(
      duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

Hooks with_defaults(Hooks hooks) {
  CHECK(hooks.new_sid, "sessions need sids");
  if (!hooks.wall_clock_ms) hooks.wall_clock_ms = system_time_ms;
  return hooks;
}

/// Every session is one: only Lives makes them.
OpenSession& own(Session& session) noexcept { return static_cast<OpenSession&>(session); }
const OpenSession& own(const Session& session) noexcept { return static_cast<const OpenSession&>(session); }

}  // namespace

Server::Server(Options options, const loop::Clock& clock, SessionHandler& handler, Hooks hooks)
    : options_(std::move(options)),
      hooks_(with_defaults(std::move(hooks))),
      clock_(clock),
      accounts_(hooks_.memory),
      lives_(*this, clock, handler, hooks_, accounts_),
      heartbeats_(options_, clock, lives_),
      incoming_(handler, heartbeats_, lives_),
      polling_(options_, clock, incoming_, lives_, accounts_),
      websockets_(options_, incoming_, lives_),
      upgrades_(options_, clock, websockets_, lives_, accounts_),
      moving_(options_, clock, lives_, heartbeats_, websockets_, accounts_),
      rules_(options_, hooks_) {}

bool Server::matches(const http::RequestHead& head) const noexcept {
  return head.target.starts_with(options_.path);
}

std::unique_ptr<http::AwaitedBody> Server::on_body_awaited(const http::RequestHead& head) {
  if (head.method != "POST") return nullptr;
  OpenSession* const session = lives_.find_open(sid_of(head).value_or(""));
  if (session == nullptr || !session->polling) return nullptr;
  return polling_.on_post_awaited(*session);
}

void Server::on_request(http::Exchange exchange, const http::Request& request) {
  const Query query = parse_query(request.head.query);
  OpenSession* const session = query.sid.empty() ? nullptr : lives_.find(query.sid);
  if (const auto refusal = rules_.check(query, request.head, session)) {
    ++refused_[static_cast<std::size_t>(refusal->code)];
    exchange.answer(make_response(*refusal, request.head.upgrade));
  } else if (request.head.upgrade) {
    on_upgrade(std::move(exchange), request.head, session);
  } else if (session == nullptr) {
    open_polling(std::move(exchange), request.head, query);
  } else if (request.head.method == "GET") {
    polling_.on_poll(*session, std::move(exchange), query.jsonp);
  } else if (request.head.method == "POST") {
    polling_.on_post(*session, std::move(exchange), request, query.jsonp);
  } else {
    http::Response response(405);
    response.add_header("Allow", "GET, POST");
    exchange.answer(std::move(response));
  }
}

void Server::on_upgrade(http::Exchange exchange, const http::RequestHead& head, OpenSession* session) {
  const auto check = websocket::check_handshake(head);
  if (check.error != 0) {
    exchange.answer(websocket::refuse_handshake(check));
    return;
  }
  http::Response switching = websocket::accept_handshake(head, choose_protocol(check.protocols));
  if (session == nullptr) {
    open_websocket(std::move(exchange), head, std::move(switching));
  } else if (upgrades_.may_begin(*session)) {
    upgrades_.begin(*session, std::move(exchange), std::move(switching));
  } else {
    accept_and_close(std::move(exchange), std::move(switching));
  }
}

std::string Server::choose_protocol(std::span<const std::string_view> offered) const {
  if (offered.empty()) return {};
  return hooks_.choose_protocol ? hooks_.choose_protocol(offered) : std::string(offered.front());
}

OpenSession& Server::open(const http::Exchange& exchange, const http::RequestHead& head,
                          Transport transport) {
  OpenSession& session = lives_.open(head.raw, exchange.peer_address(), transport);
  heartbeats_.begin(session);
  return session;
}

void Server::open_polling(http::Exchange exchange, const http::RequestHead& head, const Query& query) {
  OpenSession& session = open(exchange, head, Transport::Polling);
  session.polling->poll.set_jsonp(query.jsonp);
  exchange.answer(session.polling->poll.render(open_packet(session)));
  lives_.announce(session);
}

void Server::open_websocket(http::Exchange exchange, const http::RequestHead& head,
                            http::Response switching) {
  OpenSession& session = open(exchange, head, Transport::WebSocket);
  websockets_.open(session, std::move(exchange), std::move(switching));
  session.stream->send(websocket::make_frame(websocket::Opcode::Text, open_packet(session)));
  lives_.announce(session);
}

std::string Server::open_packet(const OpenSession& session) const {
  return make_open_packet(
      {.sid = session.sid(),
       .offer_websocket = session.polling && options_.websocket && options_.allow_upgrades,
       .ping_interval = options_.ping_interval,
       .ping_timeout = options_.ping_timeout,
       .max_payload_bytes = options_.max_payload_bytes});
}

void Server::queue(OpenSession& session, std::span<const loop::Buffer> frames) {
  polling_.queue(session, frames);
}

void Server::close(OpenSession& session, CloseReason reason) {
  lives_.close(session, reason, CloseCode::Normal);
}

void Server::note_held(OpenSession& session, std::size_t before, std::ptrdiff_t own_bytes) noexcept {
  accounts_.note_held(session, before, own_bytes);
}

void Server::tick(loop::Allowance& allowance) {
  const loop::TimePoint now = clock_.now();
  // Long posts use up what all have: in every second turn the others are first.
  posts_first_ = !posts_first_;
  if (posts_first_) polling_.continue_posts(allowance);
  heartbeats_.end_overdue(now, allowance);
  lives_.release_overdue(now, allowance);
  upgrades_.check(now, allowance);
  heartbeats_.send_pings(now, allowance);
  polling_.flush_polls(allowance);
  // What is sent while ends are reported goes out in this turn as well.
  lives_.report_ended(allowance);
  polling_.flush_polls(allowance);
  lives_.free_ended(allowance);
  if (!posts_first_) polling_.continue_posts(allowance);
}

std::optional<loop::TimePoint> Server::next_deadline() const noexcept {
  if (lives_.has_work() || polling_.has_work() || accounts_.has_released()) return clock_.now();
  std::optional<loop::TimePoint> next;
  for (const auto& due : {heartbeats_.next_due(), lives_.next_due(), upgrades_.next_due()})
    if (due && (!next || *due < *next)) next = due;
  return next;
}

void Server::close_transport(Session& session, CloseReason reason) {
  lives_.close(own(session), reason, CloseCode::ServiceRestart);
}

std::size_t Server::drain(std::size_t count, loop::Allowance& allowance) {
  constexpr std::uint32_t kUnitsOfClose = 4;
  while (count-- > 0 && allowance.take(kUnitsOfClose)) {
    OpenSession* const session = heartbeats_.first();
    if (session == nullptr) break;
    close_transport(*session);
  }
  return session_count();
}

bool Server::can_depart(const Session& session) const noexcept { return engineio::can_depart(own(session)); }

std::size_t Server::bytes_of(const Session& session) const noexcept {
  return engineio::bytes_of(own(session));
}

DepartedSession Server::depart(Session& session) { return moving_.depart(own(session)); }

Session* Server::arrive(SessionImage image, loop::Stream* stream) {
  return moving_.arrive(std::move(image), stream);
}

void Server::shed_largest() {
  OpenSession* const session = accounts_.largest();
  CHECK(session != nullptr, "asked for only if there is one");
  if (session->open()) ++shed_;
  if (session->polling) {
    accounts_.drop_queue(*session);
  } else if (session->stream != nullptr) {
    session->stream->drop_unsent();
  }
  accounts_.forget(*session);
  lives_.end(*session, CloseReason::TransportError, CloseCode::TryAgainLater);
}

Counts Server::counts() const noexcept {
  const LifeCounts& lives = lives_.counts();
  return {.opened = lives.opened,
          .upgraded = upgrades_.completed(),
          .closed = lives.closed,
          .refused = refused_,
          .messages_in = incoming_.messages(),
          .pings_sent = heartbeats_.pings_sent(),
          .overflowed = polling_.overflowed(),
          .stalled = polling_.stalled(),
          .shed = shed_,
          .polling = lives.polling,
          .departed = lives.departed,
          .arrived = lives.arrived};
}

}  // namespace limpet::engineio
