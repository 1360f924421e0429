#include "base/descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

namespace limpet::base {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (number_ >= 0) ::close(number_);
    number_ = std::exchange(other.number_, -1);
  }
  return *this;
}

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

Descriptor Descriptor::duplicate() const {
  return Descriptor(require(::fcntl(number_, F_DUPFD_CLOEXEC, 0), "duplicate a descriptor"));
}

void throw_system_error(std::string_view attempt, int error) {
  throw std::system_error(error, std::generic_category(), std::string(attempt));
}

}  // namespace limpet::base
