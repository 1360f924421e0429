#include "worker/loop/open_file.h"

#include <unistd.h>

namespace limpet::loop {

OpenFile::~OpenFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace limpet::loop
