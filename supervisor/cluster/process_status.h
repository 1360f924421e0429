// What /proc says of a process: why one may still be there that was sent SIGKILL. A value.
#pragma once

#include <sys/types.h>

#include <istream>
#include <string>

namespace limpet::supervisor {

struct ProcessStatus {
  char state = '?';  ///< as proc_pid_status(5) has it: R, S, D, T, t, Z; '?': not known
  pid_t tracer = 0;  ///< who debugs it; 0: nobody
};

[[nodiscard]] ProcessStatus process_status(pid_t pid);
/// Of the text of /proc/PID/status.
[[nodiscard]] ProcessStatus read_process_status(std::istream& text);

/// "process 12 debugs it"
[[nodiscard]] std::string what_holds(const ProcessStatus& status);

}  // namespace limpet::supervisor
