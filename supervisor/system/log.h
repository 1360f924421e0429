// The supervisor's log (base/log.h): `limpet[PID] info: subject: attempt: why; what happens next`.
#pragma once

#include <string>
#include <string_view>

#include "base/log.h"

namespace limpet::supervisor {

using base::log;
using base::log_at_most;
using Level = base::LogLevel;

/// `least`: a word of option log_level.
void open_log(std::string_view least);

/// Several lines as one, for the log.
[[nodiscard]] std::string in_one_line(std::string text);

}  // namespace limpet::supervisor
