// The command line: `limpet serve`, `limpet ctl`, --help of both, made with CLI11 from the option table and
// the table of verbs. Parses; does nothing.
#pragma once

#include <string>
#include <variant>

#include "supervisor/ctl/ctl.h"
#include "supervisor/options/options.h"

namespace limpet::supervisor {

/// Parsing ended the program: --help, --version, or a mistake that has been told.
struct ExitNow {
  int code = 0;
};

using Command = std::variant<CommandLine, CtlCommand, ExitNow>;

/// `limpet`: the command that hints name, StartPlace::command().
[[nodiscard]] Command parse_command_line(int count, char** words, const std::string& limpet);

}  // namespace limpet::supervisor
