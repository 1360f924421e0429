// Where `limpet` was started, in the words of whoever started it: the working directory and the path of the
// binary, both with the symlinks that were in their names. A deployment that switches such a link is
// followed, because every relative path is joined to that name and resolved when it is used. A value; opens
// nothing that it keeps.
#pragma once

#include <string>

#include "ipc/descriptor.h"

namespace limpet::supervisor {

struct StartPlace {
  /// Absolute. "": not known, for it was removed; relative paths stay relative then.
  std::string directory;
  std::string binary;  ///< absolute: the name that led to the running file

  /// An absolute path as it is; a relative one behind `directory`. As text: ".." and links are the kernel's.
  [[nodiscard]] std::string at(const std::string& path) const;
  /// `directory`, as its name leads now: for fchdir. Throws std::system_error in words.
  [[nodiscard]] ipc::Descriptor open_directory() const;
};

/// Of this process. `called`: argv[0], or null. Never throws.
[[nodiscard]] StartPlace start_place(const char* called);

/// The first executable file of that name in PATH, whose relative folders lie in `place`; nothing: "".
[[nodiscard]] std::string find_in_path(const std::string& name, const StartPlace& place);

}  // namespace limpet::supervisor
