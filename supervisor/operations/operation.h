// What an operator asks for and what takes time: a rollout, a scaling. It hears of what happens to workers
// meanwhile, says how far it is, and calls `done` once. One at a time; gone soon after that.
#pragma once

#include <functional>
#include <string>

#include "supervisor/cluster/worker.h"

namespace limpet::supervisor {

class Operation {
 public:
  using Say = std::function<void(const std::string& line)>;
  using Done = std::function<void(bool succeeded, const std::string& line)>;

  Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  virtual ~Operation() = default;

  /// A worker has said that it is ready. True: it is the operation's to seat.
  virtual bool on_ready(Worker&) { return false; }
  virtual void on_seated(const Worker&) {}
  /// Of one that leaves.
  virtual void on_progress(const Worker&) {}
  virtual void on_moved(const Worker&, const ipc::BucketsMoved&) {}
  virtual void on_gone(const Worker& worker, Cause cause, const std::string& obituary) = 0;
  /// Some worker has been seated, or buckets have been dealt, because of it.
  [[nodiscard]] virtual bool has_changed_the_cluster() const noexcept = 0;
  /// Everything stops: nobody else is started, and it has failed.
  virtual void abandon() = 0;
};

}  // namespace limpet::supervisor
