#include "worker/process/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <stdexcept>

namespace limpet::process {
namespace {

constexpr int kBacklog = 4096;

struct Endpoint {
  sockaddr_storage address{};
  socklen_t size = 0;
};

[[noreturn]] void refuse(std::string_view address) {
  throw std::invalid_argument("listen: " + std::string(address) +
                              ": wants tcp://ADDRESS:PORT, as tcp://0.0.0.0:3000 or tcp://[::1]:0");
}

Endpoint parse(std::string_view text) {
  constexpr std::string_view kScheme = "tcp://";
  if (!text.starts_with(kScheme)) refuse(text);
  const std::string_view rest = text.substr(kScheme.size());
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) refuse(text);
  std::uint16_t port = 0;
  const std::string_view digits = rest.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) refuse(text);

  std::string host(rest.substr(0, colon));
  Endpoint endpoint;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(endpoint.address);
    host = host.substr(1, host.size() - 2);
    if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) refuse(text);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    endpoint.size = sizeof v6;
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(endpoint.address);
    if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) != 1) refuse(text);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    endpoint.size = sizeof v4;
  }
  return endpoint;
}

}  // namespace

ipc::Descriptor listen_on(std::string_view address) {
  const Endpoint endpoint = parse(address);
  const std::string attempt = "listen on " + std::string(address);
  ipc::Descriptor listener(ipc::require(
      ::socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), attempt));
  const int on = 1;
  const int off = 0;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (endpoint.address.ss_family == AF_INET6) {
    ::setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  ipc::require(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.size),
               attempt);
  ipc::require(::listen(listener.get(), kBacklog), attempt);
  return listener;
}

std::string address_of(const ipc::Descriptor& listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ipc::require(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size),
               "name a listening socket");
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    return "tcp://[" + std::string(text.data()) + "]:" + std::to_string(ntohs(v6.sin6_port));
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
  ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
  return "tcp://" + std::string(text.data()) + ":" + std::to_string(ntohs(v4.sin_port));
}

}  // namespace limpet::process
