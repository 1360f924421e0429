// Upgrades from polling to WebSocket: a client opens a second connection, asks `2probe` there and is answered
// `3probe`; its poll is answered with noops meanwhile; `5` makes the WebSocket its transport. Whatever goes
// wrong before that ends the probe alone, and polling goes on.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "worker/engineio/lives.h"
#include "worker/engineio/open_session.h"
#include "worker/engineio/options.h"
#include "worker/engineio/session_accounts.h"
#include "worker/engineio/websocket_transport.h"
#include "worker/http/response.h"
#include "worker/http/server.h"
#include "worker/loop/allowance.h"
#include "worker/loop/clock.h"
#include "worker/loop/stream.h"
#include "worker/loop/timer_wheel.h"
#include "worker/websocket/reader.h"

namespace limpet::engineio {

/// How often a poll that stands in the way of an upgrade is answered.
inline constexpr std::chrono::milliseconds kNoopInterval{100};

class Upgrades final : private loop::StreamReceiver {
 public:
  Upgrades(const Options& options, const loop::Clock& clock, WebSocketTransport& websockets, Lives& lives,
           SessionAccounts& accounts)
      : options_(options),
        clock_(clock),
        websockets_(websockets),
        lives_(lives),
        accounts_(accounts),
        overdue_(options.upgrade_timeout) {}
  Upgrades(const Upgrades&) = delete;
  Upgrades& operator=(const Upgrades&) = delete;

  [[nodiscard]] bool may_begin(const OpenSession& session) const noexcept;
  /// The handshake of a WebSocket for `session`, which may_begin().
  void begin(OpenSession& session, http::Exchange exchange, http::Response switching);
  /// Gives up those that took too long, and answers polls that stand in the way.
  void check(loop::TimePoint now, loop::Allowance& allowance);
  [[nodiscard]] std::optional<loop::TimePoint> next_due() const noexcept {
    return loop::first_due({&overdue_, &next_noop_});
  }
  [[nodiscard]] std::uint64_t completed() const noexcept { return completed_; }

 private:
  // Of probes; the attachment is the session.
  std::size_t on_bytes(loop::Stream& stream, std::span<char> bytes) override;
  void on_closed(loop::Stream& stream, int error) override;
  void take(OpenSession& session, const websocket::Received& received);
  void take_text(OpenSession& session, std::string_view text);
  void complete(OpenSession& session);

  const Options& options_;
  const loop::Clock& clock_;
  WebSocketTransport& websockets_;
  Lives& lives_;
  SessionAccounts& accounts_;
  loop::TimerWheel overdue_;
  loop::TimerWheel next_noop_{kNoopInterval};
  std::uint64_t completed_ = 0;
};

}  // namespace limpet::engineio
