#include "tests/bench/load_generator/endpoint.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <stdexcept>

#include "tests/bench/loopback.h"

namespace limpet::bench {
namespace {

/// Descriptors besides the clients' sockets.
constexpr rlim_t kOtherDescriptors = 32;

void set_option(int socket, int level, int option) {
  const int on = 1;
  base::require(setsockopt(socket, level, option, &on, sizeof on), "connection: set a socket option");
}

}  // namespace

sockaddr_in source_address(std::uint32_t index) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(0x7f010000u + index / 250 * 256 + index % 250 + 1);
  return address;
}

std::vector<Caller> plain_callers(std::uint32_t addresses) {
  std::vector<Caller> callers;
  for (std::uint32_t index = 0; index < addresses; ++index) callers.push_back({source_address(index), {}});
  return callers;
}

base::Descriptor started_connection(const sockaddr_in& source, std::uint16_t port) {
  const sockaddr_in server = loopback(port);
  base::Descriptor socket(base::require(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                                        "connection: make a socket"));
  set_option(socket.get(), IPPROTO_TCP, TCP_NODELAY);
  // The port is chosen at connect: else 28,000 ports would be shared by all source addresses.
  set_option(socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
  base::require(bind(socket.get(), reinterpret_cast<const sockaddr*>(&source), sizeof source),
                "connection: bind the source address");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&server), sizeof server) == -1 &&
      errno != EINPROGRESS) {
    base::throw_system_error("connection: connect");
  }
  return socket;
}

void raise_open_files(std::size_t connections) {
  rlimit limit{};
  base::require(getrlimit(RLIMIT_NOFILE, &limit), "read the limit of open files");
  const rlim_t needed = connections + kOtherDescriptors;
  if (limit.rlim_max < needed) {
    throw std::runtime_error(std::to_string(connections) + " connections need " + std::to_string(needed) +
                             " open files; the hard limit (ulimit -Hn) is " + std::to_string(limit.rlim_max));
  }
  limit.rlim_cur = std::max(limit.rlim_cur, needed);
  base::require(setrlimit(RLIMIT_NOFILE, &limit), "raise the limit of open files");
}

}  // namespace limpet::bench
