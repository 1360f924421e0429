// A file that one process at a time holds locked, with that process's id in it: how a second supervisor
// learns that the first still runs. The lock ends with its holder, however that ends; the file does not
// count. Never follows a symlink, and writes into no file that has another name too.
#pragma once

#include <optional>
#include <string>

#include "base/descriptor.h"

namespace limpet::supervisor {

class LockFile {
 public:
  /// Holds nothing.
  LockFile() = default;
  /// One that an upgrade carries over.
  LockFile(int directory, std::string name, base::Descriptor held);
  /// Nullopt, with the holder's process id ("unknown" if it has not written it yet) in `*holder`, if another
  /// has it. `name`: in the open `directory`, which outlives the lock; or a path, with AT_FDCWD. `path`: what
  /// it is called in complaints. Throws std::system_error or std::runtime_error.
  [[nodiscard]] static std::optional<LockFile> take(int directory, const std::string& name,
                                                    const std::string& path, std::string* holder);
  LockFile(LockFile&&) noexcept = default;
  LockFile& operator=(LockFile&& other) noexcept;
  /// Removes the file, if it is still the one that is held.
  ~LockFile();

  /// False: somebody has removed it, or put another one in its place.
  [[nodiscard]] bool is_in_place() const;
  [[nodiscard]] int descriptor() const noexcept { return held_.get(); }

 private:
  void release() noexcept;

  int directory_ = -1;
  std::string name_;
  base::Descriptor held_;
};

}  // namespace limpet::supervisor
