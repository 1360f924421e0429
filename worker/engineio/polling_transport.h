// The long-polling transport: what the requests of polling sessions do. Polls wait for messages; what is sent
// in one turn goes out in one response at its end. A post whose packets are too much for one turn goes on in
// the next ones. Owns the lists of sessions that have something to do; what each of them has is its Polling.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "worker/engineio/incoming.h"
#include "worker/engineio/lives.h"
#include "worker/engineio/open_session.h"
#include "worker/engineio/options.h"
#include "worker/engineio/session_accounts.h"
#include "worker/http/request.h"
#include "worker/http/server.h"
#include "worker/loop/allowance.h"
#include "worker/loop/buffer.h"
#include "worker/loop/clock.h"
#include "worker/loop/fifo.h"

namespace limpet::engineio {

class PollingTransport {
 public:
  PollingTransport(const Options& options, const loop::Clock& clock, Incoming& incoming, Lives& lives,
                   SessionAccounts& accounts) noexcept
      : options_(options), clock_(clock), incoming_(incoming), lives_(lives), accounts_(accounts) {}
  PollingTransport(const PollingTransport&) = delete;
  PollingTransport& operator=(const PollingTransport&) = delete;

  // Of sessions that are polling. `jsonp`: the request's `j`, if it has one.
  void on_poll(OpenSession& session, http::Exchange exchange, std::optional<std::string_view> jsonp);
  void on_post(OpenSession& session, http::Exchange exchange, const http::Request& request,
               std::optional<std::string_view> jsonp);
  /// The head of a post of an open session has come, its body has not: what is to be kept until it has.
  /// nullptr, and the session has ended: another one is on its way.
  [[nodiscard]] std::unique_ptr<http::AwaitedBody> on_post_awaited(OpenSession& session);
  /// Of one that is open: it goes out with the parked poll or the next one. Ends a session that has too much.
  void queue(OpenSession& session, std::span<const loop::Buffer> frames);

  /// Answers the parked polls that have something.
  void flush_polls(loop::Allowance& allowance);
  /// Takes more of the posts that were left over.
  void continue_posts(loop::Allowance& allowance);
  [[nodiscard]] bool has_work() const noexcept { return !poll_flush_.empty() || !posts_.empty(); }

  /// Sessions ended for four times Options::max_queued_bytes.
  [[nodiscard]] std::uint64_t overflowed() const noexcept { return overflowed_; }
  /// And for Options::send_stall.
  [[nodiscard]] std::uint64_t stalled() const noexcept { return stalled_; }

 private:
  /// Takes the packets of a post's body one by one. What is left, if it may not go on now.
  [[nodiscard]] std::optional<std::string_view> take_payload(
      OpenSession& session, std::string_view payload, const std::function<bool()>& may_go_on,
      const std::function<void(std::uint32_t)>& charge);
  /// False: the rest of the payload is void.
  [[nodiscard]] bool take_packet(OpenSession& session, std::string_view text);
  void keep_post(OpenSession& session, http::Exchange exchange, std::string_view rest);
  void list_post(OpenSession& session);
  void continue_post(OpenSession& session, loop::Allowance& allowance);
  [[nodiscard]] bool makes_room(OpenSession& session);
  /// What that cost, in units.
  std::uint32_t answer_poll(OpenSession& session, std::string_view last);
  void end_as_fault(OpenSession& session);

  const Options& options_;
  const loop::Clock& clock_;
  Incoming& incoming_;
  Lives& lives_;
  SessionAccounts& accounts_;
  loop::Fifo<OpenSession*> poll_flush_;  // have something for their parked poll
  loop::Fifo<OpenSession*> posts_;       // have packets of a post that wait for their turn
  std::uint64_t overflowed_ = 0;
  std::uint64_t stalled_ = 0;
};

}  // namespace limpet::engineio
