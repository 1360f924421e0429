// Where `limpet` was started, in the words of whoever started it: the working directory and the path of the
// binary, both with the symlinks that were in their names. A deployment that switches such a link is
// followed, because every relative path is joined to that name and resolved when it is used. A value; opens
// nothing that it keeps.
#pragma once

#include <string>

#include "base/descriptor.h"

namespace limpet::supervisor {

struct StartPlace {
  /// Absolute. "": not known, for it was removed; relative paths stay relative then.
  std::string directory;
  std::string binary;    ///< absolute: the name that led to the running file
  std::string called{};  ///< as typed, if that led to the running file; else ""

  /// What whoever started it types to start it once more: as it was called, else its path; as a shell reads
  /// it.
  [[nodiscard]] std::string command() const;
  /// An absolute path as it is; a relative one behind `directory`. As text: ".." and links are the kernel's.
  [[nodiscard]] std::string at(const std::string& path) const;
  /// `directory`, as its name leads now: for fchdir. Throws std::system_error in words.
  [[nodiscard]] base::Descriptor open_directory() const;
};

/// As one word of a shell's command, with quotes if it needs them.
[[nodiscard]] std::string shell_word(const std::string& text);

/// Of this process. `called`: argv[0], or null. Never throws.
[[nodiscard]] StartPlace start_place(const char* called);

/// The first executable file of that name in PATH, whose relative folders lie in `place`; nothing: "".
[[nodiscard]] std::string find_in_path(const std::string& name, const StartPlace& place);

}  // namespace limpet::supervisor
