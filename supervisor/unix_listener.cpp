#include "supervisor/unix_listener.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

#include "supervisor/lock_file.h"

namespace limpet::supervisor {
namespace {

std::string lock_of(const std::string& path) { return path + ".lock"; }

/// Under the lock: a socket that lies here is nobody's.
void remove_stale(const std::string& path) {
  struct stat found = {};
  if (::lstat(path.c_str(), &found) != 0) return;
  if (!S_ISSOCK(found.st_mode))
    throw std::runtime_error(fmt::format("listen on unix://{0}: {0} is there, and is no socket", path));
  ipc::require(::unlink(path.c_str()), "remove the stale socket " + path);
}

}  // namespace

UnixListener::UnixListener(const ipc::Address& address, mode_t mode, int backlog) {
  const std::string path = address.path();
  const std::string name = to_text(address);
  std::string holder;
  auto lock = take_lock_file(lock_of(path), &holder);
  if (!lock)
    throw std::runtime_error(fmt::format("listen on {}: in use: supervisor {} serves it", name, holder));
  lock_ = *std::move(lock);
  remove_stale(path);
  socket_ = ipc::Descriptor(
      ipc::require(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket for " + name));
  // Nobody but its owner may connect before the mode is set.
  const mode_t mask = ::umask(0177);
  const int bound = ::bind(socket_.get(), address.get(), address.length);
  const int error = errno;
  ::umask(mask);
  if (bound != 0) ipc::throw_system_error("bind " + name, error);
  path_ = path;
  ipc::require(::chmod(path.c_str(), mode), "set the mode of " + path);
  ipc::require(::listen(socket_.get(), backlog), "listen " + name);
}

UnixListener::UnixListener(const ipc::Address& address, ipc::Descriptor socket, ipc::Descriptor lock)
    : path_(address.path()), lock_(std::move(lock)), socket_(std::move(socket)) {}

UnixListener::~UnixListener() {
  if (!socket_) return;
  ::unlink(path_.c_str());
  ::unlink(lock_of(path_).c_str());
}

}  // namespace limpet::supervisor
