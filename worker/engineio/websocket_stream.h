// What a session's WebSocket and one that only may become it (a probe) have in common: messages are taken out
// of the stream, the memory of one that is being assembled is told to the stream, and it is said goodbye to.
// Owns nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "worker/http/response.h"
#include "worker/http/server.h"
#include "worker/loop/allowance.h"
#include "worker/loop/stream.h"
#include "worker/websocket/reader.h"

namespace limpet::engineio {

/// Says goodbye to a WebSocket; nothing that it says afterwards is heard.
void hang_up(loop::Stream& stream, websocket::CloseCode code);
/// The same for one that was never a session's.
void accept_and_close(http::Exchange exchange, http::Response switching);

/// The stream's account is told of the message that is being assembled; one that was delivered is freed.
/// `fragments`: not null.
void hold_fragments(loop::Stream& stream, std::unique_ptr<websocket::Fragments>& fragments);
/// Before somebody else gets the stream.
void let_go_of_fragments(loop::Stream& stream, const std::unique_ptr<websocket::Fragments>& fragments);

/// Takes one message after the other from the front of `bytes`, and gives the bytes consumed. `fragments`:
/// where those of this stream are kept; null: it takes no more messages here, whatever `take` has done.
template <class Fragments, class Take>
std::size_t take_messages(loop::Stream& stream, std::span<char> bytes, std::size_t max_payload_bytes,
                          const Fragments& fragments, const Take& take) {
  using websocket::Received;
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

}  // namespace limpet::engineio
