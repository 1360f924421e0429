// The sessions of some buckets on their way to another slot (docs/design.md, "Scaling"): a giver, and what
// becomes of sessions that cannot move in time. Says once that none is left here; not if the stream breaks,
// for then they stay, and another order follows.
#pragma once

#include <cstdint>
#include <functional>

#include "ipc/messages/control.h"
#include "worker/migration/departure.h"
#include "worker/migration/migration.h"

namespace limpet::migration {

class BucketMove {
 public:
  /// `number`: that of its stream.
  BucketMove(const MigrationParts& parts, std::uint32_t number, const ipc::MoveBuckets& order,
             base::Descriptor stream, Migration::OnBucketsMoved on_moved);

  [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
  [[nodiscard]] std::uint16_t to_slot() const noexcept { return to_slot_; }
  [[nodiscard]] loop::TimePoint deadline() const noexcept { return departure_.deadline(); }
  [[nodiscard]] Giver& giver() noexcept { return giver_; }
  [[nodiscard]] const Giver& giver() const noexcept { return giver_; }
  /// All has been taken, and that was said.
  [[nodiscard]] bool done() const noexcept { return done_; }

  /// Once per turn, behind the rings.
  void turn(loop::Allowance& allowance);
  [[nodiscard]] loop::TimePoint next_deadline() const noexcept;
  /// Whoever is still here stays.
  void stop() { giver_.finish(); }

 private:
  void drain_what_cannot_move(std::size_t left, loop::Allowance& allowance);
  void end_unfinished_posts(loop::Allowance& allowance);

  MigrationParts parts_;
  std::uint32_t number_;
  std::uint16_t to_slot_;
  Departure departure_;
  Migration::OnBucketsMoved on_moved_;
  Giver giver_;
  engineio::Round drain_round_;
  std::uint64_t drained_ = 0;
  bool done_ = false;
};

}  // namespace limpet::migration
