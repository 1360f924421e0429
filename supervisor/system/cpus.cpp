#include "supervisor/system/cpus.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/cgroup.h"

namespace limpet::supervisor {
namespace {

std::vector<std::string> words_of(const std::string& file) {
  std::ifstream stream(file);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

double ratio(const std::string& quota, const std::string& period) {
  const double allowed = std::atof(quota.c_str());
  const double of = std::atof(period.c_str());
  return allowed > 0 && of > 0 ? allowed / of : 0;  // "max", -1: none
}

/// v2: cpu.max "200000 100000"; v1: two files.
double quota_of(const std::string& folder) {
  const auto both = words_of(folder + "/cpu.max");
  if (both.size() == 2) return ratio(both[0], both[1]);
  const auto quota = words_of(folder + "/cpu.cfs_quota_us");
  const auto period = words_of(folder + "/cpu.cfs_period_us");
  return quota.size() == 1 && period.size() == 1 ? ratio(quota[0], period[0]) : 0;
}

}  // namespace

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> result;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return result;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) result.push_back(static_cast<int>(cpu));
  }
  return result;
}

unsigned quota_cpus(const std::string& root) {
  double least = 0;
  for (const std::string& folder : base::cgroup_folders("cpu", root)) {
    const double here = quota_of(folder);
    if (here > 0 && (least == 0 || here < least)) least = here;
  }
  return static_cast<unsigned>(std::ceil(least - 1e-9));
}

unsigned granted_cpus() {
  const auto allowed = std::max<unsigned>(1, static_cast<unsigned>(allowed_cpus().size()));
  const unsigned paid = quota_cpus();
  return paid == 0 ? allowed : std::min(allowed, paid);
}

}  // namespace limpet::supervisor
