// Addresses and networks as operators write them: what is admitted is written again as the same, has no byte
// in it that was overlooked, and a network has its own first and last address in it.
#include <arpa/inet.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/network.h"

namespace {

using namespace limpet::ipc;

void require(bool condition) {
  if (!condition) std::abort();
}

bool consists_of(std::string_view text, std::string_view characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

bool same(const Address& a, const Address& b) {
  return a.length == b.length && std::memcmp(&a.storage, &b.storage, sizeof a.storage) == 0;
}

void check_address(std::string_view text) {
  std::string why;
  const auto address = parse_address(text, &why);
  if (!address) return require(!why.empty());
  const std::string again = to_text(*address);
  require(same(parse_address(again, &why).value(), *address));
  require(address->is_unix() == text.starts_with("unix://"));
  if (address->is_unix()) return require(again == text && address->port() == 0);
  require(consists_of(text.substr(6), "0123456789abcdefABCDEFx.:[]*"));
  const std::string port(text.substr(text.rfind(':') + 1));
  require(std::stoul(port) == address->port());
}

std::string text_of(const Network& network) {
  if (network.family == AF_UNSPEC) return "unix";
  std::array<char, INET6_ADDRSTRLEN> host{};
  require(::inet_ntop(network.family, network.bytes.data(), host.data(), host.size()) != nullptr);
  return std::string(host.data()) + "/" + std::to_string(network.prefix_bits);
}

void check_network(std::string_view text) {
  std::string why;
  const auto network = parse_network(text, &why);
  if (!network) return require(!why.empty());
  require(text == "unix" || consists_of(text, "0123456789abcdefABCDEF.:/"));
  require(parse_network(text_of(*network), &why).value() == *network);
  if (network->family == AF_UNSPEC) return require(network->contains(AF_UNSPEC, {}));
  std::array<std::uint8_t, 16> last = network->bytes;
  const std::size_t bytes = network->family == AF_INET ? 4 : 16;
  for (std::size_t bit = network->prefix_bits; bit < bytes * 8; ++bit)
    last[bit / 8] = static_cast<std::uint8_t>(last[bit / 8] | (0x80U >> (bit % 8)));
  require(network->contains(network->family, std::span(network->bytes).first(bytes)));
  require(network->contains(network->family, std::span(last).first(bytes)));
  if (network->prefix_bits == 0) return;
  std::array<std::uint8_t, 16> other = network->bytes;
  const std::size_t bit = network->prefix_bits - 1;
  other[bit / 8] = static_cast<std::uint8_t>(other[bit / 8] ^ (0x80U >> (bit % 8)));
  require(!network->contains(network->family, std::span(other).first(bytes)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 300) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const char* scheme : {"", "tcp://", "tcp://[", "unix:///"}) check_address(scheme + text);
  check_network(text);
  return 0;
}
