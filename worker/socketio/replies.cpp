#include "worker/socketio/replies.h"

#include <memory>

#include "base/check.h"
#include "worker/socketio/costs.h"

namespace limpet::socketio {
namespace {

std::ptrdiff_t cost_of_reply(loop::TimerQueue::Id timer) noexcept {
  return kReplyBytes + (timer == 0 ? 0 : kReplyTimerBytes);
}

PendingReplies* replies_of(const SocketState& socket) noexcept {
  return socket.extras == nullptr ? nullptr : socket.extras->replies.get();
}

}  // namespace

std::optional<std::uint64_t> Replies::expect(SocketState& socket, const Handler& handler,
                                             std::chrono::milliseconds timeout) {
  SocketExtras& more = extras_of(socket, charges_);
  const std::uint64_t id = more.next_reply_id++;
  const bool moved = socket.phase == SocketState::Phase::Moved;
  const auto give_up = [this, index = socket.index, epoch = socket.epoch, id, moved] {
    SocketState* const late = sockets_.find(index, epoch);
    if (late == nullptr) return;
    const Error error{moved ? "moved" : "operation has timed out"};
    Call call(handle_of(*late), Arguments(), &error);
    resolve(*late, id, call);
  };
  if (moved) timeout = std::chrono::milliseconds(0);
  const loop::TimerQueue::Id timer =
      moved || timeout.count() > 0 ? timers_.add(clock_.now() + timeout, {}, give_up) : 0;
  if (more.replies == nullptr) more.replies = std::make_unique<PendingReplies>();
  more.replies->add({id, handler, timer});
  charges_.charge(socket, cost_of_reply(timer));
  if (moved) ++awaited_by_moved_;
  // Sent with this id, it would take away the answer to an emit of the new place, which counts on from here.
  if (moved) return std::nullopt;
  return id;
}

bool Replies::resolve(SocketState& socket, std::uint64_t id, Call& call) {
  PendingReplies* const replies = replies_of(socket);
  if (replies == nullptr) return false;
  const std::optional<PendingReply> reply = replies->take(id);
  if (!reply) return false;
  charges_.charge(socket, -cost_of_reply(reply->timer));
  if (socket.phase == SocketState::Phase::Moved) {
    CHECK(awaited_by_moved_ > 0, "a moved socket has a reply that was not counted");
    --awaited_by_moved_;
  }
  if (reply->timer != 0) timers_.cancel(reply->timer);
  discarded_.add(reply->handler);
  socket.nsp->handlers->run(reply->handler, call, "reply");
  return true;
}

bool Replies::give_up(SocketState& socket, const char* why, loop::Allowance& allowance) {
  const PendingReplies* const replies = replies_of(socket);
  if (replies == nullptr) return true;
  const Error error{why};
  Call call(handle_of(socket), Arguments(), &error);
  while (!replies->empty()) {
    if (!allowance.take()) return false;
    resolve(socket, replies->front().id, call);
  }
  return true;
}

void Replies::count_moved(const SocketState& socket) {
  if (const PendingReplies* const replies = replies_of(socket)) awaited_by_moved_ += replies->size();
}

void Replies::destroy_all(const SocketState& socket) noexcept {
  if (const PendingReplies* const replies = replies_of(socket))
    replies->for_each([](const PendingReply& reply) { reply.handler.destroy(); });
}

}  // namespace limpet::socketio
