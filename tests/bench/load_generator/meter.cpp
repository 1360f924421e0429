#include "tests/bench/load_generator/meter.h"

namespace limpet::bench {

Meter::Meter(const ServerTree& tree, const PhaseLengths& lengths)
    : tree_(tree), lengths_(lengths), cpu_at_start_(tree.cpu()), started_(Clock::now()) {}

bool Meter::goes_on(std::uint64_t units_so_far) {
  const auto cpu = tree_.cpu();
  if (!counting_) {
    if (cpu - cpu_at_start_ >= lengths_.warm_up) start_counting(units_so_far, cpu);
    return true;
  }
  figure_ = {units_so_far - units_at_start_, cpu - cpu_at_start_, Clock::now() - started_};
  return figure_.cpu < lengths_.counted;
}

void Meter::start_counting(std::uint64_t units, std::chrono::nanoseconds cpu) {
  counting_ = true;
  units_at_start_ = units;
  cpu_at_start_ = cpu;
  started_ = Clock::now();
}

}  // namespace limpet::bench
