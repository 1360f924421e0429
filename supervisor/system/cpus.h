// The CPUs that this process is really granted: those of its affinity, as far as the cgroup's quota pays for
// them.
#pragma once

#include <string>
#include <vector>

namespace limpet::supervisor {

/// Numbers of the CPUs in our affinity mask.
[[nodiscard]] std::vector<int> allowed_cpus();

/// CPUs that the quotas of our cgroup (v1 or v2) and of those above it grant, rounded up; 0: no quota.
/// `root`: "" but in tests.
[[nodiscard]] unsigned quota_cpus(const std::string& root = "");

/// What `--workers auto` means: at least 1.
[[nodiscard]] unsigned granted_cpus();

}  // namespace limpet::supervisor
