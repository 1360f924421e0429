#include "supervisor/system/lock_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>
#include <utility>

#include "base/file_id.h"
#include "base/umask.h"

namespace limpet::supervisor {
namespace {

std::string holder_of(const base::Descriptor& lock) {
  char pid[32] = {};
  const ssize_t got = ::pread(lock.get(), pid, sizeof pid - 1, 0);
  return got > 0 ? std::string(pid, static_cast<std::size_t>(got)) : "unknown";
}

/// In a directory where others may write, this may be a trap: a link to a file that is dear to us.
void check_is_ours(const base::Descriptor& lock, const std::string& path) {
  struct stat status = {};
  base::require(::fstat(lock.get(), &status), "open " + path);
  const bool is_of_stranger = status.st_uid != ::geteuid() && ::geteuid() != 0;
  if (!S_ISREG(status.st_mode) || status.st_nlink > 1 || is_of_stranger)
    throw std::runtime_error(
        fmt::format("{}: is no lock file of ours (no plain file, or with a second name, or another user's); "
                    "nothing was written to it",
                    path));
}

base::Descriptor open_lock(int directory, const std::string& name, const std::string& path) {
  const base::Umask umask(0077);
  // O_NONBLOCK: a FIFO that lies there must not hold us up.
  const int opened =
      ::openat(directory, name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  if (opened == -1 && errno == ELOOP)
    throw std::runtime_error(fmt::format("{}: is a symlink; remove it", path));
  return base::Descriptor(base::require(opened, "open " + path));
}

}  // namespace

LockFile::LockFile(int directory, std::string name, base::Descriptor held)
    : directory_(directory), name_(std::move(name)), held_(std::move(held)) {}

std::optional<LockFile> LockFile::take(int directory, const std::string& name, const std::string& path,
                                       std::string* holder) {
  for (;;) {
    base::Descriptor lock = open_lock(directory, name, path);
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      *holder = holder_of(lock);
      return std::nullopt;
    }
    // A lock that its holder removed after we opened it locks nothing.
    if (base::file_of(lock) != base::file_at(directory, name)) continue;
    check_is_ours(lock, path);
    const std::string pid = std::to_string(::getpid());
    base::require(::ftruncate(lock.get(), 0), "truncate " + path);
    base::require(static_cast<int>(::pwrite(lock.get(), pid.data(), pid.size(), 0)), "write " + path);
    return LockFile(directory, name, std::move(lock));
  }
}

LockFile& LockFile::operator=(LockFile&& other) noexcept {
  if (this == &other) return *this;
  release();
  directory_ = other.directory_;
  name_ = std::move(other.name_);
  held_ = std::move(other.held_);
  return *this;
}

LockFile::~LockFile() { release(); }

bool LockFile::is_in_place() const {
  const auto held = base::file_of(held_);
  return held && base::file_at(directory_, name_) == held;
}

void LockFile::release() noexcept {
  if (!held_) return;
  base::remove_own(directory_, name_, base::file_of(held_));
  held_ = {};
}

}  // namespace limpet::supervisor
