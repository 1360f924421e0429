// The file of a Unix socket: made with its mode, in place of one that nobody serves any more.
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>

#include <string>

#include "base/descriptor.h"

namespace limpet::supervisor {

/// Removes a socket that lies there: whoever calls this holds the lock, so it is nobody's. Throws
/// std::runtime_error, beginning with `what`, if something else lies there.
void remove_stale_socket(int directory, const std::string& name, const std::string& what);

/// Binds to an address with a path, whose file gets that mode from the first moment on. Never follows a
/// symlink of that name. Throws std::system_error.
void bind_with_mode(const base::Descriptor& socket, const sockaddr* address, socklen_t length, mode_t mode,
                    const std::string& what);

}  // namespace limpet::supervisor
