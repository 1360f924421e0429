// A durable seat and its tenants: a slot's, or a bridge's. What is kept of it from one worker to the next.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ipc/messages/ctl.h"
#include "supervisor/cluster/respawn_policy.h"
#include "supervisor/cluster/worker.h"
#include "supervisor/system/loop.h"

namespace limpet::supervisor {

struct Slot {
  using TimePoint = std::chrono::steady_clock::time_point;

  Slot(Loop& loop, std::uint16_t its_number, SharedProgram its_program = nullptr)
      : number(its_number), program(std::move(its_program)), respawn(loop) {}

  const std::uint16_t number;  ///< of the slot, or of the bridge (ipc/birth/incarnation.h)
  SharedProgram program;       ///< a bridge's: of who was seated last, and follows; null: the cluster's
  std::vector<std::unique_ptr<Worker>> workers;  ///< living ones, oldest first
  RespawnPolicy policy;
  Timer respawn;
  TimePoint next_start{};    ///< while `respawn` runs
  TimePoint vacant_since{};  ///< while nobody is seated
  std::uint64_t deaths = 0;
  std::string last_obituary;
  bool closing = false;  ///< nobody follows; it goes with its last worker

  [[nodiscard]] Worker* seated() const noexcept;
  /// Whose sessions a worker gets that is born now: the seated one's, or those that a draining one is stuck
  /// with because its successor died. Null if there are none.
  [[nodiscard]] Worker* giver() const noexcept;
  /// A worker that drains, or that was sent a signal that ends it.
  [[nodiscard]] Worker* leaving() const noexcept;
  /// Somebody sits here, or is about to.
  [[nodiscard]] bool has_prospect() const noexcept;
  /// Shall the kernel send it clients? A seated worker that beats; or a seat that was left moments ago and is
  /// about to be taken: its clients wait in the accept queue.
  [[nodiscard]] bool takes_part(TimePoint now) const noexcept;
  [[nodiscard]] ipc::SlotStatus status(TimePoint now) const;
  /// "next start in 0.11 s"
  [[nodiscard]] std::string next_start_text() const;
};

}  // namespace limpet::supervisor
