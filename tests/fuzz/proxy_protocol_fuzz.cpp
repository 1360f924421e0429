// Whatever stands where a PROXY protocol header should: the verdict on a part of it is never taken back, and
// a header reads the same whatever stands behind it. The first byte chooses what the header begins with.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "worker/client/proxy_protocol.h"

namespace {

using namespace limpet::process;
using Status = ProxyHeader::Status;

void require(bool condition) {
  if (!condition) std::abort();
}

bool same(const PeerAddress& a, const PeerAddress& b) {
  return a.family() == b.family() && a.port() == b.port() && a.text() == b.text();
}

bool same(const ProxyHeader& a, const ProxyHeader& b) {
  if (a.status != b.status || a.bytes != b.bytes || a.client.has_value() != b.client.has_value())
    return false;
  return !a.client || same(*a.client, *b.client);
}

std::string big_endian(std::uint16_t number) {
  return {static_cast<char>(number >> 8), static_cast<char>(number & 255U)};
}

std::string line_of(const PeerAddress& client) {
  const std::string text = client.text() + ' ';
  const std::string port = std::to_string(client.port());
  return (client.family() == AF_INET ? "PROXY TCP4 " : "PROXY TCP6 ") + text + text + port + " 1\r\n";
}

std::string binary_of(const PeerAddress& client) {
  const std::string bytes(client.bytes().begin(), client.bytes().end());
  const std::string rest = bytes + bytes + big_endian(client.port()) + big_endian(1);
  std::string header("\r\n\r\n\0\r\nQUIT\n\x21", 13);
  header += client.family() == AF_INET ? '\x11' : '\x21';
  return header + big_endian(static_cast<std::uint16_t>(rest.size())) + rest;
}

/// Both versions say the same of it, and its text is nothing else.
void check_client(const PeerAddress& client) {
  require(client.family() == AF_INET || client.family() == AF_INET6);
  require(same(PeerAddress::from_text(client.text(), client.port()), client));
  for (const std::string& header : {line_of(client), binary_of(client)}) {
    const ProxyHeader again = parse_proxy_header(header);
    require(again.status == Status::Complete && again.bytes == header.size());
    require(again.client && same(*again.client, client));
  }
}

/// A line has nothing in it but what the protocol lets a proxy write there.
void check_line(std::string_view line, const ProxyHeader& header) {
  require(line.size() <= 107 && line.ends_with("\r\n"));
  if (!header.client) return;
  require(line.find_first_not_of("0123456789abcdefABCDEFPROXYTC:. \r\n") == std::string_view::npos);
  // An IPv4 address can be written in one way only.
  if (line.starts_with("PROXY TCP4 ")) require(line.starts_with("PROXY TCP4 " + header.client->text() + ' '));
}

void check_piece(std::string_view bytes, std::size_t size, const ProxyHeader& whole) {
  const ProxyHeader part = parse_proxy_header(bytes.substr(0, size));
  if (part.status == Status::Incomplete) {
    require(whole.status != Status::Complete || size < whole.bytes);
  } else {
    require(same(part, whole));
  }
}

void check(std::string_view bytes) {
  const ProxyHeader whole = parse_proxy_header(bytes);
  for (std::size_t size = 0; size <= bytes.size(); ++size) check_piece(bytes, size, whole);
  require((whole.status == Status::Bad) == !std::string_view(whole.why).empty());
  if (whole.status == Status::Incomplete) require(bytes.size() < kProxyHeaderLimitBytes);
  if (whole.status != Status::Complete) return require(whole.bytes == 0 && !whole.client);
  require(whole.bytes > 0 && whole.bytes <= bytes.size() && whole.bytes <= kProxyHeaderLimitBytes);
  if (bytes.starts_with("PROXY ")) check_line(bytes.substr(0, whole.bytes), whole);
  if (whole.client) check_client(*whole.client);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 2 * kProxyHeaderLimitBytes) return 0;
  static const std::array beginnings = {std::string(), std::string("PROXY TCP4 "), std::string("PROXY TCP6 "),
                                        std::string("\r\n\r\n\0\r\nQUIT\n", 12)};
  const std::string& beginning = beginnings[data[0] % beginnings.size()];
  check(beginning + std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
