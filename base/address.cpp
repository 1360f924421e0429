#include "base/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/descriptor.h"

namespace limpet::base {
namespace {

constexpr std::string_view kScheme = "tcp://";
constexpr std::string_view kUnixScheme = "unix://";
/// With a zero byte behind it (unix(7)).
constexpr std::size_t kLongestPath = sizeof(sockaddr_un::sun_path) - 1;

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
  if (host.find('\0') != std::string::npos) return std::nullopt;  // inet_pton would end there
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

std::optional<Address> parse_path(std::string_view path, std::string* why) {
  if (!path.starts_with('/') || path.size() < 2 || path.ends_with('/')) {
    *why = fmt::format("'{}{}' is no address; unix:///PATH is one, such as unix:///run/app/limpet.sock",
                       kUnixScheme, path);
    return std::nullopt;
  }
  if (path.size() > kLongestPath || path.find('\0') != std::string_view::npos) {
    *why = fmt::format("'{}{}': its path has {} bytes; {} is the most of a Unix socket", kUnixScheme, path,
                       path.size(), kLongestPath);
    return std::nullopt;
  }
  Address result;
  auto& address = *reinterpret_cast<sockaddr_un*>(&result.storage);
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.sun_path);
  result.length = sizeof address;
  return result;
}

}  // namespace

std::string Address::path() const {
  const auto& address = *reinterpret_cast<const sockaddr_un*>(&storage);
  return {address.sun_path, ::strnlen(address.sun_path, sizeof address.sun_path)};
}

bool Address::is_any() const noexcept {
  sockaddr_storage copy = storage;
  if (family() == AF_INET) return as_ipv4(&copy).sin_addr.s_addr == htonl(INADDR_ANY);
  return family() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&as_ipv6(&copy).sin6_addr) != 0;
}

std::uint16_t Address::port() const noexcept {
  if (is_unix()) return 0;
  sockaddr_storage copy = storage;
  return ntohs(family() == AF_INET6 ? as_ipv6(&copy).sin6_port : as_ipv4(&copy).sin_port);
}

void Address::set_port(std::uint16_t port) noexcept {
  (family() == AF_INET6 ? as_ipv6(&storage).sin6_port : as_ipv4(&storage).sin_port) = htons(port);
}

std::optional<Address> parse_address(std::string_view text, std::string* why) {
  if (text.starts_with(kUnixScheme)) return parse_path(text.substr(kUnixScheme.size()), why);
  *why = fmt::format(
      "'{}' is no address; tcp://ADDRESS:PORT is one, with PORT from 0 to 65535, such as "
      "tcp://127.0.0.1:3000, tcp://[::]:3000, and unix:///PATH",
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
  if (address.is_unix()) return fmt::format("{}{}", kUnixScheme, address.path());
  char host[INET6_ADDRSTRLEN] = "?";
  sockaddr_storage copy = address.storage;
  if (address.family() == AF_INET6) {
    ::inet_ntop(AF_INET6, &as_ipv6(&copy).sin6_addr, host, sizeof host);
    return fmt::format("{}[{}]:{}", kScheme, host, address.port());
  }
  ::inet_ntop(AF_INET, &as_ipv4(&copy).sin_addr, host, sizeof host);
  return fmt::format("{}{}:{}", kScheme, host, address.port());
}

}  // namespace limpet::base
