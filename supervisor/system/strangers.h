// Children that we have not started: what a shell had started before it executed us, and, as process 1 of a
// container, whoever has lost its parent. Their status is taken, or each of them would stay in the table of
// processes for ever.
#pragma once

#include <sys/types.h>

#include <functional>

#include "supervisor/system/loop.h"

namespace limpet::supervisor {

class Strangers {
 public:
  /// `is_ours`: a child whose own status somebody takes (ipc::Child).
  Strangers(Loop& loop, std::function<bool(pid_t)> is_ours);
  /// Whenever a child may have ended, and after one of ours was taken: the kernel names one at a time, and a
  /// stranger may stand behind it.
  void look();

 private:
  std::function<bool(pid_t)> is_ours_;
  Timer again_;
};

}  // namespace limpet::supervisor
