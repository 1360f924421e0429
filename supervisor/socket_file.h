// The file of a Unix socket, and whose it is. A name is not a file: another process may have removed ours and
// made its own under the same name, so whoever removes one compares first.
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>

#include <optional>
#include <string>

#include "ipc/descriptor.h"

namespace limpet::supervisor {

/// Which file it is, whatever its name.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};

/// The one of that name in an open directory (AT_FDCWD: a path); a symlink is not followed.
[[nodiscard]] std::optional<FileId> file_at(int directory, const std::string& name);
[[nodiscard]] std::optional<FileId> file_of(const ipc::Descriptor& opened);

/// Only if it is still `ours`.
void remove_own(int directory, const std::string& name, const std::optional<FileId>& ours) noexcept;

/// Removes a socket that lies there: whoever calls this holds the lock, so it is nobody's. Throws
/// std::runtime_error, beginning with `what`, if something else lies there.
void remove_stale_socket(int directory, const std::string& name, const std::string& what);

/// Binds to an address with a path, whose file gets that mode from the first moment on. Never follows a
/// symlink of that name. Throws std::system_error.
void bind_with_mode(const ipc::Descriptor& socket, const sockaddr* address, socklen_t length, mode_t mode,
                    const std::string& what);

}  // namespace limpet::supervisor
