// An Engine.IO 4 session as the layer above sees it: named by its sid, carrying messages whichever transport
// it has. Owned by engineio::Server; a reference is good until on_close for it has returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "worker/loop/buffer.h"
#include "worker/loop/clock.h"

namespace limpet::engineio {

enum class Transport : std::uint8_t { Polling, WebSocket };

/// Why a session ended; names are Socket.IO's disconnect reasons.
enum class CloseReason : std::uint8_t {
  TransportError,
  TransportClose,
  ForcedClose,  ///< "forced close": the client or this server closed the session (`1`, Session::close)
  PingTimeout,
  ParseError,
  ServerShuttingDown,
};
inline constexpr std::size_t kCloseReasons = 6;
[[nodiscard]] std::string_view to_string(CloseReason reason) noexcept;  // "transport close", …

class Session {
 public:
  [[nodiscard]] virtual std::string_view sid() const noexcept = 0;
  [[nodiscard]] virtual Transport transport() const noexcept = 0;
  /// Queues messages made by websocket::FrameBuilder (text: `4` + Socket.IO packet; binary: the bytes alone).
  /// All of one call stay together and in order, across an upgrade as well.
  virtual void send(std::span<const loop::Buffer> frames) = 0;
  /// A send comes soon: fetch what it will touch. A broadcast's sessions lie scattered in memory.
  virtual void expect_send() const noexcept {}
  /// False while a volatile message should be dropped: no poll is pending, or bytes wait in the transport's
  /// queue.
  [[nodiscard]] virtual bool writable() const noexcept = 0;
  /// Ends the session: on_close follows, once, not from inside this call. The client sees its transport close
  /// (WebSocket close 1000, polling `1`).
  virtual void close(CloseReason reason) = 0;
  /// The handshake request's head as it came (request line and header lines, without the empty one), for
  /// socket.handshake(); lives as long as the session.
  [[nodiscard]] virtual std::string_view handshake_head() const noexcept = 0;
  [[nodiscard]] virtual std::string address() const = 0;
  [[nodiscard]] virtual bool secure() const noexcept = 0;
  /// Wall-clock time of the handshake, ms since 1970.
  [[nodiscard]] virtual std::int64_t issued_ms() const noexcept = 0;

  /// The layer above keeps so many bytes more for this session, or fewer. At its end, and when it leaves for
  /// another process, they add up to nothing.
  virtual void hold([[maybe_unused]] std::ptrdiff_t bytes) noexcept {}
  /// The same of frames: every buffer is in the worker's total already.
  virtual void hold_frames([[maybe_unused]] std::ptrdiff_t bytes) noexcept {}

  /// A pointer of the layer above, which is its own.
  void* user = nullptr;

 protected:
  ~Session() = default;
};

/// What the layer above does with sessions. Calls come from the worker's loop; none of them may throw.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  virtual void on_open(Session& session) = 0;
  /// `text`: the message without its `4`; valid UTF-8; valid during the call only.
  virtual void on_text(Session& session, std::string_view text) = 0;
  virtual void on_binary(Session& session, std::string_view bytes) = 0;
  /// The last call for this session.
  virtual void on_close(Session& session, CloseReason reason) = 0;
};

}  // namespace limpet::engineio
