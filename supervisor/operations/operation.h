// What an operator asks for and what takes time: a rollout, a scaling. It hears of what happens to workers
// meanwhile (as far as it cares), says how far it is, and calls `done` once. One at a time; gone soon after
// that.
#pragma once

#include <functional>
#include <string>

#include "supervisor/cluster/events.h"

namespace limpet::supervisor {

class Operation : public WorkerEvents {
 public:
  using Say = std::function<void(const std::string& line)>;
  using Done = std::function<void(bool succeeded, const std::string& line)>;

  Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  bool on_ready(Worker&) override { return false; }
  void on_seated(const Worker&) override {}
  void on_progress(const Worker&) override {}
  void on_buckets_moved(const Worker&, const ipc::BucketsMoved&) override {}
  /// Some worker has been seated, or buckets have been dealt, because of it.
  [[nodiscard]] virtual bool has_changed_the_cluster() const noexcept = 0;
  /// Everything stops: nobody else is started, and it has failed.
  virtual void abandon() = 0;
};

}  // namespace limpet::supervisor
