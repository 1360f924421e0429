// The replies that a socket's application waits for: by id, in a vector, for ids only grow. What was answered
// leaves a hole; holes go when they are more than half, so n replies cost O(n log n) in whatever order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "worker/loop/timer_queue.h"
#include "worker/socketio/costs.h"
#include "worker/socketio/handler.h"

namespace limpet::socketio {

/// A reply that the application waits for.
struct PendingReply {
  std::uint64_t id = 0;
  Handler handler;                 // without a type: answered
  loop::TimerQueue::Id timer = 0;  // 0: waits as long as the socket lives
};

class PendingReplies {
 public:
  /// Its id is above all that were added before.
  void add(const PendingReply& reply) {
    replies_.push_back(reply);
    ++waiting_;
    timed_ += reply.timer != 0 ? 1 : 0;
  }
  /// The reply of that id, which is not here any more; nothing if nobody waits for it.
  std::optional<PendingReply> take(std::uint64_t id) {
    const auto found =
        std::lower_bound(replies_.begin() + static_cast<std::ptrdiff_t>(first_), replies_.end(), id,
                         [](const PendingReply& reply, std::uint64_t wanted) { return reply.id < wanted; });
    if (found == replies_.end() || found->id != id || is_hole(*found)) return std::nullopt;
    const PendingReply reply = *found;
    found->handler = {};
    --waiting_;
    timed_ -= reply.timer != 0 ? 1 : 0;
    close_holes();
    return reply;
  }
  [[nodiscard]] bool empty() const noexcept { return waiting_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return waiting_; }
  /// Unless empty().
  [[nodiscard]] const PendingReply& front() const noexcept { return replies_[first_]; }
  /// Bytes that those who wait are charged with.
  [[nodiscard]] std::ptrdiff_t held() const noexcept {
    return static_cast<std::ptrdiff_t>(waiting_) * kReplyBytes +
           static_cast<std::ptrdiff_t>(timed_) * kReplyTimerBytes;
  }
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const PendingReply& reply : replies_)
      if (!is_hole(reply)) visit(reply);
  }

 private:
  static constexpr std::size_t kWorthClosing = 32;
  static bool is_hole(const PendingReply& reply) noexcept { return reply.handler.type == nullptr; }

  void close_holes() {
    if (waiting_ == 0) {
      first_ = 0;
      replies_.clear();
      if (replies_.capacity() > kWorthClosing)
        replies_ = std::vector<PendingReply>();  // and not {}, by which it would keep its memory
      return;
    }
    while (is_hole(replies_[first_])) ++first_;
    if (replies_.size() < kWorthClosing || waiting_ * 2 > replies_.size()) return;
    std::erase_if(replies_, is_hole);
    first_ = 0;
  }

  std::vector<PendingReply> replies_;
  std::size_t first_ = 0;  // before it there are only holes
  std::size_t waiting_ = 0;
  std::size_t timed_ = 0;  // of those, with a timer
};

}  // namespace limpet::socketio
