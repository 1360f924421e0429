// Which file it is, whatever its name: by device and inode. A name is not a file: another process may have
// removed ours and made its own under the same name, so whoever removes one compares first.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "base/descriptor.h"

namespace limpet::base {

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};

/// The one of that name in an open directory (AT_FDCWD: a path); a symlink is not followed.
[[nodiscard]] std::optional<FileId> file_at(int directory, const std::string& name);
[[nodiscard]] std::optional<FileId> file_of(const Descriptor& opened);
/// The one that a path leads to, through symlinks.
[[nodiscard]] std::optional<FileId> file_behind(const std::string& path);

/// Only if it is still `ours`.
void remove_own(int directory, const std::string& name, const std::optional<FileId>& ours) noexcept;

}  // namespace limpet::base
