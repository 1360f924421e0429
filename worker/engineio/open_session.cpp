#include "worker/engineio/open_session.h"

#include "base/check.h"

namespace limpet::engineio {

OpenSession::OpenSession(SessionOwner& owner, std::string_view handshake_head, std::string_view address,
                         std::int64_t issued_ms)
    : owner_(owner), handshake_(handshake_head, address), issued_ms_(issued_ms) {}

void OpenSession::send(std::span<const loop::Buffer> frames) {
  if (!open()) return;
  if (polling) {
    owner_.queue(*this, frames);
    return;
  }
  for (const auto& frame : frames) stream->send(frame);
}

bool OpenSession::writable() const noexcept {
  if (!open()) return false;
  if (polling) return polling->poll.parked() && polling->queue.empty();
  return stream->unsent_bytes() == 0;
}

void OpenSession::enter(Phase phase) noexcept {
  CHECK(phase > phase_, "a session only goes on to its end");
  phase_ = phase;
}

void OpenSession::note_held(std::ptrdiff_t bytes, std::ptrdiff_t own_bytes) noexcept {
  const std::size_t before = held_;
  held_ += static_cast<std::uint32_t>(bytes);
  owner_.note_held(*this, before, own_bytes);
}

}  // namespace limpet::engineio
