// Sessions on their way to and from another process (law 5): which can leave, what goes with them, and how
// they go on here. Owns nothing.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "worker/engineio/heartbeats.h"
#include "worker/engineio/lives.h"
#include "worker/engineio/open_session.h"
#include "worker/engineio/options.h"
#include "worker/engineio/session_accounts.h"
#include "worker/engineio/session_image.h"
#include "worker/engineio/websocket_transport.h"
#include "worker/http/server.h"
#include "worker/loop/buffer.h"
#include "worker/loop/clock.h"
#include "worker/loop/stream.h"

namespace limpet::engineio {

/// A session that has left this process, and the streams that go with it. They have no receiver any more.
struct DepartedSession {
  SessionImage image;
  loop::Stream* websocket = nullptr;
  loop::Stream* poll = nullptr;  ///< that of the parked GET
  std::string poll_request;      ///< asks again what it asked: goes in front of its unread bytes
};

/// Server::can_depart().
[[nodiscard]] bool can_depart(const OpenSession& session) noexcept;
/// Server::bytes_of().
[[nodiscard]] std::size_t bytes_of(const OpenSession& session) noexcept;

class Moving {
 public:
  Moving(const Options& options, const loop::Clock& clock, Lives& lives, Heartbeats& heartbeats,
         WebSocketTransport& websockets, SessionAccounts& accounts) noexcept
      : options_(options),
        clock_(clock),
        lives_(lives),
        heartbeats_(heartbeats),
        websockets_(websockets),
        accounts_(accounts) {}
  Moving(const Moving&) = delete;
  Moving& operator=(const Moving&) = delete;

  /// One that can_depart(). It is freed by this.
  [[nodiscard]] DepartedSession depart(OpenSession& session);
  /// Server::arrive().
  [[nodiscard]] OpenSession* arrive(SessionImage image, loop::Stream* stream);

 private:
  [[nodiscard]] std::string poll_again(const OpenSession& session,
                                       const http::Exchange::Withdrawn& poll) const;
  void fill_queue(OpenSession& session, std::vector<loop::Buffer> frames);

  const Options& options_;
  const loop::Clock& clock_;
  Lives& lives_;
  Heartbeats& heartbeats_;
  WebSocketTransport& websockets_;
  SessionAccounts& accounts_;
};

}  // namespace limpet::engineio
