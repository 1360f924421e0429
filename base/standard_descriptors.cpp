#include "base/standard_descriptors.h"

#include <fcntl.h>
#include <unistd.h>

namespace limpet::base {

void fill_standard_descriptors() noexcept {
  for (int number = STDIN_FILENO; number <= STDERR_FILENO; ++number) {
    if (::fcntl(number, F_GETFD) != -1) continue;
    // The lowest free number, which is this one: those below it are open. Inherited by children, as it must
    // be.
    [[maybe_unused]] const int opened = ::open("/dev/null", O_RDONLY);
  }
}

}  // namespace limpet::base
