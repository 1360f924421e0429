// The processes under measurement: a server's first process and all its descendants. Reads what they have
// cost. Owns nothing of them and never signals them. Reading fails (std::system_error) when one of them has
// ended: a figure without its share would be wrong.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <vector>

namespace limpet::bench {

class ServerTree {
 public:
  /// Finds the descendants of `root` that exist now.
  explicit ServerTree(pid_t root);

  /// CPU time, user and system, of all threads (also ended ones) of all processes since they started: the
  /// kernel's process clocks, exact to the nanosecond (clock ticks would be 10 ms).
  [[nodiscard]] std::chrono::nanoseconds cpu() const;
  /// Proportional set size of the tree: private pages in full, shared pages divided by their users.
  [[nodiscard]] std::uint64_t pss_bytes() const;
  [[nodiscard]] std::size_t size() const noexcept { return processes_.size(); }
  /// Whether the tree has the same processes as at construction; a worker that was replaced would hide its
  /// cost.
  [[nodiscard]] bool unchanged() const;

 private:
  std::vector<pid_t> processes_;
  std::vector<clockid_t> clocks_;
};

}  // namespace limpet::bench
