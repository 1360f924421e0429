// What workers are told beside their heritage: the settings object of ipc/birth/heritage.h, made from the
// option table.
#pragma once

#include <string>
#include <vector>

#include "base/descriptor.h"
#include "supervisor/options/options.h"

namespace limpet::supervisor {

/// `listen`: the addresses with the ports that were really bound. `placement_seed`: base/placement_hash.h.
[[nodiscard]] std::string settings_json(const Options& options, const std::vector<std::string>& listen,
                                        std::uint64_t placement_seed);

/// A sealed memfd that holds `text`. Throws std::system_error.
[[nodiscard]] base::Descriptor sealed_memory(const char* name, std::string_view text);

}  // namespace limpet::supervisor
