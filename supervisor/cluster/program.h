// What a worker is started with beside its place: the application and its settings. Replaced as a whole by a
// reload; the one before is kept until the reload has succeeded.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "supervisor/options/options.h"
#include "supervisor/system/running_file.h"

namespace limpet::supervisor {

struct Program {
  Options options;
  RunningFile file;
  /// The executable as it was when this was made: whoever replaces the file changes nothing before the next
  /// reload. Invalid for a script (#!), which its interpreter reads from the path.
  base::Descriptor image;
  /// Working directory of its workers, as the name led when this was made. Invalid: that of the supervisor.
  base::Descriptor directory;
  std::vector<std::string> arguments;
  base::Descriptor settings;  ///< sealed memfd
};

/// Workers keep theirs while they live.
using SharedProgram = std::shared_ptr<const Program>;

/// Without settings. Finds the application: a path, a name in PATH, or `chat` beside the limpet binary if
/// none is named. Follows the names anew at each call. Throws std::runtime_error in words if it cannot be
/// executed.
[[nodiscard]] Program find_program(const Options& options, const StartPlace& place);
/// `listen`: the addresses as they are bound.
[[nodiscard]] Program with_settings(Program found, const std::vector<std::string>& listen,
                                    std::uint64_t placement_seed);
/// Both at once.
[[nodiscard]] Program make_program(const Options& options, const std::vector<std::string>& listen,
                                   std::uint64_t placement_seed, const StartPlace& place);

/// "/srv/app/current/chat -> /srv/app/7/chat, with --level 3"
[[nodiscard]] std::string to_text(const Program& program);

}  // namespace limpet::supervisor
