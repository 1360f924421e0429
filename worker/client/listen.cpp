#include "worker/client/listen.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

#include "base/address.h"

namespace limpet::client {
namespace {

constexpr int kBacklog = 4096;

/// The file of a Unix socket whose server has died: nobody listens there.
bool remove_stale(const base::Address& address) {
  const base::Descriptor probe(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(probe.get(), address.get(), address.length) == 0 || errno != ECONNREFUSED) return false;
  return ::unlink(address.path().c_str()) == 0;
}

void bind_to(const base::Descriptor& socket, const base::Address& address, const std::string& attempt) {
  if (::bind(socket.get(), address.get(), address.length) == 0) return;
  const int error = errno;
  if (!address.is_unix() || error != EADDRINUSE || !remove_stale(address))
    base::throw_system_error(attempt, error);
  base::require(::bind(socket.get(), address.get(), address.length), attempt);
}

}  // namespace

base::Descriptor listen_on(std::string_view text) {
  std::string why;
  const auto address = base::parse_address(text, &why);
  if (!address) throw std::invalid_argument("listen: " + why);
  const std::string attempt = "listen on " + std::string(text);
  base::Descriptor listener(
      base::require(::socket(address->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), attempt));
  const int on = 1;
  const int off = 0;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address->family() == AF_INET6) {
    ::setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  bind_to(listener, *address, attempt);
  base::require(::listen(listener.get(), kBacklog), attempt);
  return listener;
}

std::string address_of(const base::Descriptor& listener) {
  base::Address address;
  address.length = sizeof address.storage;
  base::require(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.length),
                "name a listening socket");
  return to_text(address);
}

}  // namespace limpet::client
