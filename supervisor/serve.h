// `limpet serve`: from a command line to a running supervisor. What cannot start is told in one line on
// stderr, exit code 1; a mistake in options or file: each in its line, exit code 1; usage is the command
// line's (2).
#pragma once

#include "supervisor/options/options.h"

namespace limpet::supervisor {

/// Returns the exit code. Also what an upgrade calls in the new image, first as a trial. Blocks until the
/// cluster has stopped.
[[nodiscard]] int run_serve(const CommandLine& command_line);

}  // namespace limpet::supervisor
