// The WebSocket by which the client of a polling session asks for an upgrade: until it says `5` it may still
// give up, and polling goes on. One for each session that is polling, idle but for an upgrade.
#pragma once

#include <memory>

#include "worker/loop/stream.h"
#include "worker/loop/timer_list.h"
#include "worker/websocket/reader.h"

namespace limpet::engineio {

class OpenSession;

struct SessionHook : loop::TimerHook {
  explicit SessionHook(OpenSession& whose) noexcept : session(whose) {}
  OpenSession& session;
};

class Probe {
 public:
  explicit Probe(OpenSession& session) noexcept : overdue(session), next_noop(session) {}

  [[nodiscard]] bool under_way() const noexcept { return stream_ != nullptr; }
  /// Only while none is under way.
  void begin(loop::Stream& stream) noexcept;
  /// nullptr: none.
  [[nodiscard]] loop::Stream* stream() const noexcept { return stream_; }
  [[nodiscard]] std::unique_ptr<websocket::Fragments>& fragments() noexcept { return fragments_; }
  /// Ends the waiting, and gives the stream to whoever has use for it; nullptr: none.
  [[nodiscard]] loop::Stream* take() noexcept;
  /// Says goodbye, if there is anybody; polling goes on.
  void abandon(websocket::CloseCode code = websocket::CloseCode::Normal);
  /// Its stream has closed.
  void lose() noexcept;

  SessionHook overdue;
  SessionHook next_noop;

 private:
  loop::Stream* stream_ = nullptr;
  std::unique_ptr<websocket::Fragments> fragments_;
};

}  // namespace limpet::engineio
