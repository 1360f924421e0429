#include "worker/engineio/moving.h"
#include "base/check.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "worker/websocket/frame.h"

namespace limpet::engineio {
namespace {

using std::chrono::milliseconds;

/// A session moves in one piece, some 2 ms for each MB: one for which more is queued, or half received, is
/// waited for. Its client takes that or sends the rest, or it is drained with what cannot move.
constexpr std::size_t kMostMoved = std::size_t{16} << 20;

milliseconds time_until(loop::TimePoint due, loop::TimePoint now) {
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(due - now));
}

SessionImage image_of(const OpenSession& session, loop::TimePoint now) {
  SessionImage image;
  image.sid = session.sid();
  image.handshake_head = session.handshake_head();
  image.address = session.address();
  image.issued_ms = session.issued_ms();
  image.transport = session.transport();
  image.lingering = !session.open();
  image.awaits_pong = session.open() && session.awaits_pong;
  image.timer = time_until(session.due, now);
  return image;
}

std::unique_ptr<websocket::Fragments> fragments_of(SessionImage::Fragments image) {
  auto fragments = std::make_unique<websocket::Fragments>();
  fragments->opcode = image.binary ? websocket::Opcode::Binary : websocket::Opcode::Text;
  fragments->bytes = std::move(image.bytes);
  return fragments;
}

}  // namespace

bool can_depart(const OpenSession& session) noexcept {
  // One that ended, or was closed in this turn and is not reported yet, is about to be freed or to linger.
  const bool settled =
      session.open() || (session.phase() == OpenSession::Phase::Lingering && session.reported);
  // A list of this turn, or of one that had no time for all of it, names it: that is worked off first. So one
  // that has something for its parked poll gives it that; so does one that has upgraded meanwhile.
  if (!settled || session.listed()) return false;
  if (!session.polling) {
    const std::size_t fragments = session.fragments ? session.fragments->bytes.size() : 0;
    return !session.stream->closing() &&
           session.stream->unsent_bytes() + session.stream->unread_bytes() + fragments <= kMostMoved;
  }
  const Polling& polling = *session.polling;
  return polling.queue.bytes() <= kMostMoved && !polling.has_post() && !polling.probe.under_way();
}

std::size_t bytes_of(const OpenSession& session) noexcept {
  std::size_t bytes = session.held() + session.handshake_head().size();
  if (session.polling) return bytes + session.polling->queue.bytes();
  if (session.fragments) bytes += session.fragments->bytes.size();
  return bytes + session.stream->unsent_bytes() + session.stream->unread_bytes();
}

DepartedSession Moving::depart(OpenSession& session) {
  CHECK(!session.listed(), "a session leaves that a list still names");
  DepartedSession departed;
  departed.image = image_of(session, clock_.now());
  if (session.polling) {
    loop::LongFifo<loop::Buffer> queue = session.polling->queue.take_all().frames;
    while (!queue.empty()) departed.image.queue.push_back(queue.pop_front());
    if (session.poll_parked()) {
      const http::Exchange::Withdrawn poll = session.polling->poll.withdraw();
      departed.poll = poll.stream;
      departed.poll_request = poll_again(session, poll);
    }
  } else {
    departed.websocket = session.stream;
    session.stream->set_receiver(nullptr);
    if (session.fragments && !session.fragments->delivered) {
      departed.image.fragments = {session.fragments->opcode == websocket::Opcode::Binary,
                                  std::move(session.fragments->bytes)};
    }
  }
  lives_.depart(session);
  return departed;
}

/// The parked GET as a request: the next process parses it and parks it. Nothing else of a poll's head has a
/// part in its answer.
std::string Moving::poll_again(const OpenSession& session, const http::Exchange::Withdrawn& poll) const {
  std::string request = "GET " + options_.path + "?EIO=";
  request += session.dialect().protocol;
  request += "&transport=polling&sid=";
  request += session.sid();
  if (const auto jsonp = session.polling->poll.jsonp()) request.append("&j=").append(*jsonp);
  request += poll.http_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n";
  request += "Host: -\r\nConnection: ";
  request += poll.keep_alive ? "keep-alive" : "close";
  return request + "\r\n\r\n";
}

OpenSession* Moving::arrive(SessionImage image, loop::Stream* stream) {
  OpenSession* const session =
      lives_.arrive(image, stream != nullptr ? Transport::WebSocket : Transport::Polling);
  if (session == nullptr) return nullptr;
  if (stream != nullptr) {
    websockets_.attach(*session, *stream);
    if (image.fragments) session->fragments = fragments_of(std::move(*image.fragments));
  } else {
    fill_queue(*session, std::move(image.queue));
  }
  if (session->open()) heartbeats_.arrive(*session, image.awaits_pong, clock_.now() + image.timer);
  return session;
}

void Moving::fill_queue(OpenSession& session, std::vector<loop::Buffer> frames) {
  for (loop::Buffer& frame : frames) session.polling->queue.push(std::move(frame));
  accounts_.note_queue(session);
}

}  // namespace limpet::engineio
