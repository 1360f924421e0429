#include "worker/engineio/probe.h"

#include <utility>

#include "base/check.h"
#include "worker/engineio/websocket_stream.h"

namespace limpet::engineio {

void Probe::begin(loop::Stream& stream) noexcept {
  CHECK(stream_ == nullptr, "a session has one upgrade at a time");
  stream_ = &stream;
}

loop::Stream* Probe::take() noexcept {
  overdue.leave();
  next_noop.leave();
  if (stream_ != nullptr) let_go_of_fragments(*stream_, fragments_);
  fragments_.reset();
  return std::exchange(stream_, nullptr);
}

void Probe::abandon(websocket::CloseCode code) {
  if (loop::Stream* const stream = take()) hang_up(*stream, code);
}

void Probe::lose() noexcept {
  stream_ = nullptr;
  (void)take();
}

}  // namespace limpet::engineio
