// Programs on their way through an upgrade: how they are written into its state, how they come back, and
// whether they can.
#pragma once

#include <string>
#include <vector>

#include "supervisor/cluster/program.h"
#include "supervisor/options/options.h"
#include "supervisor/upgrade/state.h"

namespace limpet::supervisor {

[[nodiscard]] upgrade::ProgramState save(const Program& program);
/// "" or why this build cannot go on with it. Opens and closes nothing.
[[nodiscard]] std::string objection_to(const upgrade::ProgramState& program);
/// Only of a state without objection. The options of the cluster's program.
[[nodiscard]] Options restore_options(const upgrade::ProgramState& state);
/// Takes the descriptors.
[[nodiscard]] std::vector<SharedProgram> restore_programs(const upgrade::SupervisorState& state);

}  // namespace limpet::supervisor
