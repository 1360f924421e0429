// The WebSocket transport: receives for every session that has it. What a session has for it are its stream
// and the fragments of a message; what is sent to it goes to the stream at once (OpenSession::send).
#pragma once

#include <cstddef>
#include <span>

#include "worker/engineio/incoming.h"
#include "worker/engineio/lives.h"
#include "worker/engineio/open_session.h"
#include "worker/engineio/options.h"
#include "worker/http/response.h"
#include "worker/http/server.h"
#include "worker/loop/stream.h"
#include "worker/websocket/reader.h"

namespace limpet::engineio {

class WebSocketTransport final : private loop::StreamReceiver {
 public:
  WebSocketTransport(const Options& options, Incoming& incoming, Lives& lives) noexcept
      : options_(options), incoming_(incoming), lives_(lives) {}
  WebSocketTransport(const WebSocketTransport&) = delete;
  WebSocketTransport& operator=(const WebSocketTransport&) = delete;

  /// `session` is new: its stream is the one of its handshake.
  void open(OpenSession& session, http::Exchange exchange, http::Response switching);
  /// `session` goes on over `stream`, which has been a WebSocket already.
  void attach(OpenSession& session, loop::Stream& stream) noexcept;

 private:
  // Of streams whose attachment is their session.
  std::size_t on_bytes(loop::Stream& stream, std::span<char> bytes) override;
  void on_closed(loop::Stream& stream, int error) override;
  void on_shed(loop::Stream& stream) override;
  void take(OpenSession& session, const websocket::Received& received);

  const Options& options_;
  Incoming& incoming_;
  Lives& lives_;
};

}  // namespace limpet::engineio
