#include "worker/migration/bucket_move.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace limpet::migration {
namespace {

using std::chrono::milliseconds;

/// WebSocket close code of a session that cannot move: "service restart".
constexpr std::uint16_t kServiceRestart = 1012;
/// Between two looks at all connections for half posts.
constexpr milliseconds kLookInterval{1000};

}  // namespace

BucketMove::BucketMove(const MigrationParts& parts, std::uint32_t number, const ipc::MoveBuckets& order,
                       base::Descriptor stream, Migration::OnBucketsMoved on_moved)
    : parts_(parts),
      number_(number),
      to_slot_(order.to_slot),
      window_(order.window),
      posts_due_(parts.clock.now() + order.window),
      drain_at_(parts.clock.now() + std::max(milliseconds(0), order.deadline - order.window)),
      deadline_(parts.clock.now() + order.deadline),
      on_moved_(std::move(on_moved)),
      giver_(parts, std::move(stream), order.to_slot) {}

void BucketMove::turn(loop::Allowance& allowance) {
  giver_.turn(allowance);
  if (done_ || giver_.broken()) return;
  if (giver_.given()) {
    done_ = true;
    return on_moved_({.to_slot = to_slot_, .moved = giver_.sessions_taken(), .drained = drained_});
  }
  if (giver_.passes_on() && parts_.clock.now() >= posts_due_) end_unfinished_posts(allowance);
  if (!giver_.passes_on() || !giver_.settled()) return;
  const std::optional<std::size_t> left = giver_.left();
  if (left > 0u && parts_.clock.now() >= drain_at_) drain_what_cannot_move(*left, allowance);
  // Left behind at the deadline are closed ones that wait to tell their client so: they do that here.
  if (left == 0u || parts_.clock.now() >= deadline_) giver_.finish();
}

/// A session whose post is half here cannot leave.
void BucketMove::end_unfinished_posts(loop::Allowance& allowance) {
  const auto leaves = [this](const http::AwaitedBody* post) {
    return post != nullptr && parts_.handovers.owner_of(post->sid()) == to_slot_;
  };
  if (parts_.front.http().end_unfinished(allowance, leaves)) posts_due_ = parts_.clock.now() + kLookInterval;
}

void BucketMove::drain_what_cannot_move(std::size_t left, loop::Allowance& allowance) {
  if (!drain_) drain_.emplace(parts_.clock.now(), left, window_, window_);
  const std::size_t more = drain_->take_due(parts_.clock.now());
  drain_due_ += std::min(more, std::numeric_limits<std::size_t>::max() - drain_due_);
  if (drain_due_ == 0) return;
  const auto is_due = [this](const engineio::Session& session) {
    return giver_.wants(session) && parts_.engine.find(session.sid()) == &session;
  };
  for (engineio::Session* session : parts_.engine.go_round(drain_round_, drain_due_, allowance, is_due)) {
    if (drain_due_ > 0) --drain_due_;
    ++drained_;
    parts_.counters.add(ipc::Counter::SessionsDrained);
    parts_.engine.close_transport(*session, kServiceRestart);
  }
  // Whoever was not met in it, or may leave meanwhile, is found by the next one.
  if (drain_round_.over) drain_round_ = {};
}

loop::TimePoint BucketMove::next_deadline() const noexcept {
  const loop::TimePoint now = parts_.clock.now();
  if (giver_.broken()) return loop::TimePoint::max();
  auto next = giver_.next_deadline();
  for (const loop::TimePoint due : {posts_due_, drain_at_, drain_ ? drain_->next_due() : next, deadline_})
    if (due > now) next = std::min(next, due);
  return next;
}

}  // namespace limpet::migration
