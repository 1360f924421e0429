#include "worker/migration/bucket_move.h"

#include <algorithm>
#include <utility>

namespace limpet::migration {

BucketMove::BucketMove(const MigrationParts& parts, std::uint32_t number, const ipc::MoveBuckets& order,
                       base::Descriptor stream, Migration::OnBucketsMoved on_moved)
    : parts_(parts),
      number_(number),
      to_slot_(order.to_slot),
      departure_(parts.clock.now(), Departure::Kind::Moving, order.window, order.deadline),
      on_moved_(std::move(on_moved)),
      giver_(parts, std::move(stream), order.to_slot) {}

void BucketMove::turn(loop::Allowance& allowance) {
  giver_.turn(allowance);
  if (done_ || giver_.broken()) return;
  if (giver_.given()) {
    done_ = true;
    return on_moved_({.to_slot = to_slot_, .moved = giver_.sessions_taken(), .drained = drained_});
  }
  if (giver_.passes_on() && departure_.ends_unfinished(parts_.clock.now())) end_unfinished_posts(allowance);
  if (!giver_.passes_on() || !giver_.settled()) return;
  const std::optional<std::size_t> left = giver_.left();
  if (left > 0u) drain_what_cannot_move(*left, allowance);
  // Left behind at the deadline are closed ones that wait to tell their client so: they do that here.
  if (left == 0u || departure_.is_over(parts_.clock.now())) giver_.finish();
}

/// A session whose post is half here cannot leave.
void BucketMove::end_unfinished_posts(loop::Allowance& allowance) {
  const auto leaves = [this](const http::AwaitedBody* post) {
    return post != nullptr && parts_.handovers.owner_of(post->sid()) == to_slot_;
  };
  if (parts_.front.http().end_unfinished(allowance, leaves))
    departure_.looked_for_unfinished(parts_.clock.now());
}

void BucketMove::drain_what_cannot_move(std::size_t left, loop::Allowance& allowance) {
  const std::size_t due = departure_.due(parts_.clock.now(), left);
  if (due == 0) return;
  const auto is_due = [this](const engineio::Session& session) {
    return giver_.wants(session) && parts_.engine.find(session.sid()) == &session;
  };
  for (engineio::Session* session : parts_.engine.go_round(drain_round_, due, allowance, is_due)) {
    departure_.closed(1);
    ++drained_;
    parts_.counters.add(ipc::Counter::SessionsDrained);
    parts_.engine.close_transport(*session);
  }
  // Whoever was not met in it, or may leave meanwhile, is found by the next one.
  if (drain_round_.over) drain_round_ = {};
}

loop::TimePoint BucketMove::next_deadline() const noexcept {
  if (giver_.broken()) return loop::TimePoint::max();
  return std::min(giver_.next_deadline(), departure_.next_due(parts_.clock.now()));
}

}  // namespace limpet::migration
