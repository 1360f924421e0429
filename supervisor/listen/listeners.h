// The listening sockets: for each TCP address one SO_REUSEPORT group with one socket per slot, for each Unix
// one a socket that all slots share. Owns them for the life of the supervisor, so that connections which wait
// in an accept queue survive the worker; accepts nothing. The constructor throws std::system_error naming the
// address.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/descriptor.h"
#include "supervisor/listen/unix_listener.h"
#include "supervisor/options/options.h"
#include "supervisor/upgrade/state.h"

namespace limpet::supervisor {

/// One address, and what its socket is opened with.
struct ListenAddress {
  base::Address address;
  int backlog = 4096;
  mode_t unix_mode = 0660;
};

/// All of `options`, whose addresses have been checked.
[[nodiscard]] std::vector<ListenAddress> addresses_of(const Options& options);

class Listeners {
 public:
  /// [::] takes IPv4 clients too, unless 0.0.0.0 is served with the same port. Blocks for up to `patience`
  /// while an address is in use: the workers of a supervisor that was killed close their copies within
  /// moments. 0: refuses at once. `placement_seed`: of the hash by which clients are placed, for good.
  Listeners(const std::vector<ListenAddress>& addresses, std::uint16_t slots,
            std::chrono::milliseconds patience, std::uint64_t placement_seed);

  /// Those that an upgrade carries over.
  Listeners(const std::vector<upgrade::ListenerState>& inherited, std::uint64_t placement_seed);
  [[nodiscard]] std::vector<upgrade::ListenerState> save() const;

  /// Makes the Unix sockets again whose files were swept; whoever gets its sockets from now on has the new
  /// ones. `wanted`: all addresses, in configured order. Gives a line for each that was made again, or could
  /// not be.
  [[nodiscard]] std::vector<std::string> restore(const std::vector<ListenAddress>& wanted);
  /// What the last restore() made goes again: no new worker has come to accept there.
  void withdraw_restored() noexcept;
  /// The sockets of one slot, in configured order.
  [[nodiscard]] std::vector<int> of_slot(std::uint16_t slot) const;
  /// Attaches a new program to every group. R2 of routing_program.h holds between any two calls.
  void route(const std::vector<bool>& takes_part);
  /// With the ports that the kernel chose for port 0.
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] std::uint16_t count() const noexcept { return static_cast<std::uint16_t>(groups_.size()); }
  [[nodiscard]] std::uint64_t placement_seed() const noexcept { return placement_seed_; }
  void close() noexcept { groups_.clear(); }

 private:
  struct Group {
    base::Address address;
    std::vector<base::Descriptor> sockets;  ///< TCP: index is the slot, and the order of listen()
    std::optional<UnixListener> shared;     ///< Unix
    bool was_restored = false;              ///< by the last restore()
  };
  static Group open_group(const ListenAddress& wanted, bool ipv6_only, std::uint16_t slots,
                          std::chrono::milliseconds patience);

  std::vector<Group> groups_;
  std::uint64_t placement_seed_;
};

}  // namespace limpet::supervisor
