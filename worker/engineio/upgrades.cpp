#include "worker/engineio/upgrades.h"

#include <memory>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "worker/engineio/packet.h"
#include "worker/engineio/websocket_stream.h"
#include "worker/websocket/frame.h"

namespace limpet::engineio {

using websocket::CloseCode;
using websocket::Opcode;
using websocket::Received;

bool Upgrades::may_begin(const OpenSession& session) const noexcept {
  return options_.allow_upgrades && session.open() && session.polling && !session.polling->probe.under_way();
}

void Upgrades::begin(OpenSession& session, http::Exchange exchange, http::Response switching) {
  Probe& probe = session.polling->probe;
  probe.begin(exchange.upgrade(std::move(switching), *this, &session));
  overdue_.join(probe.overdue, clock_.now() + options_.upgrade_timeout);
}

void Upgrades::check(loop::TimePoint now, loop::Allowance& allowance) {
  const auto next = [now, &allowance](loop::TimerWheel& list) -> SessionHook* {
    loop::TimerHook* const hook = list.due(now);
    return hook != nullptr && allowance.take() ? static_cast<SessionHook*>(hook) : nullptr;
  };
  while (SessionHook* hook = next(overdue_)) hook->session.polling->probe.abandon();
  while (SessionHook* hook = next(next_noop_)) {
    next_noop_.join(*hook, now + kNoopInterval);
    hook->session.polling->answer_with_noop();
  }
}

std::size_t Upgrades::on_bytes(loop::Stream& stream, std::span<char> bytes) {
  auto& session = *static_cast<OpenSession*>(stream.attachment());
  const auto fragments = [&] {
    const bool is_probe = session.polling && session.polling->probe.stream() == &stream;
    return is_probe ? &session.polling->probe.fragments() : nullptr;
  };
  const std::size_t consumed = take_messages(stream, bytes, options_.max_payload_bytes, fragments,
                                             [&](const Received& received) { take(session, received); });
  if (auto* const kept = fragments(); kept != nullptr && *kept != nullptr) hold_fragments(stream, *kept);
  return consumed;
}

void Upgrades::on_closed(loop::Stream& stream, int) {
  static_cast<OpenSession*>(stream.attachment())->polling->probe.lose();
}

void Upgrades::take(OpenSession& session, const Received& received) {
  Probe& probe = session.polling->probe;
  switch (received.kind) {
    case Received::Kind::Skipped:
    case Received::Kind::Pong:
      return;
    case Received::Kind::Ping:
      probe.stream()->send(websocket::make_frame(Opcode::Pong, received.payload));
      return;
    case Received::Kind::Text:
      take_text(session, received.payload);
      return;
    case Received::Kind::Close:
    case Received::Kind::Failed:
      probe.abandon(received.code);
      return;
    case Received::Kind::Binary:
    case Received::Kind::Incomplete:
      probe.abandon();
      return;
  }
}

void Upgrades::take_text(OpenSession& session, std::string_view text) {
  Probe& probe = session.polling->probe;
  if (text == "2probe") {
    probe.stream()->send(websocket::make_frame(Opcode::Text, "3probe"));
    next_noop_.join(probe.next_noop, clock_.now() + kNoopInterval);
  } else if (parse_packet(text).type == PacketType::Upgrade) {
    complete(session);
  } else {
    probe.abandon();
  }
}

void Upgrades::complete(OpenSession& session) {
  // A client waits for the answer to its post before it says that it upgrades.
  if (session.polling->post) return lives_.end(session, CloseReason::TransportError, CloseCode::Normal);
  session.polling->answer_with_noop();
  const std::unique_ptr<Polling> polling = lives_.stop_polling(session);
  loop::Stream* const stream = polling->probe.take();
  CHECK(stream != nullptr, "an upgrade has its stream");
  websockets_.attach(session, *stream);
  ++completed_;
  accounts_.note_upgrade(session, *polling);
  PollQueue::All queue = polling->queue.take_all();
  const std::size_t bytes = queue.frame_bytes();
  stream->send_all(std::move(queue.frames), bytes);
}

}  // namespace limpet::engineio
