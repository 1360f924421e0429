// The WebSocket transport, and the upgrade to it.
#include <utility>

#include "worker/engineio/core.h"
#include "worker/websocket/frame.h"
#include "worker/websocket/handshake.h"

namespace limpet::engineio {

using websocket::CloseCode;
using websocket::Opcode;
using websocket::Received;

namespace {

/// The stream's account is told of the message that is being assembled; one that was delivered is freed.
void hold_fragments(loop::Stream& stream, std::unique_ptr<websocket::Fragments>& fragments) {
  const std::size_t before = fragments->held;
  const std::size_t now = fragments->delivered ? 0 : fragments->bytes.capacity();
  if (now != before) stream.hold(static_cast<std::ptrdiff_t>(now) - static_cast<std::ptrdiff_t>(before));
  fragments->held = now;
  if (fragments->delivered) fragments.reset();
}

/// Takes one message after the other from the front of `bytes`, and gives the bytes consumed. `fragments`:
/// where those of this stream are kept; null: it takes no more messages here, whatever `take` has done.
template <class Fragments, class Take>
std::size_t take_messages(loop::Stream& stream, std::span<char> bytes, std::size_t max_payload_bytes,
                          const Fragments& fragments, const Take& take) {
  std::size_t consumed = 0;
  std::uint32_t units = 1;
  while (consumed < bytes.size() && fragments() != nullptr && stream.may_go_on(units)) {
    const Received received = websocket::receive(bytes.subspan(consumed), *fragments(), max_payload_bytes);
    if (received.kind == Received::Kind::Incomplete) {
      stream.expect(received.whole);
      break;
    }
    consumed += received.consumed;
    units = 1 + loop::units_of_bytes(received.consumed);  // of the one that was taken
    take(received);
    // Before the next one is received, which frees it.
    if (auto* const kept = fragments(); kept != nullptr && *kept != nullptr && (*kept)->delivered)
      hold_fragments(stream, *kept);
  }
  return consumed;
}

/// Before somebody else gets the stream.
void let_go_of_fragments(loop::Stream& stream, std::unique_ptr<websocket::Fragments>& fragments) {
  if (fragments != nullptr) stream.hold(-static_cast<std::ptrdiff_t>(std::exchange(fragments->held, 0)));
}

}  // namespace

void Core::open_websocket(http::Exchange exchange, const http::RequestHead& head, http::Response switching) {
  OpenSession& session = create(head, exchange.peer_address());
  loop::Stream& stream = exchange.upgrade(std::move(switching), websocket_receiver_, &session);
  session.stream = &stream;
  stream.send(websocket::make_frame(Opcode::Text, open_packet(session)));
  announce(session);
}

void Core::accept_and_close(http::Exchange exchange, http::Response switching) {
  loop::Stream& stream = exchange.upgrade(std::move(switching), discarder_, nullptr);
  hang_up(stream, CloseCode::Normal);
}

/// Says goodbye to a WebSocket; nothing that it says afterwards is heard.
void Core::hang_up(loop::Stream& stream, CloseCode code) {
  stream.set_receiver(&discarder_);
  stream.send(websocket::make_close_frame(code));
  stream.finish();
}

std::size_t Core::WebSocketReceiver::on_bytes(loop::Stream& stream, std::span<char> bytes) {
  auto& session = *static_cast<OpenSession*>(stream.attachment());
  const std::size_t consumed = take_messages(
      stream, bytes, core_.options_.max_payload_bytes,
      [&] { return session.open() ? &session.fragments : nullptr; },
      [&](const Received& received) { core_.on_message(session, received); });
  if (session.fragments != nullptr) hold_fragments(stream, session.fragments);
  return consumed;
}

void Core::WebSocketReceiver::on_shed(loop::Stream& stream) {
  stream.drop_unsent();
  core_.end(*static_cast<OpenSession*>(stream.attachment()), CloseReason::TransportError,
            CloseCode::TryAgainLater);
}

void Core::WebSocketReceiver::on_closed(loop::Stream& stream, int) {
  auto& session = *static_cast<OpenSession*>(stream.attachment());
  session.stream = nullptr;
  core_.end(session, CloseReason::TransportClose, CloseCode::Normal);
}

void Core::on_message(OpenSession& session, const Received& received) {
  switch (received.kind) {
    case Received::Kind::Text:
      on_text(session, received.payload);
      return;
    case Received::Kind::Binary:
      ++counts_.messages_in;
      handler_.on_binary(session, received.payload);
      return;
    case Received::Kind::Ping:
      session.stream->send(websocket::make_frame(Opcode::Pong, received.payload));
      return;
    case Received::Kind::Close:
      end(session, CloseReason::TransportClose, received.code);
      return;
    case Received::Kind::Failed:
      end(session, CloseReason::TransportError, received.code);
      return;
    case Received::Kind::Pong:
    case Received::Kind::Skipped:
    case Received::Kind::Incomplete:
      return;
  }
}

void Core::on_text(OpenSession& session, std::string_view text) {
  const Packet packet = parse_packet(text);
  switch (packet.type) {
    case PacketType::Message:
      ++counts_.messages_in;
      handler_.on_text(session, packet.data);
      return;
    case PacketType::Binary:
      deliver_base64(session, packet.data);
      return;
    case PacketType::Pong:
      on_pong(session);
      return;
    case PacketType::Open:
    case PacketType::Upgrade:
    case PacketType::Noop:
      return;
    case PacketType::Close:
      end(session, CloseReason::TransportClose, CloseCode::Normal);
      return;
    case PacketType::Ping:
      end(session, CloseReason::TransportError, CloseCode::Normal);
      return;
    case PacketType::Invalid:
      end(session, CloseReason::ParseError, CloseCode::Normal);
      return;
  }
}

void Core::start_probe(OpenSession& session, http::Exchange exchange, http::Response switching) {
  Polling& polling = *session.polling;
  polling.probe = &exchange.upgrade(std::move(switching), probe_receiver_, &session);
  probe_overdue_.join(polling.probe_overdue, clock_.now() + options_.upgrade_timeout);
}

std::size_t Core::ProbeReceiver::on_bytes(loop::Stream& stream, std::span<char> bytes) {
  auto& session = *static_cast<OpenSession*>(stream.attachment());
  const auto fragments = [&] {
    const bool is_probe = session.polling && session.polling->probe == &stream;
    return is_probe ? &session.polling->probe_fragments : nullptr;
  };
  const std::size_t consumed =
      take_messages(stream, bytes, core_.options_.max_payload_bytes, fragments,
                    [&](const Received& received) { core_.on_probe_message(session, received); });
  if (auto* const kept = fragments(); kept != nullptr && *kept != nullptr) hold_fragments(stream, *kept);
  return consumed;
}

void Core::ProbeReceiver::on_closed(loop::Stream& stream, int) {
  auto& session = *static_cast<OpenSession*>(stream.attachment());
  session.polling->probe = nullptr;
  core_.abandon_probe(session);
}

void Core::on_probe_message(OpenSession& session, const Received& received) {
  Polling& polling = *session.polling;
  switch (received.kind) {
    case Received::Kind::Skipped:
    case Received::Kind::Pong:
      return;
    case Received::Kind::Ping:
      polling.probe->send(websocket::make_frame(Opcode::Pong, received.payload));
      return;
    case Received::Kind::Text:
      if (received.payload == "2probe") {
        polling.probe->send(websocket::make_frame(Opcode::Text, "3probe"));
        next_noop_.join(polling.next_noop, clock_.now() + kNoopInterval);
        return;
      }
      if (parse_packet(received.payload).type == PacketType::Upgrade) {
        complete_upgrade(session);
        return;
      }
      break;
    case Received::Kind::Close:
    case Received::Kind::Failed:
      let_go_of_fragments(*polling.probe, polling.probe_fragments);
      hang_up(*std::exchange(polling.probe, nullptr), received.code);
      break;
    case Received::Kind::Binary:
    case Received::Kind::Incomplete:
      break;
  }
  // Anything else: polling survives.
  abandon_probe(session);
}

void Core::complete_upgrade(OpenSession& session) {
  // A client waits for the answer to its post before it says that it upgrades.
  if (session.polling->post) return end(session, CloseReason::TransportError, CloseCode::Normal);
  answer_poll_with_noop(session);
  const std::unique_ptr<Polling> polling = std::move(session.polling);
  polling->probe_overdue.leave();
  polling->next_noop.leave();
  session.stream = polling->probe;
  let_go_of_fragments(*session.stream, polling->probe_fragments);
  session.stream->set_receiver(&websocket_receiver_, &session);
  --counts_.polling;
  ++counts_.upgraded;
  forget_account(session, *polling);
  note_held(session, session.held());
  const std::size_t bytes = polling->queued_bytes - polling->queue.size() * kFrameCost;
  session.stream->send_all(std::move(polling->queue), bytes);
}

void Core::forget_probe(OpenSession& session) {
  Polling& polling = *session.polling;
  polling.probe_overdue.leave();
  polling.next_noop.leave();
  if (polling.probe != nullptr) let_go_of_fragments(*polling.probe, polling.probe_fragments);
  polling.probe_fragments.reset();
  if (polling.probe != nullptr) std::exchange(polling.probe, nullptr)->set_receiver(&discarder_);
}

void Core::abandon_probe(OpenSession& session) {
  loop::Stream* probe = session.polling->probe;
  forget_probe(session);
  if (probe != nullptr) hang_up(*probe, CloseCode::Normal);
}

}  // namespace limpet::engineio
