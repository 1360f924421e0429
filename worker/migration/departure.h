// How those leave in time who leave a worker, or the slot of it that had their buckets: by themselves as long
// as they can; who is left is closed, evenly over the window before the deadline; at the deadline it is over.
// Policy only: knows numbers and times.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "worker/loop/clock.h"
#include "worker/migration/drain_schedule.h"

namespace limpet::migration {

class Departure {
 public:
  /// Draining: nobody leaves by itself, so all are closed, from now on.
  enum class Kind : bool { Moving, Draining };

  Departure(loop::TimePoint now, Kind kind, std::chrono::milliseconds window,
            std::chrono::milliseconds deadline);

  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] loop::TimePoint deadline() const noexcept { return deadline_; }
  [[nodiscard]] bool is_over(loop::TimePoint now) const noexcept { return now >= deadline_; }

  /// What clients owe (the rest of a request) is waited for as long as the window lasts; then it is looked
  /// for once a second.
  [[nodiscard]] bool ends_unfinished(loop::TimePoint now) const noexcept { return now >= unfinished_at_; }
  void looked_for_unfinished(loop::TimePoint now) noexcept;

  /// How many of those `left` are to be closed now, as far as the caller gets with it.
  [[nodiscard]] std::size_t due(loop::TimePoint now, std::size_t left);
  void closed(std::size_t count) noexcept;
  /// Some were due, and could not be closed in the turns since.
  [[nodiscard]] bool owes() const noexcept { return owed_ > 0; }

  /// The next moment after `now` at which something is to be done.
  [[nodiscard]] loop::TimePoint next_due(loop::TimePoint now) const noexcept;

 private:
  Kind kind_;
  std::chrono::milliseconds window_;
  loop::TimePoint unfinished_at_;
  loop::TimePoint drain_at_;
  loop::TimePoint deadline_;
  std::optional<DrainSchedule> drain_;
  std::size_t owed_ = 0;
};

}  // namespace limpet::migration
