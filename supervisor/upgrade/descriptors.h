// Descriptors on their way through an upgrade: in the state they are numbers, and stay open across the exec.
#pragma once

#include <vector>

#include "base/descriptor.h"
#include "supervisor/upgrade/state.h"

namespace limpet::supervisor {

/// Every descriptor that the state names.
[[nodiscard]] std::vector<int> descriptors_of(const upgrade::SupervisorState& state);
/// For the next image. Throws std::system_error.
void keep_open(int descriptor);
/// A descriptor that was open across the exec; from now on close-on-exec. -1: none. Throws std::system_error.
[[nodiscard]] base::Descriptor adopt(int number);

}  // namespace limpet::supervisor
