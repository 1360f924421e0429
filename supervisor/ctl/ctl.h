// `limpet ctl`: asks a running supervisor over its control socket, shows the answer, ends with the
// operation's exit code. Blocks. One table of verbs.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "ipc/messages/ctl.h"

namespace limpet::supervisor {

struct CtlCommand;

struct CtlVerb {
  std::string_view name;
  std::string_view help;
  bool has_json = false;
  bool has_now = false;
  bool has_count = false;
  bool waits = false;  ///< has --no-wait and --timeout
  ipc::CtlRequest (*request)(const CtlCommand&) = nullptr;
};

struct CtlCommand {
  const CtlVerb* verb = nullptr;
  std::string limpet;       ///< the command that hints name: StartPlace::command()
  std::string runtime_dir;  ///< empty: default_runtime_dir()
  bool json = false;
  bool now = false;
  std::uint16_t count = 0;
  bool no_wait = false;
  double timeout_s = 0;  ///< 0: none
};

[[nodiscard]] std::span<const CtlVerb> ctl_verbs();

/// 124 is what timeout(1) says.
enum CtlExit : int { kDone = 0, kRefused = 1, kNotRunning = 3, kTimedOut = 124 };

[[nodiscard]] int run_ctl(const CtlCommand& command);

}  // namespace limpet::supervisor
