// What a worker was told to be: the settings object of ipc/birth/heritage.h as a plain struct, or the
// defaults of an application that runs alone.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "ipc/ring/writer.h"
#include "worker/client/limits.h"
#include "worker/engineio/server.h"
#include "worker/slot/placement.h"
#include "worker/socketio/server.h"

namespace limpet::process {

struct Settings {
  std::vector<std::string> listen;
  std::chrono::milliseconds heartbeat_interval{2500};  ///< a worker beats several times in it

  engineio::Options engineio;  ///< but for what follows from `limits`
  std::chrono::milliseconds connect_timeout = socketio::Options{}.connect_timeout;

  client::Limits limits;

  /// In the order of `listen`, with the common limits where the supervisor says nothing else.
  std::vector<client::ListenerSettings> listeners;

  slot::PlacementRule placement = slot::PlacementRule::Address;
  std::uint64_t placement_seed = 0;  ///< base/placement_hash.h; of a supervisor that does not say it: 0

  ipc::RingOptions ring;  ///< but for its lanes

  boost::json::object app;
};

/// Keys that are absent keep their defaults; throws std::runtime_error naming the key on a value of the wrong
/// kind.
[[nodiscard]] Settings parse_settings(std::string_view json);
/// Reads the inherited settings memory to its end. Throws std::system_error.
[[nodiscard]] std::string read_settings(const base::Descriptor& memory);

}  // namespace limpet::process
