// Which file runs: the name by which it was found, what that led to, and the marks by which another file is
// known. For verdicts: a reload that runs the old release again must say so. A value.
#pragma once

#include <string>

#include "base/descriptor.h"
#include "supervisor/system/file_mark.h"
#include "supervisor/system/start_place.h"

namespace limpet::supervisor {

struct RunningFile {
  std::string name;      ///< absolute
  std::string resolved;  ///< without symlinks, at the time
  FileMark mark;
};

/// Of the open file (O_PATH will do) that `name` led to.
[[nodiscard]] RunningFile running_file(const std::string& name, const base::Descriptor& opened);

/// Of this process, whose binary `place` names.
[[nodiscard]] RunningFile running_limpet(const StartPlace& place);

/// "/srv/app/current/chat -> /srv/app/7/chat"; the name alone if it has no symlink in it.
[[nodiscard]] std::string to_text(const RunningFile& file);

/// The same, with " (the same file as before runs)" or " (another file than before runs)"; nothing if
/// `before` is not known.
[[nodiscard]] std::string to_text(const RunningFile& file, const FileMark& before);

}  // namespace limpet::supervisor
