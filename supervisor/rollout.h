// A reload: every slot's worker is replaced by one of the new program, one slot at a time. A successor is
// started, says that it is ready, takes the seat; then its predecessor drains. Done when every predecessor
// has left. A successor that ends before it is seated ends the rollout: it is withdrawn, the old workers go
// on, the old program is restored. Owns no worker. One at a time; gone as soon as it has called `done`.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "supervisor/cluster.h"

namespace limpet::supervisor {

class Rollout {
 public:
  using Say = std::function<void(const std::string& line)>;
  using Done = std::function<void(bool succeeded, const std::string& line)>;

  /// Neither callback is called before begin().
  Rollout(Loop& loop, Cluster& cluster, Say say, Done done);
  void begin(Program next);

  /// Cluster's callbacks, passed on. True: the worker is ours to seat.
  bool take_ready(Worker& worker);
  void take_gone(const Worker& worker, Cause cause, const std::string& obituary);

 private:
  void next_slot();
  void seat(Worker& successor);
  void withdraw_rivals();
  void fail(const std::string& why);
  void finish_if_all_left();

  Loop& loop_;
  Cluster& cluster_;
  Say say_;
  Done done_;
  Program before_;
  Timer probation_;
  std::uint16_t slot_ = 0;
  std::uint64_t successor_ = 0;      ///< generation; 0: none
  std::set<std::uint64_t> leaving_;  ///< generations of predecessors
  std::chrono::steady_clock::time_point slot_since_;
  bool over_ = false;
};

}  // namespace limpet::supervisor
