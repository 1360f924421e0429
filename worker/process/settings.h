// What a worker was told to be: the settings object of ipc/heritage.h as a plain struct, or the defaults of
// an application that runs alone.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/descriptor.h"
#include "worker/process/client_address.h"

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

  struct Limits {
    std::size_t header_bytes = 16384;
    std::chrono::milliseconds header_timeout{10000};
    std::chrono::milliseconds body_timeout{30000};
    std::chrono::milliseconds idle_timeout{60000};
    std::size_t send_queue_bytes = 16u << 20;
    std::chrono::milliseconds send_stall{5000};
    std::size_t min_rate = 500;    ///< bytes per second
    std::size_t memory_bytes = 0;  ///< for clients, of this worker; 0: not said
    std::size_t connections = 100'000;
    std::size_t sessions = 200'000;
    std::size_t connections_per_address = 0;  ///< 0: no limit
    std::size_t handshakes_per_second = 0;    ///< of one address; 0: no limit
  } limits;

  /// Of one listening address.
  struct Listener {
    std::chrono::milliseconds header_timeout{10000};
    std::chrono::milliseconds body_timeout{30000};
    std::chrono::milliseconds idle_timeout{60000};
    bool proxy_protocol = false;  ///< each connection begins with a PROXY protocol header
    std::vector<ipc::Network> trusted;
    AddressHeader address_header = AddressHeader::XForwardedFor;
  };
  /// In the order of `listen`, with the common limits where the supervisor says nothing else.
  std::vector<Listener> listeners;
  /// What an unknown listener has: a handover comes perhaps from a worker with other settings.
  [[nodiscard]] Listener listener(std::size_t index) const;

  enum class Placement : std::uint8_t { Address, LeastConnections };
  Placement placement = Placement::Address;
  std::uint64_t placement_seed = 0;  ///< ipc/placement_hash.h; of a supervisor that does not say it: 0

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
[[nodiscard]] std::string read_settings(const ipc::Descriptor& memory);

}  // namespace limpet::process
