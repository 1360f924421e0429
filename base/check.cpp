#include "base/check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "base/log.h"

namespace limpet::base {

void check_failed(const char* condition, std::string_view sentence, const char* file, int line) noexcept {
  // Whoever reads stderr must not keep this process from its end.
  base::say(STDERR_FILENO, fmt::format("check failed: {}: {} ({}:{})\n", condition, sentence, file, line));
  std::abort();
}

}  // namespace limpet::base
