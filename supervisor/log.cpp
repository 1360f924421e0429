#include "supervisor/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <string>

namespace limpet::supervisor {

void open_log(std::string_view least) {
  static const auto logger = spdlog::stderr_logger_st("limpet");
  logger->set_pattern("%n[%P] %l: %v");
  logger->set_level(spdlog::level::from_str(std::string(least)));
  spdlog::set_default_logger(logger);
}

void log(Level level, std::string_view line) {
  constexpr std::array kLevels = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                  spdlog::level::err};
  spdlog::default_logger_raw()->log(kLevels[static_cast<std::size_t>(level)],
                                    spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace limpet::supervisor
