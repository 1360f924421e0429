// The umask(2) that files are made with, whatever the process was started with.
#pragma once

#include <sys/stat.h>

namespace limpet::base {

/// While it lives, this one.
class Umask {
 public:
  explicit Umask(mode_t mask) noexcept : before_(::umask(mask)) {}
  ~Umask() { ::umask(before_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t before_;
};

}  // namespace limpet::base
