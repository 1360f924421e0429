#include "supervisor/system/runtime_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "base/umask.h"
#include "supervisor/system/socket_file.h"
#include "supervisor/system/start_place.h"

namespace limpet::supervisor {
namespace {

constexpr const char* kLock = "lock";
constexpr const char* kControl = "control";
constexpr mode_t kWritableByAll = 0002;
constexpr mode_t kWritableByGroup = 0020;

void create_private(const std::string& path) {
  std::error_code error;
  const auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  const base::Umask umask(0077);
  if (::mkdir(path.c_str(), 0700) == -1 && errno != EEXIST)
    base::throw_system_error("create runtime directory " + path);
}

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw std::runtime_error(
      fmt::format("runtime directory {}: {}; remove it, or name another with --runtime-dir", path, why));
}

/// Without O_DIRECTORY, to tell a symlink from what is no directory.
base::Descriptor open_as(const std::string& path, RuntimeDirTrust trust) {
  const int follow = trust == RuntimeDirTrust::Operator ? 0 : O_NOFOLLOW;
  return base::Descriptor(::open(path.c_str(), O_PATH | O_CLOEXEC | follow));
}

std::string objection_to(const base::Descriptor& directory, RuntimeDirTrust trust) {
  struct stat found = {};
  if (::fstat(directory.get(), &found) != 0) return std::strerror(errno);
  return objection_to(found, trust, ::geteuid(), ::getegid());
}

}  // namespace

std::string default_runtime_dir() {
  if (::geteuid() == 0) return "/run/limpet";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime == '/') return fmt::format("{}/limpet", runtime);
  return fmt::format("/tmp/limpet-{}", ::geteuid());
}

std::string ctl_command(const std::string& limpet, const std::string& runtime_dir) {
  return runtime_dir == default_runtime_dir()
             ? fmt::format("{} ctl", limpet)
             : fmt::format("{} ctl --runtime-dir {}", limpet, shell_word(runtime_dir));
}

RuntimeDirTrust trust_of(const std::string& named) {
  if (!named.empty()) return RuntimeDirTrust::Operator;
  return ::geteuid() == 0 ? RuntimeDirTrust::NoLink : RuntimeDirTrust::Private;
}

std::string objection_to(const struct stat& found, RuntimeDirTrust trust, uid_t user, gid_t group) {
  if (S_ISLNK(found.st_mode)) return "is a symlink";
  if (!S_ISDIR(found.st_mode)) return "is no directory";
  const bool is_private = trust == RuntimeDirTrust::Private;
  if (found.st_uid != user && (is_private || found.st_uid != 0))
    return fmt::format("belongs to user {}, this is user {}", found.st_uid, user);
  if (is_private && (found.st_mode & 0077) != 0)
    return fmt::format("is open to others (mode {:04o}; 0700 is right)", found.st_mode & 07777);
  // A group of our own is what umask 002 is for.
  const mode_t forbidden = kWritableByAll | (found.st_gid == group ? 0 : kWritableByGroup);
  if ((found.st_mode & forbidden) != 0)
    return fmt::format("others may write there (mode {:04o}, group {})", found.st_mode & 07777, found.st_gid);
  return "";
}

base::Descriptor open_to_ask(const std::string& path, RuntimeDirTrust trust) {
  base::Descriptor directory = open_as(path, trust);
  // Root asks a supervisor of anybody whose directory it names.
  if (!directory || trust == RuntimeDirTrust::Operator) return directory;
  if (const std::string why = objection_to(directory, trust); !why.empty()) refuse(path, why);
  return directory;
}

std::string control_path(const base::Descriptor& directory) {
  return fmt::format("/proc/self/fd/{}/{}", directory.get(), kControl);
}

RuntimeDir::RuntimeDir(std::string path, RuntimeDirTrust trust, std::string limpet)
    : path_(std::move(path)), trust_(trust), limpet_(std::move(limpet)) {
  directory_ = open_directory();
  lock_ = lock_in(directory_);
  previous_was_killed_ = base::file_at(directory_.get(), kControl).has_value();
}

RuntimeDir::RuntimeDir(std::string path, RuntimeDirTrust trust, std::string limpet, base::Descriptor lock)
    : path_(std::move(path)),
      trust_(trust),
      limpet_(std::move(limpet)),
      directory_(open_as(path_, trust)),
      lock_(directory_.get(), kLock, std::move(lock)) {
  // Under our lock nobody else has made one.
  if (lock_.is_in_place()) control_ = base::file_at(directory_.get(), kControl);
}

// The lock goes last, as a member: whoever finds none may start.
RuntimeDir::~RuntimeDir() { base::remove_own(directory_.get(), kControl, control_); }

base::Descriptor RuntimeDir::open_directory() const {
  create_private(path_);
  base::Descriptor directory = open_as(path_, trust_);
  if (!directory) base::throw_system_error("open runtime directory " + path_);
  if (const std::string why = objection_to(directory, trust_); !why.empty()) refuse(path_, why);
  return directory;
}

LockFile RuntimeDir::lock_in(const base::Descriptor& directory) const {
  std::string holder;
  auto lock = LockFile::take(directory.get(), kLock, path_ + "/" + kLock, &holder);
  if (lock) return *std::move(lock);
  throw std::runtime_error(
      fmt::format("runtime directory {}: supervisor {} runs here; `{} stop` stops it, another --runtime-dir "
                  "avoids it",
                  path_, holder, ctl_command(limpet_, path_)));
}

base::Descriptor RuntimeDir::listen_for_control() {
  const std::string name = path_ + "/" + kControl;
  remove_stale_socket(directory_.get(), kControl, "control socket in " + path_);
  base::Descriptor socket(
      base::require(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "control socket"));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = control_path(directory_);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  bind_with_mode(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address, 0600,
                 "bind control socket " + name);
  control_ = base::file_at(directory_.get(), kControl);
  base::require(::listen(socket.get(), 64), "listen on control socket " + name);
  return socket;
}

RuntimeDir::Restored RuntimeDir::restore() {
  Restored result;
  // Its name may lead to another directory by now: a new one after a sweep, or that of another release.
  base::Descriptor named = open_directory();
  const bool is_another = base::file_of(named) != base::file_of(directory_);
  if (is_another || !lock_.is_in_place()) {
    LockFile lock = lock_in(named);  // throws: nothing has changed
    if (is_another) base::remove_own(directory_.get(), kControl, std::exchange(control_, std::nullopt));
    lock_ = std::move(lock);
    directory_ = std::move(named);  // behind the lock, which has just looked into the old one
    result.names.emplace_back(kLock);
  }
  if (!control_ || base::file_at(directory_.get(), kControl) != control_) {
    result.control = listen_for_control();
    result.names.emplace_back(kControl);
  }
  return result;
}

}  // namespace limpet::supervisor
