#include "worker/process/listen.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <stdexcept>

#include "ipc/address.h"

namespace limpet::process {
namespace {

constexpr int kBacklog = 4096;

}  // namespace

ipc::Descriptor listen_on(std::string_view text) {
  std::string why;
  const auto address = ipc::parse_address(text, &why);
  if (!address) throw std::invalid_argument("listen: " + why);
  const std::string attempt = "listen on " + std::string(text);
  ipc::Descriptor listener(
      ipc::require(::socket(address->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), attempt));
  const int on = 1;
  const int off = 0;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address->family() == AF_INET6) {
    ::setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  ipc::require(::bind(listener.get(), address->get(), address->length), attempt);
  ipc::require(::listen(listener.get(), kBacklog), attempt);
  return listener;
}

std::string address_of(const ipc::Descriptor& listener) {
  ipc::Address address;
  address.length = sizeof address.storage;
  ipc::require(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.length),
               "name a listening socket");
  return to_text(address);
}

}  // namespace limpet::process
