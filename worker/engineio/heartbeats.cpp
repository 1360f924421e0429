#include "worker/engineio/heartbeats.h"

#include "base/check.h"
#include "worker/websocket/frame.h"

namespace limpet::engineio {

Heartbeats::Heartbeats(const Options& options, const loop::Clock& clock, Lives& lives)
    : options_(options),
      clock_(clock),
      lives_(lives),
      ping_frame_(websocket::make_frame(websocket::Opcode::Text, "2")),
      next_ping_(options.ping_interval),
      pong_overdue_(options.ping_timeout) {}

void Heartbeats::begin(OpenSession& session) noexcept {
  CHECK(session.open(), "nobody waits for a closed session");
  session.awaits_pong = false;
  next_ping_.join(session, clock_.now() + options_.ping_interval);
}

void Heartbeats::arrive(OpenSession& session, bool awaits_pong, loop::TimePoint due) {
  CHECK(session.open(), "nobody waits for a closed session");
  session.awaits_pong = awaits_pong;
  (awaits_pong ? pong_overdue_ : next_ping_).arrive(session, due, clock_.now());
}

void Heartbeats::end_overdue(loop::TimePoint now, loop::Allowance& allowance) {
  for (loop::TimerHook* hook = pong_overdue_.due(now); hook != nullptr && allowance.take();
       hook = pong_overdue_.due(now)) {
    auto& session = static_cast<OpenSession&>(*hook);
    // Nobody there takes what is queued: waiting for it to be written would keep the stream.
    if (session.stream != nullptr && session.stream->unsent_bytes() > 0) session.stream->abort();
    lives_.end(session, CloseReason::PingTimeout, websocket::CloseCode::Normal);
  }
}

void Heartbeats::send_pings(loop::TimePoint now, loop::Allowance& allowance) {
  for (loop::TimerHook* hook = next_ping_.due(now); hook != nullptr && allowance.take();
       hook = next_ping_.due(now)) {
    auto& session = static_cast<OpenSession&>(*hook);
    CHECK(!session.awaits_pong, "one ping is out at a time");
    session.awaits_pong = true;
    pong_overdue_.join(session, now + options_.ping_timeout);
    ++pings_sent_;
    session.send({&ping_frame_, 1});
  }
}

OpenSession* Heartbeats::first() const noexcept {
  loop::TimerHook* const hook = next_ping_.front() != nullptr ? next_ping_.front() : pong_overdue_.front();
  return static_cast<OpenSession*>(hook);
}

}  // namespace limpet::engineio
