#include "worker/http/file_tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file_time.h"

namespace limpet::http {
namespace {

/// O_NONBLOCK: opening a named pipe must not wait for who writes to it.
constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
/// A rename in the tree may make the kernel say EAGAIN; also EINTR from a network's file system.
constexpr int kAttempts = 4;

int openat2_beneath(int root, const char* path) noexcept {
  open_how how{};
  how.flags = kFlags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how));
}

/// EPERM for one file may be that file's; EPERM for the root itself is the system call's.
bool is_filtered(int root) noexcept {
  const loop::OpenFile itself(openat2_beneath(root, "."));
  return !itself && errno == EPERM;
}

FileState state_of(const struct stat& facts) noexcept {
  return {facts.st_dev, facts.st_ino, static_cast<std::uint64_t>(facts.st_size),
          base::nanoseconds(facts.st_mtim), base::nanoseconds(facts.st_ctim)};
}

Lookup::Result result_of(int error) noexcept {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV:
    case ENAMETOOLONG:
    case ENXIO:
    case ENODEV:
      return Lookup::Result::Nothing;
    case EACCES:
    case EPERM:
      return Lookup::Result::Forbidden;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
      return Lookup::Result::Exhausted;
    default:
      return Lookup::Result::Failed;
  }
}

Lookup failure(int error) { return {result_of(error), error, {}, {}}; }

bool is_bounded(const std::string& path) noexcept {
  return path.size() <= FileTree::kMaxPathBytes &&
         static_cast<std::size_t>(std::count(path.begin(), path.end(), '/')) < FileTree::kMaxPathParts;
}

}  // namespace

bool read_state(const loop::OpenFile& file, FileState& state) noexcept {
  struct stat facts {};
  if (::fstat(file.descriptor(), &facts) != 0) return false;
  state = state_of(facts);
  return true;
}

Lookup FileTree::open(const std::string& path, loop::TimePoint now) {
  if (!is_bounded(path)) return failure(ENAMETOOLONG);
  reopen_root(now);
  if (!root_) return failure(root_error_);
  loop::OpenFile file(open_below(path.empty() ? "." : path));
  if (!file) return failure(errno);
  struct stat facts {};
  if (::fstat(file.descriptor(), &facts) != 0) return failure(errno);
  if (S_ISDIR(facts.st_mode)) return {Lookup::Result::Directory, 0, {}, {}};
  if (!S_ISREG(facts.st_mode)) return failure(ENXIO);
  return {Lookup::Result::File, 0, std::move(file), state_of(facts)};
}

void FileTree::reopen_root(loop::TimePoint now) {
  if (reopened_at_ != loop::TimePoint::min() && now - reopened_at_ < kReopened) return;
  reopened_at_ = now;
  loop::OpenFile root(::open(root_path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  root_error_ = root ? 0 : errno;
  // For want of a descriptor nobody need lose sight of the directory that is open.
  if (root || result_of(root_error_) != Lookup::Result::Exhausted) root_ = std::move(root);
}

int FileTree::open_below(const std::string& path) {
  for (int attempt = 0; has_openat2_ && attempt < kAttempts; ++attempt) {
    const int file = openat2_beneath(root_.descriptor(), path.c_str());
    if (file >= 0) return file;
    const int error = errno;
    if (error == ENOSYS || (error == EPERM && is_filtered(root_.descriptor()))) has_openat2_ = false;
    errno = error;
    if (has_openat2_ && error != EAGAIN && error != EINTR) return -1;
  }
  return has_openat2_ ? -1 : walk(path);
}

int FileTree::walk(const std::string& path) const {
  loop::OpenFile directory;
  std::size_t begin = 0;
  for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', begin)) {
    const std::string part = path.substr(begin, slash - begin);
    const int parent = directory ? directory.descriptor() : root_.descriptor();
    loop::OpenFile next(::openat(parent, part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return -1;
    directory = std::move(next);
    begin = slash + 1;
  }
  const int parent = directory ? directory.descriptor() : root_.descriptor();
  return ::openat(parent, path.c_str() + begin, kFlags | O_NOFOLLOW);
}

}  // namespace limpet::http
