// The supervisor's log: lines on stderr, `limpet[PID] info: subject: attempt: why; what happens next`. The
// one place that knows spdlog.
#pragma once

#include <string_view>

namespace limpet::supervisor {

enum class Level : unsigned char { Debug, Info, Warning, Error };

/// `least`: a word of option log_level.
void open_log(std::string_view least);

void log(Level level, std::string_view line);

}  // namespace limpet::supervisor
