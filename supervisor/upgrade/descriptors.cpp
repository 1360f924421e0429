#include "supervisor/upgrade/descriptors.h"

#include <fcntl.h>
#include <fmt/format.h>

namespace limpet::supervisor {

std::vector<int> descriptors_of(const upgrade::SupervisorState& state) {
  std::vector<int> result = {state.lock, state.control_socket};
  result.insert(result.end(), state.clients.begin(), state.clients.end());
  for (const auto& each : state.programs)
    result.insert(result.end(), {each.image, each.settings, each.directory});
  for (const auto& each : state.listeners)
    result.insert(result.end(), each.sockets.begin(), each.sockets.end());
  for (const auto& each : state.slots)
    result.insert(result.end(), {each.inbox_receiving, each.inbox_sending});
  for (const auto& each : state.workers) {
    result.insert(result.end(), {each.pidfd, each.control, each.ring, each.reader_page, each.counters,
                                 each.doorbell, each.giver_end});
  }
  std::erase(result, -1);
  return result;
}

void keep_open(int descriptor) {
  base::require(::fcntl(descriptor, F_SETFD, 0), fmt::format("keep descriptor {} open", descriptor));
}

base::Descriptor adopt(int number) {
  if (number == -1) return {};
  base::require(::fcntl(number, F_SETFD, FD_CLOEXEC), fmt::format("adopt descriptor {}", number));
  return base::Descriptor(number);
}

}  // namespace limpet::supervisor
