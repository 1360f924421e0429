#include "worker/migration/departure.h"

#include <algorithm>

namespace limpet::migration {
namespace {

using std::chrono::milliseconds;

/// Between two looks for what is unfinished.
constexpr milliseconds kLookInterval{1000};

}  // namespace

Departure::Departure(loop::TimePoint now, Kind kind, milliseconds window, milliseconds deadline)
    : kind_(kind),
      window_(window),
      unfinished_at_(now + window),
      drain_at_(kind == Kind::Draining ? now : now + std::max(milliseconds(0), deadline - window)),
      deadline_(now + deadline) {}

void Departure::looked_for_unfinished(loop::TimePoint now) noexcept { unfinished_at_ = now + kLookInterval; }

std::size_t Departure::due(loop::TimePoint now, std::size_t left) {
  if (now < drain_at_) return 0;
  if (!drain_)
    drain_.emplace(drain_at_, left, window_, std::chrono::ceil<milliseconds>(deadline_ - drain_at_));
  owed_ = std::min(owed_, left);
  owed_ += std::min(drain_->take_due(now), left - owed_);
  return owed_;
}

void Departure::closed(std::size_t count) noexcept { owed_ -= std::min(owed_, count); }

loop::TimePoint Departure::next_due(loop::TimePoint now) const noexcept {
  auto next = loop::TimePoint::max();
  for (const loop::TimePoint due : {unfinished_at_, drain_at_, drain_ ? drain_->next_due() : next, deadline_})
    if (due > now) next = std::min(next, due);
  return next;
}

}  // namespace limpet::migration
