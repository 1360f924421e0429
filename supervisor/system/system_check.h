// What the system must give before a cluster can run on it: looked at before anything is opened, so that what
// is missing is told in words once, and not by every worker that dies of it.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <string>

namespace limpet::supervisor {

/// Limits on one process, as getrlimit(2) gives them; RLIM_INFINITY: none.
struct ProcessLimits {
  rlim_t file_bytes = RLIM_INFINITY;     ///< RLIMIT_FSIZE, also of shared memory
  rlim_t address_bytes = RLIM_INFINITY;  ///< RLIMIT_AS
};

[[nodiscard]] ProcessLimits process_limits();

/// Why so many slots, each with a ring of `ring_bytes`, cannot run under these limits; "": they can.
[[nodiscard]] std::string objection_to(const ProcessLimits& limits, std::uint64_t slots,
                                       std::uint64_t ring_bytes);

/// Throws std::runtime_error if /proc is not mounted.
void require_proc();
/// /proc and pidfd_open(2), which some containers and sandboxes do not have. Throws std::runtime_error in
/// words.
void require_kernel_interfaces();

}  // namespace limpet::supervisor
