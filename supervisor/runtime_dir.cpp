#include "supervisor/runtime_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace limpet::supervisor {
namespace {

constexpr std::size_t kLongestPath = sizeof(sockaddr_un::sun_path) - 1;

std::string lock_path(const std::string& runtime_dir) { return runtime_dir + "/lock"; }

void create_private(const std::string& path) {
  std::error_code error;
  const auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (::mkdir(path.c_str(), 0700) == -1 && errno != EEXIST)
    ipc::throw_system_error("create runtime directory " + path);
}

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

ipc::Descriptor take_lock(const std::string& runtime_dir) {
  const std::string path = lock_path(runtime_dir);
  for (;;) {
    ipc::Descriptor lock(
        ipc::require(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), "open " + path));
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      throw std::runtime_error(
          fmt::format("runtime directory {0}: supervisor {1} runs here; `limpet ctl --runtime-dir {0} stop` "
                      "stops it, another --runtime-dir avoids it",
                      runtime_dir, holder_of(lock)));
    }
    if (!is_still_there(lock, path)) continue;
    const std::string pid = std::to_string(::getpid());
    ipc::require(::ftruncate(lock.get(), 0), "truncate " + path);
    ipc::require(static_cast<int>(::pwrite(lock.get(), pid.data(), pid.size(), 0)), "write " + path);
    return lock;
  }
}

}  // namespace

std::string default_runtime_dir() {
  if (::geteuid() == 0) return "/run/limpet";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime == '/') return fmt::format("{}/limpet", runtime);
  return fmt::format("/tmp/limpet-{}", ::geteuid());
}

std::string control_path(const std::string& runtime_dir) { return runtime_dir + "/control"; }

RuntimeDir::RuntimeDir(std::string path) : path_(std::move(path)) {
  if (control_path(path_).size() > kLongestPath) {
    throw std::runtime_error(fmt::format(
        "runtime directory {}: its path is too long for a Unix socket ({} bytes with /control, {} at most)",
        path_, control_path(path_).size(), kLongestPath));
  }
  create_private(path_);
  lock_ = take_lock(path_);
  was_left_in_haste_ = ::access(control_path(path_).c_str(), F_OK) == 0;
}

RuntimeDir::~RuntimeDir() { ::unlink(lock_path(path_).c_str()); }

}  // namespace limpet::supervisor
