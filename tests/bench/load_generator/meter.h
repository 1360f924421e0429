// One counted phase: warm up, then count units until the server's tree has used a given CPU time. Owns the
// state of the phase only. Time on the wall never ends a phase, so a slow server is measured as exactly as a
// fast one.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tests/bench/load_generator/server_tree.h"

namespace limpet::bench {

struct PhaseLengths {
  std::chrono::nanoseconds warm_up;  ///< server CPU time before counting
  std::chrono::nanoseconds counted;  ///< server CPU time to count over, at least
};

struct Figure {
  std::uint64_t units = 0;
  std::chrono::nanoseconds cpu{0};
  std::chrono::nanoseconds wall{0};
};

class Meter {
 public:
  Meter(const ServerTree& tree, const PhaseLengths& lengths);

  /// Tells how many units are done so far, uncounted ones included. Returns false once the phase is over.
  [[nodiscard]] bool goes_on(std::uint64_t units_so_far);
  [[nodiscard]] const Figure& figure() const noexcept { return figure_; }

 private:
  using Clock = std::chrono::steady_clock;
  void start_counting(std::uint64_t units, std::chrono::nanoseconds cpu);

  const ServerTree& tree_;
  PhaseLengths lengths_;
  bool counting_ = false;
  std::chrono::nanoseconds cpu_at_start_;
  std::uint64_t units_at_start_ = 0;
  Clock::time_point started_;
  Figure figure_;
};

}  // namespace limpet::bench
