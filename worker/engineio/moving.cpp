// Sessions on their way to and from another process (law 5).
#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "worker/engineio/core.h"

namespace limpet::engineio {
namespace {

using std::chrono::milliseconds;

/// A session moves in one piece, some 2 ms for each MB: one for which more is queued, or half received, is
/// waited for. Its client takes that or sends the rest, or it is drained with what cannot move.
constexpr std::size_t kMostMoved = std::size_t{16} << 20;

milliseconds time_until(loop::TimePoint due, loop::TimePoint now) {
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(due - now));
}

}  // namespace

bool Core::can_depart(const OpenSession& session) const noexcept {
  // One that ended, or was closed in this turn and is not reported yet, is about to be freed or to linger.
  const bool settled = session.open() || (session.phase == OpenSession::Phase::Lingering && session.reported);
  if (!settled) return false;
  if (!session.polling) {
    const std::size_t fragments = session.fragments ? session.fragments->bytes.size() : 0;
    return !session.stream->closing() &&
           session.stream->unsent_bytes() + session.stream->unread_bytes() + fragments <= kMostMoved;
  }
  // One that has something for its parked poll gives it that first, at the end of the turn.
  return session.polling->queued_bytes <= kMostMoved && session.polling->awaited_posts == 0 &&
         !session.polling->post && !session.flush_pending && session.polling->probe == nullptr;
}

std::vector<Session*> Core::go_round(Round& round, std::size_t at_most, loop::Allowance& allowance,
                                     const std::function<bool(const Session&)>& which) const {
  std::vector<Session*> sessions;
  SessionTable::Place place{round.part, round.chain};
  while (!table_.is_end(place) && sessions.size() < at_most && allowance.take()) {
    for (OpenSession* session = table_.first_at(place); session != nullptr;
         session = session->next_in_bucket) {
      ++round.seen;
      if (which(*session)) sessions.push_back(session);
    }
    ++place.chain;
  }
  round.over = table_.is_end(place);
  round.part = place.part;
  round.chain = place.chain;
  return sessions;
}

std::size_t Core::bytes_of(const OpenSession& session) noexcept {
  std::size_t bytes = session.held() + session.handshake_head().size();
  if (session.polling) return bytes + session.polling->queued_bytes;
  if (session.fragments) bytes += session.fragments->bytes.size();
  return bytes + session.stream->unsent_bytes() + session.stream->unread_bytes();
}

Departure Core::depart(OpenSession& session) {
  const loop::TimePoint now = clock_.now();
  Departure departure;
  SessionImage& image = departure.image;
  image.sid = session.sid();
  image.handshake_head = session.handshake_head();
  image.address = session.address();
  image.issued_ms = session.issued_ms();
  image.transport = session.transport();
  image.lingering = !session.open();
  image.awaits_pong = session.open() && session.awaits_pong;
  image.timer = time_until(session.due, now);
  if (session.polling) {
    Polling& polling = *session.polling;
    while (!polling.queue.empty()) image.queue.push_back(polling.queue.pop_front());
    if (polling.poll.open()) {
      const http::Exchange::Withdrawn poll = polling.poll.withdraw();
      departure.poll = poll.stream;
      departure.poll_request = poll_again(session, poll);
    }
    if (session.open()) --counts_.polling;
  } else {
    departure.websocket = session.stream;
    session.stream->set_receiver(nullptr);
    if (session.fragments && !session.fragments->delivered) {
      image.fragments = {session.fragments->opcode == websocket::Opcode::Binary,
                         std::move(session.fragments->bytes)};
    }
  }
  if (session.open()) --open_count_;
  ++counts_.departed;
  session.leave();
  table_.remove(session);
  if (session.polling) forget_account(session, *session.polling);
  forget_held(session);
  count_memory(session, false);
  delete &session;
  return departure;
}

/// The parked GET as a request: the next process parses it and parks it. Nothing else of a poll's head has a
/// part in its answer.
std::string Core::poll_again(const OpenSession& session, const http::Exchange::Withdrawn& poll) const {
  std::string request = "GET " + options_.path + "?EIO=4&transport=polling&sid=";
  request += session.sid();
  if (session.polling->jsonp) request += "&j=" + session.polling->jsonp_index;
  request += poll.http_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n";
  request += "Host: -\r\nConnection: ";
  request += poll.keep_alive ? "keep-alive" : "close";
  return request + "\r\n\r\n";
}

OpenSession* Core::arrive(SessionImage image, loop::Stream* stream) {
  if (table_.find(image.sid) != nullptr) return nullptr;
  auto* session = new OpenSession(*this, image.handshake_head, image.address, image.issued_ms);
  std::copy_n(image.sid.begin(), base::kIdBytes, session->sid_bytes().begin());
  table_.insert(*session);
  const loop::TimePoint now = clock_.now();
  const loop::TimePoint due = now + image.timer;
  if (stream != nullptr) {
    session->stream = stream;
    stream->set_receiver(&websocket_receiver_, session);
    if (image.fragments) {
      session->fragments = std::make_unique<websocket::Fragments>();
      session->fragments->opcode =
          image.fragments->binary ? websocket::Opcode::Binary : websocket::Opcode::Text;
      session->fragments->bytes = std::move(image.fragments->bytes);
    }
  } else {
    session->polling = std::make_unique<Polling>();
    Polling& polling = *session->polling;
    polling.probe_overdue.session = polling.next_noop.session = session;
    for (loop::Buffer& frame : image.queue) polling.queue.push_back(std::move(frame));
    polling.taken_at = clock_.now();
    for (const loop::Buffer& frame : polling.queue) polling.queued_bytes += cost_of(frame);
    note_account(*session);
  }
  count_memory(*session, true);
  ++counts_.arrived;
  if (image.lingering) {
    session->phase = OpenSession::Phase::Lingering;
    session->reported = true;
    linger_.arrive(*session, due, now);
    return session;
  }
  session->awaits_pong = image.awaits_pong;
  (image.awaits_pong ? pong_overdue_ : next_ping_).arrive(*session, due, now);
  ++open_count_;
  if (session->polling) ++counts_.polling;
  return session;
}

}  // namespace limpet::engineio
