// A session as worker/engineio keeps it. Kept small: what only long-polling needs stands in Polling, which is
// freed at the upgrade; an idle WebSocket session is this object and one allocation with the handshake's
// head. Internal.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "worker/engineio/dialect.h"
#include "worker/engineio/handshake_record.h"
#include "worker/engineio/polling.h"
#include "worker/engineio/session.h"
#include "worker/loop/buffer.h"
#include "worker/loop/stream.h"
#include "worker/loop/timer_list.h"
#include "worker/websocket/reader.h"

namespace limpet::engineio {

class OpenSession;

/// Where a session's calls go that concern more than itself. engineio::Server is the one.
class SessionOwner {
 public:
  /// Of one that is open and polling.
  virtual void queue(OpenSession& session, std::span<const loop::Buffer> frames) = 0;
  virtual void close(OpenSession& session, CloseReason reason) = 0;
  /// The layer above holds another number of bytes for it than `before`; `own_bytes` of the difference are
  /// none of frames.
  virtual void note_held(OpenSession& session, std::size_t before, std::ptrdiff_t own_bytes) noexcept = 0;

 protected:
  ~SessionOwner() = default;
};

class OpenSession final : public Session, public loop::TimerHook {
 public:
  enum class Phase : std::uint8_t {
    Open,
    Lingering,  // closed for the layer above; waits for a poll to tell the client
    Ended,      // only to be reported and freed
  };

  OpenSession(SessionOwner& owner, std::string_view handshake_head, std::string_view address,
              std::int64_t issued_ms);

  [[nodiscard]] std::string_view sid() const noexcept override { return {sid_.data(), sid_.size()}; }
  [[nodiscard]] Transport transport() const noexcept override {
    return polling ? Transport::Polling : Transport::WebSocket;
  }
  void send(std::span<const loop::Buffer> frames) override;
  void expect_send() const noexcept override {
    // The stream's first line names its functions, the second holds its queue.
    __builtin_prefetch(stream);
    __builtin_prefetch(reinterpret_cast<const char*>(stream) + 64, 1);
  }
  [[nodiscard]] bool writable() const noexcept override;
  void close(CloseReason why) override { owner_.close(*this, why); }
  [[nodiscard]] std::string_view handshake_head() const noexcept override { return handshake_.head(); }
  [[nodiscard]] std::string address() const override { return std::string(handshake_.address()); }
  [[nodiscard]] bool secure() const noexcept override { return false; }
  [[nodiscard]] std::int64_t issued_ms() const noexcept override { return issued_ms_; }
  void hold(std::ptrdiff_t bytes) noexcept override { note_held(bytes, bytes); }
  void hold_frames(std::ptrdiff_t bytes) noexcept override { note_held(bytes, 0); }

  /// The one there is.
  [[nodiscard]] const Dialect& dialect() const noexcept { return kEngineIo4; }
  /// Bytes that the layer above keeps for it.
  [[nodiscard]] std::size_t held() const noexcept { return held_; }
  void forget_handshake() { handshake_ = HandshakeRecord({}, {}); }
  [[nodiscard]] bool open() const noexcept { return phase_ == Phase::Open; }
  [[nodiscard]] Phase phase() const noexcept { return phase_; }
  /// Phases come in their order: what has ended never opens again.
  void enter(Phase phase) noexcept;
  [[nodiscard]] bool poll_parked() const noexcept { return polling && polling->poll.parked(); }
  /// A list of PollingTransport names it: it must not be freed yet.
  [[nodiscard]] bool listed() const noexcept { return flush_pending || has_post; }
  [[nodiscard]] std::span<char, base::kIdBytes> sid_bytes() noexcept { return sid_; }

  OpenSession* next_in_bucket = nullptr;  // SessionTable's
  loop::Stream* stream = nullptr;         // the WebSocket, once that is the transport
  std::unique_ptr<Polling> polling;       // while polling is the transport
  std::unique_ptr<websocket::Fragments> fragments;

 private:
  void note_held(std::ptrdiff_t bytes, std::ptrdiff_t own_bytes) noexcept;

  SessionOwner& owner_;
  HandshakeRecord handshake_;
  std::array<char, base::kIdBytes> sid_{};
  // Modulo 2^32: a sum that fits counts right whatever it was on the way.
  std::uint32_t held_ = 0;
  // With what follows in one word, for there are many of these. 48 bits of milliseconds last for 4,000 years.
  std::int64_t issued_ms_ : 48;
  Phase phase_ : 4 = Phase::Open;

 public:
  CloseReason reason : 4 = CloseReason::TransportClose;  // once it is not Open
  bool reported : 1 = false;                             // on_close was called
  bool flush_pending : 1 = false;  // is in PollingTransport's list of polls to answer at the end of the turn
  bool awaits_pong : 1 = false;    // a ping is out: waits in Heartbeats' list of pongs
  bool has_post : 1 = false;       // is in PollingTransport's list of posts
};

static_assert(sizeof(OpenSession) <= 120);

}  // namespace limpet::engineio
