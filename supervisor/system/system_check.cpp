#include "supervisor/system/system_check.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/descriptor.h"
#include "ipc/ring/layout.h"

namespace limpet::supervisor {
namespace {

/// Program, libraries, stacks and a heap with few clients.
constexpr std::uint64_t kOfWorker = std::uint64_t{64} << 20;

rlim_t soft_limit(__rlimit_resource resource) {
  rlimit limit = {};
  return ::getrlimit(resource, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

}  // namespace

ProcessLimits process_limits() { return {soft_limit(RLIMIT_FSIZE), soft_limit(RLIMIT_AS)}; }

std::string objection_to(const ProcessLimits& limits, std::uint64_t slots, std::uint64_t ring_bytes) {
  const std::uint64_t ring_file = ipc::kRingHeaderBytes + ring_bytes;
  if (limits.file_bytes < ring_file) {
    return fmt::format(
        "the limit on the size of files (ulimit -f, LimitFSIZE=) is {} bytes, and a ring has {}: "
        "raise it, or lower ring.capacity",
        limits.file_bytes, ring_file);
  }
  // A ring's data are mapped twice, and during a reload each slot has two.
  const std::uint64_t of_worker = kOfWorker + 2 * slots * (ring_file + ring_bytes);
  if (limits.address_bytes < of_worker) {
    return fmt::format(
        "the limit on addresses (ulimit -v, LimitAS=) is {} bytes, and a worker beside {} others needs "
        "{} at least: raise it, or lower ring.capacity or workers",
        limits.address_bytes, slots - 1, of_worker);
  }
  return "";
}

void require_proc() {
  if (::access("/proc/self/exe", F_OK) != 0)
    throw std::runtime_error("/proc is not mounted, and limpet needs it");
}

void require_kernel_interfaces() {
  require_proc();
  const base::Descriptor self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!self) {
    throw std::runtime_error(fmt::format(
        "pidfd_open: {}: limpet needs this call (Linux 5.3), and a seccomp profile may be what forbids it",
        std::strerror(errno)));
  }
}

}  // namespace limpet::supervisor
