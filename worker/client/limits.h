// What clients may take of a worker and for how long: of all of it, and of one listening address.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "worker/client/client_address.h"

namespace limpet::client {

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
  bool operator==(const Limits&) const = default;
};

/// What clients speak on a listening address: slot::Front::serve has the one place that chooses by it.
enum class Protocol : std::uint8_t { Http };

/// Of one listening address.
struct ListenerSettings {
  Protocol protocol = Protocol::Http;
  std::chrono::milliseconds header_timeout{10000};
  std::chrono::milliseconds body_timeout{30000};
  std::chrono::milliseconds idle_timeout{60000};
  bool proxy_protocol = false;  ///< each connection begins with a PROXY protocol header
  std::vector<base::Network> trusted;
  AddressHeader address_header = AddressHeader::XForwardedFor;
};

/// What a listener has that nobody has said anything about: the common limits. A handover comes perhaps from
/// a worker with other listeners.
[[nodiscard]] inline ListenerSettings unknown_listener(const Limits& limits) {
  ListenerSettings listener;
  listener.header_timeout = limits.header_timeout;
  listener.body_timeout = limits.body_timeout;
  listener.idle_timeout = limits.idle_timeout;
  return listener;
}

}  // namespace limpet::client
