#include "worker/process/bucket_move.h"

#include <algorithm>
#include <utility>

namespace limpet::process {
namespace {

using std::chrono::milliseconds;

/// WebSocket close code of a session that cannot move: "service restart".
constexpr std::uint16_t kServiceRestart = 1012;

}  // namespace

BucketMove::BucketMove(const MigrationParts& parts, std::uint32_t number, const ipc::MoveBuckets& order,
                       ipc::Descriptor stream, Migration::OnBucketsMoved on_moved)
    : parts_(parts),
      number_(number),
      to_slot_(order.to_slot),
      window_(order.window),
      drain_at_(parts.clock.now() + std::max(milliseconds(0), order.deadline - order.window)),
      deadline_(parts.clock.now() + order.deadline),
      on_moved_(std::move(on_moved)),
      giver_(parts, std::move(stream), order.to_slot) {}

void BucketMove::turn() {
  giver_.turn();
  if (done_ || giver_.broken()) return;
  if (giver_.given()) {
    done_ = true;
    return on_moved_({.to_slot = to_slot_, .moved = giver_.sessions_taken(), .drained = drained_});
  }
  if (!giver_.passes_on() || !giver_.settled()) return;
  const std::size_t left =
      parts_.engine.count([this](const engineio::Session& session) { return giver_.wants(session); });
  if (left > 0 && parts_.clock.now() >= drain_at_) drain_what_cannot_move(left);
  // Left behind at the deadline are closed ones that wait to tell their client so: they do that here.
  if (left == 0 || parts_.clock.now() >= deadline_) giver_.finish();
}

void BucketMove::drain_what_cannot_move(std::size_t left) {
  if (!drain_) drain_.emplace(parts_.clock.now(), left, window_, window_);
  std::size_t due = drain_->take_due(parts_.clock.now());
  parts_.engine.for_each([&](engineio::Session& session) {
    if (due == 0 || !giver_.wants(session)) return;
    --due;
    ++drained_;
    parts_.counters.add(ipc::Counter::SessionsDrained);
    parts_.engine.close_transport(session, kServiceRestart);
  });
}

http::TimePoint BucketMove::next_deadline() const noexcept {
  const http::TimePoint now = parts_.clock.now();
  if (giver_.broken()) return http::TimePoint::max();
  auto next = http::TimePoint::max();
  for (const http::TimePoint due : {drain_at_, drain_ ? drain_->next_due() : next, deadline_})
    if (due > now) next = std::min(next, due);
  return next;
}

}  // namespace limpet::process
