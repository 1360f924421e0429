// The one list of options: --help, the file's keys, the defaults, the checks, the settings that workers get
// and docs/operations.md come from it (a test compares the last).
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "supervisor/options/options.h"

namespace limpet::supervisor {

using OptionMember =
    std::variant<bool Options::*, std::uint64_t Options::*, std::chrono::milliseconds Options::*,
                 std::string Options::*, std::vector<std::string> Options::*>;

enum class Unit : std::uint8_t {
  Plain,
  Workers,
  Bytes,
  Memory,  ///< bytes, or "auto"
  Duration,
  Switch,
  Text,
  Addresses,
  Networks,
  Mode,  ///< of a file, in octal
  AddressHeader,
  Placement,
  Transports,
  LogLevel
};

struct OptionRow {
  std::string_view flag;     ///< "--ping-interval"; of a switch: what turns its default round
  std::string_view section;  ///< of the file; "" is the top
  std::string_view key;
  OptionMember member;
  Unit unit;
  std::string_view default_text;
  std::string_view help;
  std::uint64_t least = 0;  ///< in the unit's smallest parts: bytes, milliseconds
  std::uint64_t most = 0;   ///< 0: no limit
  bool needs_restart = false;
  bool power_of_two = false;
  bool per_listener = false;  ///< also a key of [[listen]]
};

[[nodiscard]] std::span<const OptionRow> option_table();

/// Puts a value into its member. Returns "" or what would be right.
[[nodiscard]] std::string assign(const OptionRow& row, const std::vector<std::string>& values,
                                 Options* options);

/// The inverse: what assign() makes the same value of.
[[nodiscard]] std::vector<std::string> values_of(const OptionRow& row, const Options& options);

/// "socketio.ping_interval"
[[nodiscard]] std::string name_in_file(const OptionRow& row);

/// Keys of the options that differ and that a reload cannot change. `slots`: as many as there are now; `ctl
/// scale` may have brought about already what the file says.
[[nodiscard]] std::vector<std::string> changes_that_need_a_restart(const Options& before,
                                                                   const Options& after, std::uint16_t slots);

/// "25s", "2.5s", "500ms", "2m", "1h", "0s"
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
/// "1000000", "16KiB", "16MiB", "1GiB"
[[nodiscard]] std::optional<std::uint64_t> parse_bytes(std::string_view text);

}  // namespace limpet::supervisor
