#include "ipc/check.h"

#include <cstdio>
#include <cstdlib>

namespace limpet::ipc {

void check_failed(const char* condition, std::string_view sentence, const char* file, int line) noexcept {
  std::fprintf(stderr, "check failed: %s: %.*s (%s:%d)\n", condition, static_cast<int>(sentence.size()),
               sentence.data(), file, line);
  std::abort();
}

}  // namespace limpet::ipc
