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
#include "worker/client/limits.h"
#include "worker/slot/placement.h"

namespace limpet::process {

struct Settings {
  std::vector<std::string> listen;
  std::chrono::milliseconds heartbeat_interval{2500};

  struct SocketIo {
    std::string path = "/socket.io";
    std::chrono::milliseconds ping_interval{25000};
    std::chrono::milliseconds ping_timeout{20000};
    std::chrono::milliseconds upgrade_timeout{10000};
    std::chrono::milliseconds connect_timeout{45000};
    std::size_t max_payload_bytes = 1'000'000;
    bool polling = true;
    bool websocket = true;
  } socketio;

  client::Limits limits;

  /// In the order of `listen`, with the common limits where the supervisor says nothing else.
  std::vector<client::ListenerSettings> listeners;

  slot::PlacementRule placement = slot::PlacementRule::Address;
  std::uint64_t placement_seed = 0;  ///< base/placement_hash.h; of a supervisor that does not say it: 0

  struct Ring {
    std::size_t capacity_bytes = 16u << 20;
    std::chrono::milliseconds lap_after{100};
    std::size_t deferred_bytes = 64u << 20;
  } ring;

  boost::json::object app;
};

/// Keys that are absent keep their defaults; throws std::runtime_error naming the key on a value of the wrong
/// kind.
[[nodiscard]] Settings parse_settings(std::string_view json);
/// Reads the inherited settings memory to its end. Throws std::system_error.
[[nodiscard]] std::string read_settings(const base::Descriptor& memory);

}  // namespace limpet::process
