// Parts of a supervisor's state on their way through an upgrade (ipc/messages/supervisor_state.h): how they
// are written, how they come back, and whether they can.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "ipc/messages/supervisor_state.h"
#include "supervisor/cluster/causes.h"
#include "supervisor/cluster/lifecycle.h"
#include "supervisor/cluster/program.h"
#include "supervisor/options/options.h"

namespace limpet::supervisor {

/// A descriptor that was open across the exec; from now on close-on-exec. -1: none.
[[nodiscard]] base::Descriptor adopt(int number);
/// Every descriptor that the state names.
[[nodiscard]] std::vector<int> descriptors_of(const ipc::SupervisorState& state);

[[nodiscard]] std::optional<WorkerState> state_named(std::string_view name);
[[nodiscard]] std::optional<Cause> cause_named(std::string_view name);

[[nodiscard]] ipc::ProgramState save(const Program& program);
/// Only of a state without objection. The options of the cluster's program.
[[nodiscard]] Options restore_options(const ipc::ProgramState& state);
/// Takes the descriptors.
[[nodiscard]] std::vector<SharedProgram> restore_programs(const ipc::SupervisorState& state);

/// "" or why this build cannot go on with that state. Opens and closes nothing.
[[nodiscard]] std::string objection_to(const ipc::SupervisorState& state);

}  // namespace limpet::supervisor
