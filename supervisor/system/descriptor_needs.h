// How many descriptors a cluster takes, before anybody has connected: by what it is configured to be. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace limpet::supervisor {

/// Of one process each: what it has open at the most, by itself.
struct DescriptorNeeds {
  std::uint64_t supervisor = 0;
  std::uint64_t worker = 0;  ///< with the reserve for control messages, without clients
};

/// `capacity`: slots that there can be. `listeners`: addresses.
[[nodiscard]] DescriptorNeeds descriptor_needs(std::uint64_t listeners, std::uint64_t capacity);

/// "" or why `limit` is too low, in words, with what would do. A worker wants room for a few clients too.
[[nodiscard]] std::string descriptor_shortage(const DescriptorNeeds& needs, std::uint64_t limit);

/// Connections that a worker can have: what `limit` leaves, at most `connections` (limits.connections).
[[nodiscard]] std::uint64_t clients_of_worker(const DescriptorNeeds& needs, std::uint64_t limit,
                                              std::uint64_t connections);

}  // namespace limpet::supervisor
