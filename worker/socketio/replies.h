// The replies to an application's emits that are awaited: kept in the state of their sockets
// (pending_replies.h), each until it comes, its time is over, or its socket ends.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "worker/loop/allowance.h"
#include "worker/loop/clock.h"
#include "worker/loop/timer_queue.h"
#include "worker/socketio/charges.h"
#include "worker/socketio/dispatch.h"
#include "worker/socketio/handler.h"
#include "worker/socketio/socket_table.h"
#include "worker/socketio/state.h"

namespace limpet::socketio {

class Replies {
 public:
  /// All outlive it.
  Replies(const loop::Clock& clock, loop::TimerQueue& timers, const SocketTable& sockets, Charges& charges,
          Discarded& discarded) noexcept
      : clock_(clock), timers_(timers), sockets_(sockets), charges_(charges), discarded_(discarded) {}

  /// The id with which to send the event; none if the socket has moved: the answer would come to the new
  /// place, where nobody knows of the callback, so that is given the error `moved` in the next turn.
  /// `timeout` 0: none.
  std::optional<std::uint64_t> expect(SocketState& socket, const Handler& handler,
                                      std::chrono::milliseconds timeout);
  /// False: nobody waits for it (any more).
  bool resolve(SocketState& socket, std::uint64_t id, Call& call);
  /// All of the socket are given the error `why`. False: the allowance did not suffice.
  bool give_up(SocketState& socket, const char* why, loop::Allowance& allowance);

  /// The socket has become one that has moved.
  void count_moved(const SocketState& socket);
  /// Of sockets that have moved.
  [[nodiscard]] std::size_t awaited_by_moved() const noexcept { return awaited_by_moved_; }

  /// At the server's end: nobody is called any more.
  static void destroy_all(const SocketState& socket) noexcept;

 private:
  const loop::Clock& clock_;
  loop::TimerQueue& timers_;
  const SocketTable& sockets_;
  Charges& charges_;
  Discarded& discarded_;
  std::size_t awaited_by_moved_ = 0;
};

}  // namespace limpet::socketio
