#include "supervisor/cluster/process_status.h"

#include <fmt/format.h>

#include <fstream>

namespace limpet::supervisor {

ProcessStatus read_process_status(std::istream& text) {
  ProcessStatus status;
  for (std::string word; text >> word;) {
    if (word == "State:") text >> status.state;
    if (word == "TracerPid:") text >> status.tracer;
  }
  return status;
}

ProcessStatus process_status(pid_t pid) {
  std::ifstream text(fmt::format("/proc/{}/status", pid));
  return read_process_status(text);
}

std::string what_holds(const ProcessStatus& status) {
  if (status.tracer != 0) return fmt::format("process {} debugs it", status.tracer);
  if (status.state == 'D') return "it is in a system call that cannot be interrupted (state D)";
  if (status.state == 'Z') return "one of its threads has not ended";
  return fmt::format("its state is {}", status.state);
}

}  // namespace limpet::supervisor
