#include "supervisor/system/socket_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <stdexcept>

#include "base/umask.h"

namespace limpet::supervisor {

void remove_stale_socket(int directory, const std::string& name, const std::string& what) {
  struct stat found = {};
  if (::fstatat(directory, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (!S_ISSOCK(found.st_mode))
    throw std::runtime_error(fmt::format("{}: {} is there, and is no socket", what, name));
  base::require(::unlinkat(directory, name.c_str(), 0), "remove the stale socket " + name);
}

void bind_with_mode(const base::Descriptor& socket, const sockaddr* address, socklen_t length, mode_t mode,
                    const std::string& what) {
  // Not by chmod afterwards: there would be a moment in which others could connect, and chmod follows a
  // symlink that somebody has put there meanwhile.
  const base::Umask umask(~mode & 0777);
  base::require(::bind(socket.get(), address, length), what);
}

}  // namespace limpet::supervisor
