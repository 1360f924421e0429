#include "worker/process/client_address.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "worker/http/request.h"

namespace limpet::process {
namespace {

std::string_view trim(std::string_view text) {
  const auto from = text.find_first_not_of(" \t");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

/// "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80"; no address otherwise.
PeerAddress node_of(std::string_view text) {
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return {};
    host = text.substr(1, end - 1);
    port = text.substr(end + 1);
    if (host.find(':') == std::string_view::npos || (!port.empty() && port.front() != ':')) return {};
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    host = text.substr(0, text.find(':'));
    port = text.substr(text.find(':'));
  }
  std::uint16_t number = 0;
  if (!port.empty()) {
    const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
    // RFC 7239 section 6.3: the port may be hidden (_name) as well.
    if (port.size() < 2 || (port[1] != '_' && (error != std::errc() || end != port.data() + port.size())))
      return {};
  }
  return PeerAddress::from_text(host, number);
}

/// The elements of a comma-separated list in which commas may be quoted, in order.
template <class Visit>
void each_part(std::string_view list, char separator, Visit visit) {
  bool quoted = false;
  std::size_t from = 0;
  for (std::size_t at = 0; at <= list.size(); ++at) {
    if (at < list.size() && list[at] == '"') quoted = !quoted;
    if (at < list.size() && (quoted || list[at] != separator)) continue;
    visit(trim(list.substr(from, at - from)));
    from = at + 1;
  }
}

/// The `for` of one element of Forwarded, without quotes; empty if it has none.
std::string_view for_of(std::string_view element) {
  std::string_view found;
  each_part(element, ';', [&found](std::string_view pair) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || !http::equal_ignoring_case(trim(pair.substr(0, equals)), "for"))
      return;
    std::string_view value = trim(pair.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    found = value;
  });
  return found;
}

/// Every node that the header's lines name, from left to right; RFC 9110 section 5.3: they are one list.
std::vector<std::string_view> nodes_of(AddressHeader header, std::string_view raw_head) {
  const std::string_view wanted = header == AddressHeader::Forwarded ? "Forwarded" : "X-Forwarded-For";
  std::vector<std::string_view> nodes;
  std::size_t cursor = 0;
  std::string_view name;
  std::string_view value;
  while (http::next_header(raw_head, cursor, name, value)) {
    if (!http::equal_ignoring_case(name, wanted)) continue;
    each_part(value, ',', [&](std::string_view element) {
      if (element.empty()) return;
      nodes.push_back(header == AddressHeader::Forwarded ? for_of(element) : element);
    });
  }
  return nodes;
}

}  // namespace

bool is_trusted(const PeerAddress& peer, const std::vector<ipc::Network>& trusted) noexcept {
  return std::any_of(trusted.begin(), trusted.end(), [&peer](const ipc::Network& network) {
    return network.contains(peer.family(), peer.bytes());
  });
}

std::optional<PeerAddress> forwarded_client(const PeerAddress& peer, const std::vector<ipc::Network>& trusted,
                                            AddressHeader header, std::string_view raw_head) {
  if (!is_trusted(peer, trusted)) return std::nullopt;
  std::optional<PeerAddress> client;
  const auto nodes = nodes_of(header, raw_head);
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
    const PeerAddress named = node_of(*node);
    if (named.family() == AF_UNSPEC) break;
    client = named;
    if (!is_trusted(named, trusted)) break;
  }
  return client;
}

}  // namespace limpet::process
