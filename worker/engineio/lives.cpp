#include "worker/engineio/lives.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "worker/engineio/websocket_stream.h"

namespace limpet::engineio {
namespace {

using websocket::CloseCode;

/// One end that is reported (loop/allowance.h): the handlers of its sockets run.
constexpr std::uint32_t kUnitsOfEnd = 8;

}  // namespace

Lives::~Lives() {
  // In the table: open and lingering ones. Only in `ended_`: those that were ended and not yet freed.
  for (OpenSession* session : ended_)
    if (session->phase() == OpenSession::Phase::Ended) delete session;
  for (OpenSession* session : freed_) delete session;
  table_.for_each([](OpenSession& session) { delete &session; });
}

OpenSession& Lives::open(std::string_view handshake_head, std::string_view address, Transport transport) {
  auto session = std::make_unique<OpenSession>(owner_, handshake_head, address, hooks_.wall_clock_ms());
  hooks_.new_sid(session->sid_bytes());
  ++counts_.opened;
  OpenSession& opened = add(std::move(session), transport);
  count_open(opened);
  return opened;
}

OpenSession* Lives::arrive(const SessionImage& image, Transport transport) {
  if (table_.find(image.sid) != nullptr) return nullptr;
  auto session = std::make_unique<OpenSession>(owner_, image.handshake_head, image.address, image.issued_ms);
  std::copy_n(image.sid.begin(), base::kIdBytes, session->sid_bytes().begin());
  ++counts_.arrived;
  OpenSession& arrived = add(std::move(session), transport);
  if (!image.lingering) {
    count_open(arrived);
    return &arrived;
  }
  arrived.enter(OpenSession::Phase::Lingering);
  arrived.reported = true;
  const loop::TimePoint now = clock_.now();
  linger_.arrive(arrived, now + image.timer, now);
  return &arrived;
}

OpenSession& Lives::add(std::unique_ptr<OpenSession> session, Transport transport) {
  OpenSession& added = *session.release();
  if (transport == Transport::Polling) added.polling = std::make_unique<Polling>(added, clock_.now());
  table_.insert(added);
  accounts_.add(added);
  return added;
}

void Lives::count_open(const OpenSession& session) noexcept {
  ++counts_.open;
  if (session.polling) ++counts_.polling;
}

void Lives::count_closed(const OpenSession& session) noexcept {
  CHECK(counts_.open > 0, "a session that is open was counted");
  --counts_.open;
  if (!session.polling) return;
  CHECK(counts_.polling > 0, "a session that polls was counted");
  --counts_.polling;
}

void Lives::depart(OpenSession& session) {
  if (session.open()) count_closed(session);
  ++counts_.departed;
  session.leave();
  table_.remove(session);
  accounts_.forget(session);
  accounts_.remove(session);
  delete &session;
}

std::unique_ptr<Polling> Lives::stop_polling(OpenSession& session) noexcept {
  CHECK(session.open() && session.polling, "who upgrades is polling");
  CHECK(counts_.polling > 0, "a session that polls was counted");
  --counts_.polling;
  return std::move(session.polling);
}

OpenSession* Lives::find_open(std::string_view sid) const noexcept {
  OpenSession* session = table_.find(sid);
  return session != nullptr && session->open() ? session : nullptr;
}

void Lives::close(OpenSession& session, CloseReason reason, CloseCode code) {
  if (!session.open()) return;
  if (!session.polling || (session.poll_parked() && session.polling->queue.empty())) {
    end(session, reason, code);
    return;
  }
  // The client acts on a close before it decodes the messages of the same payload: these go first, alone.
  if (session.poll_parked()) (void)session.polling->answer(session.dialect(), {}, clock_.now());
  session.polling->probe.abandon();
  leave_open(session, OpenSession::Phase::Lingering, reason);
  linger_.join(session, clock_.now() + kLinger);
}

void Lives::end(OpenSession& session, CloseReason reason, CloseCode code) {
  if (!session.open()) return;
  if (session.stream != nullptr) hang_up(*std::exchange(session.stream, nullptr), code);
  if (session.polling) session.polling->probe.abandon();
  if (session.poll_parked()) (void)session.polling->answer(session.dialect(), "1", clock_.now());
  leave_open(session, OpenSession::Phase::Ended, reason);
  table_.remove(session);
}

void Lives::leave_open(OpenSession& session, OpenSession::Phase next, CloseReason reason) {
  session.leave();
  // What has not been taken of a post is void; its client is told that it came.
  if (session.polling && session.polling->post) session.polling->end_post();
  session.enter(next);
  session.reason = reason;
  // From here on it counts only with the queue for its last polls.
  if (next == OpenSession::Phase::Ended) {
    accounts_.forget(session);
  } else {
    accounts_.forget_held(session);
    accounts_.note_queue(session);
  }
  count_closed(session);
  ++counts_.closed[static_cast<std::size_t>(reason)];
  ended_.push_back(&session);
}

void Lives::linger(OpenSession& session) noexcept {
  CHECK(session.phase() == OpenSession::Phase::Lingering, "only who was closed lingers");
  linger_.join(session, clock_.now() + kLinger);
}

void Lives::release(OpenSession& session) {
  session.leave();
  session.enter(OpenSession::Phase::Ended);
  table_.remove(session);
  if (session.reported) ended_.push_back(&session);
}

void Lives::release_overdue(loop::TimePoint now, loop::Allowance& allowance) {
  for (loop::TimerHook* hook = linger_.due(now); hook != nullptr && allowance.take(); hook = linger_.due(now))
    release(static_cast<OpenSession&>(*hook));
}

void Lives::report_ended(loop::Allowance& allowance) {
  while (!ended_.empty() && allowance.take(kUnitsOfEnd)) {
    OpenSession* const session = ended_.pop_front();
    if (!session->reported) {
      session->reported = true;
      handler_.on_close(*session, session->reason);
    }
    if (session->phase() == OpenSession::Phase::Ended) {
      freed_.push_back(session);
    } else {
      forget_handshake(*session);
    }
  }
}

/// Of one that lingers nobody asks for it any more.
void Lives::forget_handshake(OpenSession& session) {
  accounts_.remove(session);
  session.forget_handshake();
  accounts_.add(session);
}

void Lives::free_ended(loop::Allowance& allowance) {
  for (std::size_t left = freed_.size(); left > 0 && allowance.take(); --left) {
    OpenSession* const session = freed_.pop_front();
    // The lists of polls and posts may name it: they are worked off first.
    if (session->listed()) {
      freed_.push_back(session);
      continue;
    }
    accounts_.forget(*session);
    if (session->polling) accounts_.release(session->polling->queue);
    accounts_.remove(*session);
    delete session;
  }
  accounts_.free_some(allowance);
}

}  // namespace limpet::engineio
