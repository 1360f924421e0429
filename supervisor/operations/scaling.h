// Another number of workers, as an operation. Up: new slots get workers, then buckets and their sessions.
// Down: the buckets of the slots that close, and their sessions, go to the others; then their workers leave,
// and an heir serves what still arrives at their sockets. Sessions move between two slots over a stream; a
// pair is done when its giver says so. Owns no worker. One at a time; gone as soon as it has called `done`.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "supervisor/cluster/cluster.h"

namespace limpet::supervisor {

class Scaling {
 public:
  using Say = std::function<void(const std::string& line)>;
  using Done = std::function<void(bool succeeded, const std::string& line)>;

  /// Neither callback is called before begin().
  Scaling(Loop& loop, Cluster& cluster, std::uint16_t workers, Say say, Done done);
  /// "" or why it cannot be now.
  [[nodiscard]] std::string obstacle() const;
  void begin();
  /// Everything stops.
  void abandon();

  /// Cluster's callbacks, passed on.
  void take_seated(const Worker& worker);
  void take_moved(const Worker& worker, const ipc::BucketsMoved& moved);
  void take_gone(const Worker& worker, Cause cause, const std::string& obituary);

 private:
  /// From one slot to another.
  using Pair = std::pair<std::uint16_t, std::uint16_t>;

  void move_buckets();
  void close_what_is_empty();
  void finish_if_all_moved();
  void fail(const std::string& why);

  Cluster& cluster_;
  Say say_;
  Done done_;
  Timer deadline_;
  const std::uint16_t before_;
  const std::uint16_t after_;
  std::map<Pair, bool> pairs_;  ///< not done yet; true: its giver was told, and its taker lives
  std::uint64_t moved_ = 0;
  std::uint64_t drained_ = 0;
  std::uint64_t lost_ = 0;
  std::chrono::steady_clock::time_point began_{};
  bool buckets_are_dealt_ = false;
  bool over_ = false;
};

}  // namespace limpet::supervisor
