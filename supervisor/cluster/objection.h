// Whether this build can go on with what the image before an upgrade has left. Pure.
#pragma once

#include <string>

#include "supervisor/upgrade/state.h"

namespace limpet::supervisor {

/// "" or why it cannot. Opens and closes nothing.
[[nodiscard]] std::string objection_to(const upgrade::SupervisorState& state);

}  // namespace limpet::supervisor
