#include "supervisor/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace limpet::supervisor {
namespace {

std::string holder_of(const ipc::Descriptor& lock) {
  char pid[32] = {};
  const ssize_t got = ::pread(lock.get(), pid, sizeof pid - 1, 0);
  return got > 0 ? std::string(pid, static_cast<std::size_t>(got)) : "unknown";
}

/// A lock that its holder removed after we opened it locks nothing.
bool is_still_there(const ipc::Descriptor& lock, const std::string& path) {
  struct stat opened = {};
  struct stat named = {};
  return ::fstat(lock.get(), &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

}  // namespace

std::optional<ipc::Descriptor> take_lock_file(const std::string& path, std::string* holder) {
  for (;;) {
    ipc::Descriptor lock(
        ipc::require(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), "open " + path));
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      *holder = holder_of(lock);
      return std::nullopt;
    }
    if (!is_still_there(lock, path)) continue;
    const std::string pid = std::to_string(::getpid());
    ipc::require(::ftruncate(lock.get(), 0), "truncate " + path);
    ipc::require(static_cast<int>(::pwrite(lock.get(), pid.data(), pid.size(), 0)), "write " + path);
    return lock;
  }
}

}  // namespace limpet::supervisor
