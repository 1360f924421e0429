// A reload: the workers of all slots, or of some, are replaced by such of the new program, one slot at a
// time. A successor is started, says that it is ready, takes the seat; then its predecessor's sessions move
// to it, or drain. Done when every predecessor has left; only then the program is the cluster's. A successor
// that ends before that, seated or not, ends the rollout: whoever is started from then on is of the old
// program. Owns no worker.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "supervisor/cluster/steps.h"
#include "supervisor/operations/operation.h"

namespace limpet::supervisor {

class Rollout final : public Operation {
 public:
  /// `operation`: "reload", "upgrade": the first word of what is said at the end. Neither callback is called
  /// before begin().
  Rollout(Loop& loop, ClusterSteps& cluster, std::string operation, Say say, Done done);
  void begin(SharedProgram next, std::vector<std::uint16_t> slots);

  bool on_ready(Worker& worker) override;
  void on_progress(const Worker& worker) override;
  void on_gone(const Worker& worker, Cause cause, const std::string& obituary) override;
  [[nodiscard]] bool has_changed_the_cluster() const noexcept override { return at_ > 0; }
  void abandon() override;

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// A predecessor, from the moment at which it gave up its seat.
  struct Leaving {
    std::uint16_t slot;
    std::string pids;  ///< "pid 12 -> pid 34"
    TimePoint since;   ///< its successor was started
    bool has_sessions;
  };
  struct Sums {
    std::uint64_t moved = 0;
    std::uint64_t drained = 0;
    std::uint64_t lost = 0;  ///< inside a worker that died
  };

  [[nodiscard]] std::uint16_t slot() const { return slots_.at(at_); }
  [[nodiscard]] Slot& current_slot() const { return cluster_.slots().at(slot()); }
  /// Starts the next successor, if nothing keeps it from it.
  void advance();
  /// "" or why the next slot has to wait.
  [[nodiscard]] std::string obstacle() const;
  void start_successor();
  void withdraw_rivals();
  void seat(Worker& successor);
  void tell_end(const Leaving& leaving, const Worker& worker, std::uint64_t lost);
  void fail(const std::string& why);
  void finish_if_all_left();
  [[nodiscard]] std::string sums_text() const;

  Loop& loop_;
  ClusterSteps& cluster_;
  std::string operation_;
  Say say_;
  Done done_;
  SharedProgram next_;
  Timer probation_;
  std::vector<std::uint16_t> slots_;          ///< whose workers are replaced
  std::size_t at_ = 0;                        ///< of slots_
  std::uint64_t successor_ = 0;               ///< generation of the one that has no seat yet; 0: none
  std::set<std::uint64_t> seated_;            ///< generations of successors
  std::map<std::uint64_t, Leaving> leaving_;  ///< by generation
  Sums sums_;
  TimePoint began_{};
  TimePoint slot_since_{};
  std::string waits_for_;
  bool over_ = false;
};

}  // namespace limpet::supervisor
