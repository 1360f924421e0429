// What becomes of a worker's message in which state: pure. A worker is not trusted: for what comes at the
// wrong time it is killed, or the message is ignored where a correct worker can cross one of ours. The rows,
// each with its message's name and who takes it, are in control_messages.cpp.
#pragma once

#include <array>
#include <cstdint>

#include "supervisor/cluster/lifecycle.h"

namespace limpet::supervisor {

enum class Rule : std::uint8_t {
  Allowed,
  Ignored,  ///< crossed something of ours on its way
  Drop,     ///< no correct worker says it now: kill it, and say so
};

/// Of one message, by the state of the worker that sends it; none has a default.
struct RulesByState {
  Rule spawned;
  Rule attaching;
  Rule ready;
  Rule serving;
  Rule draining;
  Rule stopping;
  Rule dead;  ///< found in the channel after the death

  [[nodiscard]] constexpr Rule in(WorkerState state) const {
    switch (state) {
      case WorkerState::Spawned:
        return spawned;
      case WorkerState::Attaching:
        return attaching;
      case WorkerState::Ready:
        return ready;
      case WorkerState::Serving:
        return serving;
      case WorkerState::Draining:
        return draining;
      case WorkerState::Stopping:
        return stopping;
      case WorkerState::Dead:
      case WorkerState::kCount:
        break;
    }
    return dead;
  }
};

// Those that a start depends on: a worker says each once, in this order, and then never again.
inline constexpr RulesByState kHelloRules = {Rule::Allowed, Rule::Drop,    Rule::Drop,   Rule::Drop,
                                             Rule::Drop,    Rule::Ignored, Rule::Ignored};
inline constexpr RulesByState kReadyRules = {Rule::Drop, Rule::Allowed, Rule::Drop,   Rule::Drop,
                                             Rule::Drop, Rule::Ignored, Rule::Ignored};

}  // namespace limpet::supervisor
