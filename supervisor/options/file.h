// limpet.toml: read with toml++, checked against the option table. Each mistake names file and
// line number, and says what would be right; what it quotes stands in it as it is.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "supervisor/options/options.h"

namespace limpet::supervisor {

struct FileContents {
  std::vector<std::string> mistakes;          ///< in the order of their lines
  std::map<std::string, std::string> places;  ///< option ("reload.probation") -> "limpet.toml:3"
};

/// Puts what `file` says into `options`. `limpet`: the command that mistakes name. Never throws.
[[nodiscard]] FileContents read_options_file(const std::string& file, const std::string& limpet,
                                             Options* options);

}  // namespace limpet::supervisor
