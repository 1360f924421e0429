// What `limpet serve` can be told, by flag or by limpet.toml. A value; nothing here starts or opens anything.
// One table (table.h) gives names, defaults, units and help; a flag beats the file.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "supervisor/system/start_place.h"

namespace limpet::supervisor {

/// One option as it was given: the row of the table, and its values.
struct GivenFlag {
  std::size_t row = 0;
  std::vector<std::string> values;
  bool operator==(const GivenFlag&) const = default;
};

struct Options {
  using Milliseconds = std::chrono::milliseconds;

  std::vector<std::string> application;  ///< path and arguments; empty: `chat` beside the limpet binary
  std::string application_place;         ///< "limpet.toml:3", if the file names it
  std::vector<std::string> listen;
  /// What the [[listen]] tables say of those addresses, in their order; empty if they were given as a list.
  std::vector<std::vector<GivenFlag>> listen_tables;
  std::uint64_t workers = 0;      ///< 0: auto
  std::uint64_t max_workers = 0;  ///< 0: auto
  bool pin = false;
  std::string runtime_dir;  ///< empty: default_runtime_dir()
  std::uint64_t backlog = 0;
  std::uint64_t unix_mode = 0;
  bool proxy_protocol = false;
  std::vector<std::string> trusted;
  std::string address_header;
  std::string placement;
  std::string log_level;
  Milliseconds heartbeat_interval{0};
  Milliseconds boot_deadline{0};
  bool move = true;
  Milliseconds probation{0};
  Milliseconds drain_window{0};
  Milliseconds drain_deadline{0};

  std::string socketio_path;
  Milliseconds ping_interval{0};
  Milliseconds ping_timeout{0};
  Milliseconds upgrade_timeout{0};
  Milliseconds connect_timeout{0};
  std::uint64_t max_payload = 0;
  std::vector<std::string> transports;

  std::uint64_t header = 0;
  Milliseconds header_timeout{0};
  Milliseconds body_timeout{0};
  Milliseconds idle_timeout{0};
  std::uint64_t send_queue = 0;
  Milliseconds send_stall{0};
  std::uint64_t min_rate = 0;
  std::uint64_t memory = 0;  ///< 0: auto
  std::uint64_t connections = 0;
  std::uint64_t sessions = 0;
  std::uint64_t connections_per_address = 0;  ///< 0: no limit
  std::uint64_t handshakes_per_second = 0;    ///< 0: no limit

  std::uint64_t ring_capacity = 0;
  Milliseconds lap_after{0};
  std::uint64_t deferred = 0;

  std::string app_json = "{}";  ///< table [app] of the file

  bool operator==(const Options&) const = default;
};

/// What is kept of the command line, so that a reload can read the file again under the same flags.
struct CommandLine {
  std::string file;  ///< empty: none
  std::vector<std::string> application;
  std::vector<GivenFlag> flags;
  bool check_only = false;
  StartPlace place{};  ///< what relative paths are joined to
};

struct LoadedOptions {
  Options options;
  std::vector<std::string> mistakes;  ///< one line each, "limpet.toml:3: …"; empty: `options` is good
};

/// What each listening address is served with, in the order of options.listen: `options` without the
/// addresses, and over them what its [[listen]] table says.
[[nodiscard]] std::vector<Options> options_of_listeners(const Options& options);

/// Defaults, then the file, then the flags. Reads the file; never throws.
[[nodiscard]] LoadedOptions load_options(const CommandLine& command_line);

}  // namespace limpet::supervisor
