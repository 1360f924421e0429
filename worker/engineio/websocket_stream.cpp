#include "worker/engineio/websocket_stream.h"

#include <utility>

namespace limpet::engineio {
namespace {

/// A stream that has nothing more to say.
class Discarder final : public loop::StreamReceiver {
 public:
  std::size_t on_bytes(loop::Stream&, std::span<char> bytes) override { return bytes.size(); }
  void on_closed(loop::Stream&, int) override {}
};

/// It has no state, and streams may name it when the server that they came from is gone.
Discarder discarder;

}  // namespace

void hang_up(loop::Stream& stream, websocket::CloseCode code) {
  stream.set_receiver(&discarder);
  stream.send(websocket::make_close_frame(code));
  stream.finish();
}

void accept_and_close(http::Exchange exchange, http::Response switching) {
  hang_up(exchange.upgrade(std::move(switching), discarder, nullptr), websocket::CloseCode::Normal);
}

void hold_fragments(loop::Stream& stream, std::unique_ptr<websocket::Fragments>& fragments) {
  const std::size_t before = fragments->held;
  const std::size_t now = fragments->delivered ? 0 : fragments->bytes.capacity();
  if (now != before) stream.hold(static_cast<std::ptrdiff_t>(now) - static_cast<std::ptrdiff_t>(before));
  fragments->held = now;
  if (fragments->delivered) fragments.reset();
}

void let_go_of_fragments(loop::Stream& stream, const std::unique_ptr<websocket::Fragments>& fragments) {
  if (fragments != nullptr) stream.hold(-static_cast<std::ptrdiff_t>(std::exchange(fragments->held, 0)));
}

}  // namespace limpet::engineio
