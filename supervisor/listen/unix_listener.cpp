#include "supervisor/listen/unix_listener.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "supervisor/system/socket_file.h"

namespace limpet::supervisor {
namespace {

std::string lock_of(const std::string& path) { return path + ".lock"; }

}  // namespace

UnixListener::UnixListener(const base::Address& address, mode_t mode, int backlog)
    : address_(address), path_(address.path()), lock_(take_lock()) {
  open(mode, backlog);
}

UnixListener::UnixListener(const base::Address& address, base::Descriptor socket, base::Descriptor lock)
    : address_(address),
      path_(address.path()),
      lock_(AT_FDCWD, lock_of(path_), std::move(lock)),
      socket_(std::move(socket)) {
  // Under our lock nobody else has made one.
  if (lock_.is_in_place()) file_ = base::file_at(AT_FDCWD, path_);
}

UnixListener::~UnixListener() {
  if (socket_) base::remove_own(AT_FDCWD, path_, file_);
}

LockFile UnixListener::take_lock() const {
  std::string holder;
  auto lock = LockFile::take(AT_FDCWD, lock_of(path_), lock_of(path_), &holder);
  if (lock) return *std::move(lock);
  throw std::runtime_error(
      fmt::format("listen on {}: in use: supervisor {} serves it", to_text(address_), holder));
}

void UnixListener::open(mode_t mode, int backlog) {
  const std::string name = to_text(address_);
  remove_stale_socket(AT_FDCWD, path_, "listen on " + name);
  base::Descriptor socket(
      base::require(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket for " + name));
  bind_with_mode(socket, address_.get(), address_.length, mode, "bind " + name);
  file_ = base::file_at(AT_FDCWD, path_);
  socket_ = std::move(socket);
  base::require(::listen(socket_.get(), backlog), "listen " + name);
}

bool UnixListener::is_swept() const {
  return !lock_.is_in_place() || !file_ || base::file_at(AT_FDCWD, path_) != file_;
}

void UnixListener::restore(mode_t mode, int backlog) {
  if (!lock_.is_in_place()) lock_ = take_lock();
  if (!file_ || base::file_at(AT_FDCWD, path_) != file_) open(mode, backlog);
}

void UnixListener::withdraw() noexcept {
  base::remove_own(AT_FDCWD, path_, file_);
  file_.reset();
}

}  // namespace limpet::supervisor
