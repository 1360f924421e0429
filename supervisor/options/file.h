// limpet.toml: read with toml++, checked against the option table. Each mistake names file and
// line number, and says what would be right; what it quotes stands in it as it is.
#pragma once

#include <string>
#include <vector>

#include "supervisor/options/options.h"

namespace limpet::supervisor {

/// Puts what `file` says into `options`. Returns the mistakes, in the order of their lines. `limpet`: the
/// command that they name. Never throws.
[[nodiscard]] std::vector<std::string> read_options_file(const std::string& file, const std::string& limpet,
                                                         Options* options);

}  // namespace limpet::supervisor
