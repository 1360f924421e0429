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
#include <vector>

#include "base/limits.h"
#include "worker/engineio/server.h"
#include "worker/http/server.h"
#include "worker/loop/long_fifo.h"
#include "worker/loop/timer_list.h"
#include "worker/websocket/reader.h"

namespace limpet::engineio {

class Core;
class OpenSession;

/// The head of the handshake request, without its end, and the client's address, in one allocation.
class HandshakeRecord {
 public:
  HandshakeRecord(std::string_view head, std::string_view address);
  [[nodiscard]] std::string_view head() const noexcept;
  [[nodiscard]] std::string_view address() const noexcept;

 private:
  struct Sizes {
    std::uint32_t head;
    std::uint16_t address;
  };
  static constexpr std::size_t kSizesBytes = 6;  // without padding
  [[nodiscard]] Sizes sizes() const noexcept;
  std::unique_ptr<char[]> bytes_;
};

struct PollingHook : loop::TimerHook {
  OpenSession* session = nullptr;
};

/// Of a queued frame, beside its bytes: its handle and its block.
inline constexpr std::size_t kFrameCost = 48;
/// What a frame counts against Options::max_queued_bytes.
inline std::size_t cost_of(const loop::Buffer& frame) noexcept { return frame.size() + kFrameCost; }

/// A post of which packets wait for a later turn; it is answered when all are taken.
struct UnfinishedPost {
  std::shared_ptr<const std::string> packets;
  std::size_t taken = 0;
  http::Exchange exchange;
};

/// What a session has while its transport is polling.
struct Polling {
  loop::LongFifo<loop::Buffer> queue;  // messages as WebSocket frames, the oldest first
  std::size_t queued_bytes = 0;
  http::Exchange poll;      // the parked GET, if open()
  std::string jsonp_index;  // of that GET; empty: no JSONP
  bool jsonp = false;
  std::uint32_t awaited_posts = 0;  // posts whose bodies have not arrived completely
  std::unique_ptr<UnfinishedPost> post;
  loop::TimePoint taken_at{};  // a poll took something
  loop::Noted noted;
  // The upgrade: the WebSocket that may take over.
  loop::Stream* probe = nullptr;
  std::unique_ptr<websocket::Fragments> probe_fragments;
  PollingHook probe_overdue;
  PollingHook next_noop;
};

class OpenSession final : public Session, public loop::TimerHook {
 public:
  enum class Phase : std::uint8_t {
    Open,
    Lingering,  // closed for the layer above; waits for a poll to tell the client
    Ended,      // only to be reported and freed
  };

  OpenSession(Core& core, std::string_view handshake_head, std::string_view address, std::int64_t issued_ms);

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
  void close(CloseReason reason) override;
  [[nodiscard]] std::string_view handshake_head() const noexcept override { return handshake_.head(); }
  [[nodiscard]] std::string address() const override { return std::string(handshake_.address()); }
  [[nodiscard]] bool secure() const noexcept override { return false; }
  [[nodiscard]] std::int64_t issued_ms() const noexcept override { return issued_ms_; }
  void hold(std::ptrdiff_t bytes) noexcept override;
  void hold_frames(std::ptrdiff_t bytes) noexcept override;

  /// Bytes that the layer above keeps for it.
  [[nodiscard]] std::size_t held() const noexcept { return held_; }
  void forget_handshake() { handshake_ = HandshakeRecord({}, {}); }
  [[nodiscard]] bool open() const noexcept { return phase == Phase::Open; }
  [[nodiscard]] bool poll_parked() const noexcept { return polling && polling->poll.open(); }
  [[nodiscard]] std::span<char, base::kIdBytes> sid_bytes() noexcept { return sid_; }

  OpenSession* next_in_bucket = nullptr;  // SessionTable's
  loop::Stream* stream = nullptr;         // the WebSocket, once that is the transport
  std::unique_ptr<Polling> polling;       // while polling is the transport
  std::unique_ptr<websocket::Fragments> fragments;

 private:
  Core& core_;
  HandshakeRecord handshake_;
  std::array<char, base::kIdBytes> sid_{};
  // Modulo 2^32: a sum that fits counts right whatever it was on the way.
  std::uint32_t held_ = 0;
  // With what follows in one word, for there are many of these. 48 bits of milliseconds last for 4,000 years.
  std::int64_t issued_ms_ : 48;

 public:
  Phase phase : 4 = Phase::Open;
  CloseReason reason : 4 = CloseReason::TransportClose;  // once it is not Open
  bool reported : 1 = false;                             // on_close was called
  bool flush_pending : 1 = false;  // is in Core's list of polls to answer at the end of the turn
  bool awaits_pong : 1 = false;    // a ping is out: waits in Core's list of pongs
  bool has_post : 1 = false;       // is in Core's list of posts
};

static_assert(sizeof(OpenSession) <= 120);

}  // namespace limpet::engineio
