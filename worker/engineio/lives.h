// The life of every session: it opens or arrives, is found by its sid, is closed or departs, is reported to
// the layer above, and is freed. Owns the sessions.
//
// An end is always reported from report_ended(), never from inside another call; the object lives until then.
// A polling session that its server closes while no poll is parked lingers, for its client is told by its
// next poll.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "worker/engineio/open_session.h"
#include "worker/engineio/options.h"
#include "worker/engineio/session.h"
#include "worker/engineio/session_accounts.h"
#include "worker/engineio/session_image.h"
#include "worker/engineio/session_table.h"
#include "worker/loop/allowance.h"
#include "worker/loop/clock.h"
#include "worker/loop/fifo.h"
#include "worker/loop/timer_wheel.h"
#include "worker/websocket/reader.h"

namespace limpet::engineio {

/// How long a session that the server closed waits for a poll by which to say so.
inline constexpr std::chrono::seconds kLinger{5};

struct LifeCounts {
  std::uint64_t opened = 0;
  std::array<std::uint64_t, kCloseReasons> closed{};  ///< by CloseReason
  std::uint64_t departed = 0;
  std::uint64_t arrived = 0;
  std::size_t open = 0;     ///< now
  std::size_t polling = 0;  ///< of those
};

class Lives {
 public:
  /// `hooks` gives sids and the time; nothing else of it is used.
  Lives(SessionOwner& owner, const loop::Clock& clock, SessionHandler& handler, const Hooks& hooks,
        SessionAccounts& accounts) noexcept
      : owner_(owner), clock_(clock), handler_(handler), hooks_(hooks), accounts_(accounts) {}
  Lives(const Lives&) = delete;
  Lives& operator=(const Lives&) = delete;
  /// Frees the sessions without on_close.
  ~Lives();

  /// A new one. Its WebSocket, or the answer to its handshake, is the caller's to add; then announce() it.
  OpenSession& open(std::string_view handshake_head, std::string_view address, Transport transport);
  void announce(OpenSession& session) { handler_.on_open(session); }
  /// The same for one that has left another process: announced there, and with time-outs that have begun. Of
  /// a lingering one that time-out is joined here. nullptr: its sid is here already.
  OpenSession* arrive(const SessionImage& image, Transport transport);
  /// It has left for another process. Frees it, without on_close.
  void depart(OpenSession& session);
  /// It goes on over a WebSocket. What it had for polling.
  [[nodiscard]] std::unique_ptr<Polling> stop_polling(OpenSession& session) noexcept;

  /// Open or not.
  [[nodiscard]] OpenSession* find(std::string_view sid) const noexcept { return table_.find(sid); }
  /// nullptr: it is not open.
  [[nodiscard]] OpenSession* find_open(std::string_view sid) const noexcept;
  /// SessionTable::go_round().
  [[nodiscard]] std::vector<Session*> go_round(Round& round, std::size_t at_most, loop::Allowance& allowance,
                                               const std::function<bool(const Session&)>& which) const {
    return table_.go_round(round, at_most, allowance, which);
  }

  /// Ends the session as its server wishes: a polling client that has no poll parked is told by its next one.
  void close(OpenSession& session, CloseReason reason, websocket::CloseCode code);
  /// Ends the session at once; a parked poll is answered with `1`.
  void end(OpenSession& session, CloseReason reason, websocket::CloseCode code);
  /// A lingering session's client has taken something: the wait begins anew.
  void linger(OpenSession& session) noexcept;
  /// A lingering session has told its client, or waited long enough.
  void release(OpenSession& session);

  /// What is overdue, to be reported, or to be freed.
  void release_overdue(loop::TimePoint now, loop::Allowance& allowance);
  void report_ended(loop::Allowance& allowance);
  void free_ended(loop::Allowance& allowance);
  [[nodiscard]] bool has_work() const noexcept { return !ended_.empty() || !freed_.empty(); }
  [[nodiscard]] std::optional<loop::TimePoint> next_due() const noexcept {
    return loop::first_due({&linger_});
  }

  [[nodiscard]] bool has_lingering() const noexcept { return linger_.front() != nullptr; }
  [[nodiscard]] const LifeCounts& counts() const noexcept { return counts_; }

 private:
  OpenSession& add(std::unique_ptr<OpenSession> session, Transport transport);
  void count_open(const OpenSession& session) noexcept;
  void count_closed(const OpenSession& session) noexcept;
  /// The end of its time as an open one, whatever comes then.
  void leave_open(OpenSession& session, OpenSession::Phase next, CloseReason reason);
  void forget_handshake(OpenSession& session);

  SessionOwner& owner_;
  const loop::Clock& clock_;
  SessionHandler& handler_;
  const Hooks& hooks_;
  SessionAccounts& accounts_;
  SessionTable table_;  // the open and the lingering ones
  loop::TimerWheel linger_{kLinger};
  loop::Fifo<OpenSession*> ended_;  // to be reported, then freed
  loop::Fifo<OpenSession*> freed_;  // reported; freed as soon as no list names them
  LifeCounts counts_;
};

}  // namespace limpet::engineio
