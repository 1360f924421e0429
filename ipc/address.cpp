#include "ipc/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>

#include "ipc/descriptor.h"

namespace limpet::ipc {
namespace {

constexpr std::string_view kScheme = "tcp://";

sockaddr_in& as_ipv4(sockaddr_storage* storage) { return *reinterpret_cast<sockaddr_in*>(storage); }
sockaddr_in6& as_ipv6(sockaddr_storage* storage) { return *reinterpret_cast<sockaddr_in6*>(storage); }

bool ipv6_exists() {
  return static_cast<bool>(Descriptor(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)));
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::optional<Address> parse_host(std::string host) {
  Address result;
  if (host == "*") host = ipv6_exists() ? "[::]" : "0.0.0.0";
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    result.storage.ss_family = AF_INET6;
    result.length = sizeof(sockaddr_in6);
    if (::inet_pton(AF_INET6, host.c_str(), &as_ipv6(&result.storage).sin6_addr) != 1) return std::nullopt;
    return result;
  }
  result.storage.ss_family = AF_INET;
  result.length = sizeof(sockaddr_in);
  if (::inet_pton(AF_INET, host.c_str(), &as_ipv4(&result.storage).sin_addr) != 1) return std::nullopt;
  return result;
}

}  // namespace

std::uint16_t Address::port() const noexcept {
  sockaddr_storage copy = storage;
  return ntohs(family() == AF_INET6 ? as_ipv6(&copy).sin6_port : as_ipv4(&copy).sin_port);
}

void Address::set_port(std::uint16_t port) noexcept {
  (family() == AF_INET6 ? as_ipv6(&storage).sin6_port : as_ipv4(&storage).sin_port) = htons(port);
}

std::optional<Address> parse_address(std::string_view text, std::string* why) {
  *why = fmt::format(
      "'{}' is no address; tcp://ADDRESS:PORT is one, with PORT from 0 to 65535, such as "
      "tcp://127.0.0.1:3000, "
      "tcp://[::]:3000",
      text);
  if (!text.starts_with(kScheme)) return std::nullopt;
  const std::string_view rest = text.substr(kScheme.size());
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_port(rest.substr(colon + 1));
  auto result = parse_host(std::string(rest.substr(0, colon)));
  if (!port || !result) return std::nullopt;
  result->set_port(*port);
  return result;
}

std::string to_text(const Address& address) {
  char host[INET6_ADDRSTRLEN] = "?";
  sockaddr_storage copy = address.storage;
  if (address.family() == AF_INET6) {
    ::inet_ntop(AF_INET6, &as_ipv6(&copy).sin6_addr, host, sizeof host);
    return fmt::format("{}[{}]:{}", kScheme, host, address.port());
  }
  ::inet_ntop(AF_INET, &as_ipv4(&copy).sin_addr, host, sizeof host);
  return fmt::format("{}{}:{}", kScheme, host, address.port());
}

}  // namespace limpet::ipc
