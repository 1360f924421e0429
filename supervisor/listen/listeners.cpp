#include "supervisor/listen/listeners.h"

#include <fmt/format.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include "base/signals.h"
#include "supervisor/listen/routing_program.h"
#include "supervisor/upgrade/descriptors.h"

namespace limpet::supervisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

void set_option(int socket, int level, int name, int value, const std::string& what) {
  base::require(::setsockopt(socket, level, name, &value, sizeof value), what);
}

base::Descriptor open_socket(const base::Address& address, bool ipv6_only) {
  const std::string name = to_text(address);
  base::Descriptor result(
      base::require(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP),
                    "socket for " + name));
  set_option(result.get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR of " + name);
  // The system's default may be either.
  if (address.family() == AF_INET6)
    set_option(result.get(), IPPROTO_IPV6, IPV6_V6ONLY, ipv6_only ? 1 : 0, "IPV6_V6ONLY of " + name);
  return result;
}

/// True if bound; false if the address is in use.
bool try_bind(const base::Descriptor& socket, const base::Address& address) {
  if (::bind(socket.get(), address.get(), address.length) == 0) return true;
  if (errno == EADDRINUSE) return false;
  base::throw_system_error("bind " + to_text(address));
}

/// Binds without SO_REUSEPORT: with it, a second server of the same user would silently join the group of the
/// first.
base::Descriptor bind_alone(const base::Address& address, bool ipv6_only, milliseconds patience) {
  const auto deadline = steady_clock::now() + patience;
  for (;;) {
    base::Descriptor socket = open_socket(address, ipv6_only);
    if (try_bind(socket, address)) return socket;
    if (steady_clock::now() >= deadline) base::throw_system_error("bind " + to_text(address), EADDRINUSE);
    if (base::is_any_pending({SIGTERM, SIGINT, SIGQUIT}))
      throw std::runtime_error("stopped by a signal before it served anybody");
    ::poll(nullptr, 0, 50);
  }
}

std::uint16_t bound_port(const base::Descriptor& socket, base::Address address) {
  address.length = sizeof address.storage;
  base::require(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.length),
                "getsockname");
  return address.port();
}

/// IPv4 clients of this port are 0.0.0.0's, which could not be bound beside a [::] that takes them.
bool leaves_ipv4(const base::Address& address, const std::vector<ListenAddress>& all) {
  if (address.family() != AF_INET6 || !address.is_any() || address.port() == 0) return false;
  return std::any_of(all.begin(), all.end(), [&address](const ListenAddress& other) {
    return other.address.family() == AF_INET && other.address.is_any() &&
           other.address.port() == address.port();
  });
}

}  // namespace

std::vector<ListenAddress> addresses_of(const Options& options) {
  std::vector<ListenAddress> result;
  std::string why;
  const std::vector<Options> all = options_of_listeners(options);
  for (std::size_t index = 0; index < options.listen.size(); ++index) {
    const Options& its = all[index];
    result.push_back({.address = base::parse_address(options.listen[index], &why).value(),
                      .backlog = static_cast<int>(its.backlog),
                      .unix_mode = static_cast<mode_t>(its.unix_mode)});
  }
  return result;
}

Listeners::Listeners(const std::vector<ListenAddress>& addresses, std::uint16_t slots, milliseconds patience,
                     std::uint64_t placement_seed)
    : placement_seed_(placement_seed) {
  for (const ListenAddress& each : addresses)
    groups_.push_back(open_group(each, leaves_ipv4(each.address, addresses), slots, patience));
  route(std::vector<bool>(slots, true));
}

Listeners::Listeners(const std::vector<upgrade::ListenerState>& inherited, std::uint64_t placement_seed)
    : placement_seed_(placement_seed) {
  for (const upgrade::ListenerState& each : inherited) {
    std::string why;
    Group group{base::parse_address(each.address, &why).value(), {}, {}};
    if (group.address.is_unix()) {
      group.shared.emplace(group.address, adopt(each.sockets.at(0)), adopt(each.sockets.at(1)));
    } else {
      for (const int socket : each.sockets) group.sockets.push_back(adopt(socket));
    }
    groups_.push_back(std::move(group));
  }
}

std::vector<upgrade::ListenerState> Listeners::save() const {
  std::vector<upgrade::ListenerState> result;
  for (const Group& group : groups_) {
    upgrade::ListenerState state{to_text(group.address), {}};
    for (const base::Descriptor& each : group.sockets) state.sockets.push_back(each.get());
    if (group.shared) state.sockets = {group.shared->descriptor(), group.shared->lock()};
    result.push_back(std::move(state));
  }
  return result;
}

Listeners::Group Listeners::open_group(const ListenAddress& wanted, bool ipv6_only, std::uint16_t slots,
                                       milliseconds patience) {
  base::Address address = wanted.address;
  Group group;
  if (address.is_unix()) {
    group.address = address;
    group.shared.emplace(address, wanted.unix_mode, wanted.backlog);
    return group;
  }
  group.sockets.push_back(bind_alone(address, ipv6_only, patience));
  address.set_port(bound_port(group.sockets.front(), address));
  group.address = address;
  const std::string name = to_text(address);
  // Only now, and before any socket listens: a bound socket that does not listen yet lets others with
  // SO_REUSEADDR bind beside it, and the port (chosen by the kernel if it was 0) is never free in between.
  set_option(group.sockets.front().get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT of " + name);
  for (std::uint16_t slot = 1; slot < slots; ++slot) {
    group.sockets.push_back(open_socket(address, ipv6_only));
    set_option(group.sockets.back().get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT of " + name);
    base::require(::bind(group.sockets.back().get(), address.get(), address.length), "bind " + name);
  }
  // In the order of slots: the program's result counts sockets in the order in which they began to listen.
  for (const base::Descriptor& each : group.sockets)
    base::require(::listen(each.get(), wanted.backlog), "listen " + name);
  return group;
}

std::vector<int> Listeners::of_slot(std::uint16_t slot) const {
  std::vector<int> result;
  for (const Group& group : groups_)
    result.push_back(group.shared ? group.shared->descriptor() : group.sockets.at(slot).get());
  return result;
}

std::vector<std::string> Listeners::restore(const std::vector<ListenAddress>& wanted) {
  std::vector<std::string> lines;
  for (std::size_t index = 0; index < groups_.size() && index < wanted.size(); ++index) {
    Group& group = groups_[index];
    group.was_restored = false;
    if (!group.shared || !group.shared->is_swept()) continue;
    const std::string name = to_text(group.address);
    try {
      group.shared->restore(wanted[index].unix_mode, wanted[index].backlog);
      group.was_restored = true;
      lines.push_back(name + ": was swept, and is made again; new workers accept there");
    } catch (const std::exception& failure) {
      lines.push_back(fmt::format("{}: was swept, and cannot be made again: {}", name, failure.what()));
    }
  }
  return lines;
}

void Listeners::withdraw_restored() noexcept {
  for (Group& group : groups_)
    if (std::exchange(group.was_restored, false)) group.shared->withdraw();
}

void Listeners::route(const std::vector<bool>& takes_part) {
  std::vector<sock_filter> code = routing_program(takes_part, placement_seed_);
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  for (const Group& group : groups_) {
    if (group.shared) continue;  // whoever comes first accepts
    base::require(::setsockopt(group.sockets.front().get(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
                               sizeof program),
                  "attach the routing program of " + to_text(group.address));
  }
}

std::vector<std::string> Listeners::names() const {
  std::vector<std::string> result;
  for (const Group& group : groups_) result.push_back(to_text(group.address));
  return result;
}

}  // namespace limpet::supervisor
