#include "worker/engineio/websocket_transport.h"

#include <utility>

#include "base/check.h"
#include "worker/engineio/packet.h"
#include "worker/engineio/websocket_stream.h"
#include "worker/websocket/frame.h"

namespace limpet::engineio {

using websocket::CloseCode;
using websocket::Opcode;
using websocket::Received;

void WebSocketTransport::open(OpenSession& session, http::Exchange exchange, http::Response switching) {
  CHECK(!session.polling && session.stream == nullptr, "a session has one transport");
  session.stream = &exchange.upgrade(std::move(switching), *this, &session);
}

void WebSocketTransport::attach(OpenSession& session, loop::Stream& stream) noexcept {
  CHECK(!session.polling && session.stream == nullptr, "a session has one transport");
  session.stream = &stream;
  stream.set_receiver(this, &session);
}

std::size_t WebSocketTransport::on_bytes(loop::Stream& stream, std::span<char> bytes) {
  auto& session = *static_cast<OpenSession*>(stream.attachment());
  const std::size_t consumed = take_messages(
      stream, bytes, options_.max_payload_bytes,
      [&] { return session.open() ? &session.fragments : nullptr; },
      [&](const Received& received) { take(session, received); });
  if (session.fragments != nullptr) hold_fragments(stream, session.fragments);
  return consumed;
}

void WebSocketTransport::on_shed(loop::Stream& stream) {
  stream.drop_unsent();
  lives_.end(*static_cast<OpenSession*>(stream.attachment()), CloseReason::TransportError,
             CloseCode::TryAgainLater);
}

void WebSocketTransport::on_closed(loop::Stream& stream, int) {
  auto& session = *static_cast<OpenSession*>(stream.attachment());
  session.stream = nullptr;
  lives_.end(session, CloseReason::TransportClose, CloseCode::Normal);
}

void WebSocketTransport::take(OpenSession& session, const Received& received) {
  switch (received.kind) {
    case Received::Kind::Text:
      incoming_.take(session, parse_packet(received.payload));
      return;
    case Received::Kind::Binary:
      incoming_.take_binary(session, received.payload);
      return;
    case Received::Kind::Ping:
      session.stream->send(websocket::make_frame(Opcode::Pong, received.payload));
      return;
    case Received::Kind::Close:
      lives_.end(session, CloseReason::TransportClose, received.code);
      return;
    case Received::Kind::Failed:
      lives_.end(session, CloseReason::TransportError, received.code);
      return;
    case Received::Kind::Pong:
    case Received::Kind::Skipped:
    case Received::Kind::Incomplete:
      return;
  }
}

}  // namespace limpet::engineio
