#include "supervisor/socket_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

namespace limpet::supervisor {

std::optional<FileId> file_at(int directory, const std::string& name) {
  struct stat found = {};
  if (::fstatat(directory, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  return FileId{found.st_dev, found.st_ino};
}

std::optional<FileId> file_of(const ipc::Descriptor& opened) {
  struct stat found = {};
  if (::fstat(opened.get(), &found) != 0) return std::nullopt;
  return FileId{found.st_dev, found.st_ino};
}

void remove_own(int directory, const std::string& name, const std::optional<FileId>& ours) noexcept {
  if (ours && file_at(directory, name) == ours) ::unlinkat(directory, name.c_str(), 0);
}

void remove_stale_socket(int directory, const std::string& name, const std::string& what) {
  struct stat found = {};
  if (::fstatat(directory, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (!S_ISSOCK(found.st_mode))
    throw std::runtime_error(fmt::format("{}: {} is there, and is no socket", what, name));
  ipc::require(::unlinkat(directory, name.c_str(), 0), "remove the stale socket " + name);
}

void bind_with_mode(const ipc::Descriptor& socket, const sockaddr* address, socklen_t length, mode_t mode,
                    const std::string& what) {
  // Not by chmod afterwards: there would be a moment in which others could connect, and chmod follows a
  // symlink that somebody has put there meanwhile.
  const mode_t before = ::umask(~mode & 0777);
  const int bound = ::bind(socket.get(), address, length);
  const int error = errno;
  ::umask(before);
  if (bound != 0) ipc::throw_system_error(what, error);
}

}  // namespace limpet::supervisor
