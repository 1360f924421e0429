// The runtime directory: the lock that makes a second supervisor there impossible, and the path of the
// control socket. Owns the lock for the life of the object. Throws std::runtime_error in words.
#pragma once

#include <string>

#include "ipc/descriptor.h"

namespace limpet::supervisor {

/// /run/limpet for root, else $XDG_RUNTIME_DIR/limpet, else /tmp/limpet-UID.
[[nodiscard]] std::string default_runtime_dir();
[[nodiscard]] std::string control_path(const std::string& runtime_dir);

class RuntimeDir {
 public:
  /// Creates the directory if need be, and takes the lock.
  explicit RuntimeDir(std::string path);
  /// The one that an upgrade carries over: its lock is held.
  RuntimeDir(std::string path, ipc::Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  /// Removes the lock file: the control socket's owner has removed that.
  ~RuntimeDir();
  RuntimeDir(const RuntimeDir&) = delete;
  RuntimeDir& operator=(const RuntimeDir&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] int lock() const noexcept { return lock_.get(); }
  /// The supervisor before left its control socket behind: it was killed, and its workers may still be
  /// leaving.
  [[nodiscard]] bool was_left_in_haste() const noexcept { return was_left_in_haste_; }

 private:
  std::string path_;
  ipc::Descriptor lock_;
  bool was_left_in_haste_ = false;
};

}  // namespace limpet::supervisor
