// Whatever stands in the header in which proxies name the client. The input is what a client may have
// invented and what a trusted proxy has put behind it, apart by the first NUL; its first byte chooses the
// header.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/client/client_address.h"
#include "worker/http/request.h"

namespace {

using namespace limpet;
using client::AddressHeader;
using client::PeerAddress;

void require(bool condition) {
  if (!condition) std::abort();
}

const std::vector<base::Network>& proxies() {
  static const std::vector<base::Network> networks = [] {
    std::string why;
    return std::vector{base::parse_network("10.0.0.0/8", &why).value(),
                       base::parse_network("fd00::/8", &why).value()};
  }();
  return networks;
}

const char* name_of(AddressHeader header) {
  return header == AddressHeader::Forwarded ? "Forwarded" : "X-Forwarded-For";
}

/// A line of that header.
std::string line(AddressHeader header, std::string_view value) {
  return name_of(header) + std::string(": ").append(value) + "\r\n";
}

/// "-": nobody is named; nothing: a head that gets a 400 and never comes so far.
std::optional<std::string> client(AddressHeader header, const std::string& lines,
                                  std::string_view peer = "10.0.0.1") {
  const std::string bytes = "GET / HTTP/1.1\r\nHost: x\r\n" + lines + "\r\n";
  const http::ParsedHead parsed = http::parse_head(bytes, 1 << 20);
  if (parsed.status != http::HeadStatus::Complete || parsed.head.raw.size() != bytes.size())
    return std::nullopt;
  const auto found =
      client::forwarded_client(PeerAddress::from_text(peer, 1), proxies(), header, parsed.head.raw);
  if (!found) return "-";
  const PeerAddress again = PeerAddress::from_text(found->text(), found->port());
  require(again.family() == found->family() && again.text() == found->text() &&
          again.port() == found->port());
  return found->text();
}

bool is_nobody_or_proxy(const std::string& text) {
  return text == "-" || client::is_trusted(PeerAddress::from_text(text, 0), proxies());
}

void check(AddressHeader header, std::string_view invented, std::string_view written) {
  const AddressHeader other =
      header == AddressHeader::Forwarded ? AddressHeader::XForwardedFor : AddressHeader::Forwarded;
  const std::string list = std::string(invented) + "," + std::string(written);
  const auto of_list = client(header, line(header, list));
  const auto of_written = client(header, line(header, written));
  if (!of_list || !of_written) return;
  // Whoever a proxy has named as the first that it does not trust, that is he.
  if (!is_nobody_or_proxy(*of_written)) require(*of_list == *of_written);
  const auto of_lines = client(header, line(header, invented) + line(header, written));
  require(of_lines.has_value());
  if (!is_nobody_or_proxy(*of_written)) require(*of_lines == *of_written);
  // Several lines are one list. In quotes, no comma ends an element.
  if (written.find('"') == std::string_view::npos || header == AddressHeader::XForwardedFor)
    require(*of_lines == *of_list);
  require(*client(header, line(other, "1.2.3.4") + line(header, list) + line(other, list)) == *of_list);
  require(*client(header, line(header, list), "192.0.2.1") == "-");
  require(*client(header, line(header, list), "") == "-");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 4096) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (text.find_first_of("\r\n") != std::string_view::npos) return 0;  // other lines than those meant
  const std::size_t invented = std::min(text.find('\0'), text.size());
  const std::size_t written = std::min(invented + 1, text.size());
  check(data[0] % 2 == 0 ? AddressHeader::XForwardedFor : AddressHeader::Forwarded, text.substr(0, invented),
        text.substr(written));
  return 0;
}
