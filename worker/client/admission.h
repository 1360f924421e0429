// Whether a new connection or handshake is let in: the caps of settings table "limits", by worker and by
// address, and the memory that clients may take. What has moved here from another process is never asked.
//
// "Address" is an IPv4 address or an IPv6 /64: whoever has one of a /64 has all of them. Caps by address are
// off by default: behind NAT or a proxy many clients have one.
#pragma once

#include <cstdint>
#include <map>

#include "base/log_gate.h"
#include "ipc/shared/counters.h"
#include "worker/client/limits.h"
#include "worker/client/peer_address.h"
#include "worker/loop/clock.h"
#include "worker/loop/fifo.h"

namespace limpet::client {

class Admission {
 public:
  /// All are borrowed for life.
  Admission(const Limits& limits, const loop::Clock& clock, ipc::CounterBlock& counters)
      : limits_(limits), clock_(clock), counters_(counters) {}

  /// `open`: connections that are here already. False is counted by its cause.
  [[nodiscard]] bool admits_connection(std::size_t open);
  /// Counts one more of this address, unless it has as many as it may. Always true without such a cap.
  [[nodiscard]] bool admits_one_more_of(const PeerAddress& client);
  /// Counts one that has come from another process, which is never refused.
  void count(const PeerAddress& client) { ++connections_[client.network_key()]; }
  [[nodiscard]] bool counts_addresses() const noexcept { return limits_.connections_per_address != 0; }
  /// One that was counted is gone.
  void leave(const PeerAddress& client);
  /// `open`: sessions that are here already.
  [[nodiscard]] bool admits_handshake(std::size_t open, const PeerAddress& client);
  /// More is held than limits.memory, and there is nobody large left to be closed: until it is said
  /// otherwise, what is new is refused.
  void set_short_of_memory(bool is_short) noexcept { short_of_memory_ = is_short; }
  /// Addresses of which something is remembered.
  [[nodiscard]] std::size_t addresses() const noexcept { return connections_.size() + rates_.size(); }

 private:
  using Address = std::uint64_t;  ///< of PeerAddress::network_key()

  /// Handshakes that an address may still make, in thousandths: limits.handshakes_per_second come back each
  /// second, and no more are saved up.
  struct Rate {
    std::uint64_t millis = 0;
    loop::TimePoint at{};
  };

  [[nodiscard]] bool admits_rate_of(Address address);
  void forget_old_rates();
  [[nodiscard]] bool refuse(ipc::Counter cause);

  const Limits& limits_;
  const loop::Clock& clock_;
  ipc::CounterBlock& counters_;
  base::LogGate refusals_;
  bool short_of_memory_ = false;
  std::map<Address, std::uint32_t> connections_;
  std::map<Address, Rate> rates_;
  loop::Fifo<Address> rates_by_age_;  ///< in the order in which they came in; each is in rates_
};

}  // namespace limpet::client
