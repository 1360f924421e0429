#include "supervisor/system/descriptor_needs.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/descriptor_limit.h"
#include "ipc/birth/heritage.h"

namespace limpet::supervisor {
namespace {

/// 0 to 2, the loop's own, lock, control socket with 32 clients, two programs, a trial of an upgrade.
constexpr std::uint64_t kOfSupervisor = 64;
/// Of a cluster's worker: control channel, pidfd, four memories and doorbell, a migration stream.
constexpr std::uint64_t kOfEachWorker = 8;
/// A slot has two workers during a reload, and its inbox has two ends.
constexpr std::uint64_t kOfEachSlot = 2 * kOfEachWorker + 2;
/// The loop's own, three memories, doorbell, streams of a reload, and some of the application.
constexpr std::uint64_t kOfWorker = 48;
/// A limit that leaves no room for them is a mistake.
constexpr std::uint64_t kFewClients = 32;

}  // namespace

DescriptorNeeds descriptor_needs(std::uint64_t listeners, std::uint64_t capacity) {
  const std::uint64_t heritage = ipc::kFirstListener + listeners + capacity;
  DescriptorNeeds needs;
  // While a worker is born, its heritage is there once more.
  needs.supervisor = kOfSupervisor + capacity * (listeners + kOfEachSlot) + heritage;
  // A doorbell of each other worker, two in each slot.
  needs.worker = kOfWorker + heritage + 2 * capacity + base::kReservedDescriptors;
  return needs;
}

std::string descriptor_shortage(const DescriptorNeeds& needs, std::uint64_t limit) {
  const std::uint64_t enough = std::max(needs.supervisor, needs.worker + kFewClients);
  if (limit >= enough) return "";
  return fmt::format(
      "descriptors: the limit of {} is too low: the supervisor needs {}, and each worker {} beside one "
      "for each client; raise the hard limit to {} at least (ulimit -Hn, LimitNOFILE=), or lower "
      "max_workers",
      limit, needs.supervisor, needs.worker, enough);
}

std::uint64_t clients_of_worker(const DescriptorNeeds& needs, std::uint64_t limit,
                                std::uint64_t connections) {
  return std::min(connections, limit - std::min(limit, needs.worker));
}

}  // namespace limpet::supervisor
