// Another number of workers, as an operation. Up: new slots get workers, then buckets and their sessions.
// Down: the buckets of the slots that close, and their sessions, go to the others; then their workers leave,
// and an heir serves what still arrives at their sockets. Sessions move between two slots over a stream; a
// pair is done when its giver says so. Owns no worker.
#pragma once

#include <map>
#include <string>

#include "supervisor/cluster/steps.h"
#include "supervisor/operations/operation.h"

namespace limpet::supervisor {

class Scaling final : public Operation {
 public:
  /// Neither callback is called before begin().
  Scaling(Loop& loop, ClusterSteps& cluster, std::uint16_t workers, Say say, Done done);
  /// "" or why it cannot be now.
  [[nodiscard]] std::string obstacle() const;
  void begin();

  void on_seated(const Worker& worker) override;
  void on_buckets_moved(const Worker& worker, const ipc::BucketsMoved& moved) override;
  void on_gone(const Worker& worker, Cause cause, const std::string& obituary) override;
  [[nodiscard]] bool has_changed_the_cluster() const noexcept override { return buckets_are_dealt_; }
  void abandon() override;

 private:
  void move_buckets();
  void close_what_is_empty();
  void finish_if_all_moved();
  void fail(const std::string& why);

  ClusterSteps& cluster_;
  Say say_;
  Done done_;
  Timer deadline_;
  const std::uint16_t before_;
  const std::uint16_t after_;
  std::map<SlotPair, bool> pairs_;  ///< not done yet; true: its giver was told, and its taker lives
  std::uint64_t moved_ = 0;
  std::uint64_t drained_ = 0;
  std::uint64_t lost_ = 0;
  std::chrono::steady_clock::time_point began_{};
  bool buckets_are_dealt_ = false;
  bool over_ = false;
};

}  // namespace limpet::supervisor
