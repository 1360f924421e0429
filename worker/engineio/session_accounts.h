// What sessions hold, in bytes: told to the worker's total, and who holds most is known. A polling session
// has one rank, for its queue and what the layer above holds for it; one with a WebSocket only for the
// latter, for its stream has an account of its own. Owns the long queues that nobody wants any more until
// they are freed.
#pragma once

#include <cstddef>
#include <map>

#include "worker/engineio/open_session.h"
#include "worker/loop/accounts.h"
#include "worker/loop/allowance.h"
#include "worker/loop/released_frames.h"

namespace limpet::engineio {

class SessionAccounts {
 public:
  /// nullptr: a total that nobody looks at.
  explicit SessionAccounts(loop::MemoryTotal* total) noexcept;

  /// What it costs while it is idle. To be taken back with the same handshake head.
  void add(const OpenSession& session) noexcept { count(session, true); }
  void remove(const OpenSession& session) noexcept { count(session, false); }
  /// Its poll queue has changed, or it has been closed. Of one that is polling.
  void note_queue(OpenSession& session);
  /// SessionOwner::note_held().
  void note_held(OpenSession& session, std::size_t before, std::ptrdiff_t own_bytes) noexcept;
  /// It upgrades: `polling` was its own until now.
  void note_upgrade(OpenSession& session, Polling& polling) noexcept;
  /// It counts no more with what is held for it above.
  void forget_held(OpenSession& session);
  /// Nor with its queue.
  void forget(OpenSession& session);
  /// What waits for its polls is gone. Of one that is polling.
  void drop_queue(OpenSession& session);

  /// 0: none has much.
  [[nodiscard]] std::size_t largest_bytes() const noexcept { return accounts_.largest_bytes(); }
  /// nullptr: none has much.
  [[nodiscard]] OpenSession* largest() const noexcept { return accounts_.largest(); }

  /// A queue that nobody wants any more.
  void release(PollQueue& queue);
  /// Of those.
  [[nodiscard]] std::size_t released_bytes() const noexcept { return released_.bytes(); }
  [[nodiscard]] bool has_released() const noexcept { return !released_.empty(); }
  void free_some(loop::Allowance& allowance) { released_.free_some(allowance); }

 private:
  void count(const OpenSession& session, bool here) noexcept;
  void rank_held(OpenSession& session, std::size_t before) noexcept;

  loop::MemoryTotal own_total_;
  loop::MemoryTotal& total_;
  loop::Accounts<OpenSession> accounts_;
  std::map<OpenSession*, loop::Noted> large_held_;  ///< of WebSocket sessions for which much is held above
  loop::ReleasedFrames released_;
};

}  // namespace limpet::engineio
