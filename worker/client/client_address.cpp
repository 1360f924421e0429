#include "worker/client/client_address.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "worker/http/request.h"

namespace limpet::client {
namespace {

std::string_view trim(std::string_view text) {
  const auto from = text.find_first_not_of(" \t");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

/// RFC 7239 section 6: an underscore, and at least one letter, digit, '.', '_' or '-'.
bool is_obfuscated(std::string_view identifier) {
  return identifier.size() > 1 && identifier.front() == '_' &&
         std::all_of(identifier.begin(), identifier.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                  c == '_' || c == '-';
         });
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
  if (!port.empty() && !is_obfuscated(port.substr(1))) {
    const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
    if (error != std::errc() || end != port.data() + port.size()) return {};
  }
  return PeerAddress::from_text(host, number);
}

/// Is the quote at `at` text within quotes? RFC 9110 section 5.6.4.
bool is_escaped(std::string_view text, std::size_t at) {
  std::size_t backslashes = 0;
  while (backslashes < at && text[at - 1 - backslashes] == '\\') ++backslashes;
  return backslashes % 2 == 1;
}

/// Takes the last part off a list whose parts `separator` sets apart, but not in quotes where there are any.
/// From the right, because that is the end that trusted proxies have written: nothing that a client has
/// invented left of it, such as an open quote, may change what they say.
std::string_view take_last(std::string_view* list, char separator, bool quotes) {
  bool quoted = false;
  for (std::size_t at = list->size(); at-- > 0;) {
    const char byte = (*list)[at];
    if (quotes && byte == '"' && !(quoted && is_escaped(*list, at))) quoted = !quoted;
    if (quoted || byte != separator) continue;
    const std::string_view last = trim(list->substr(at + 1));
    *list = list->substr(0, at);
    return last;
  }
  return trim(std::exchange(*list, {}));
}

/// The `for` of one element of Forwarded, without quotes; empty if it has none.
std::string_view for_of(std::string_view element) {
  while (!element.empty()) {
    const std::string_view pair = take_last(&element, ';', true);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || !http::equal_ignoring_case(trim(pair.substr(0, equals)), "for"))
      continue;
    const std::string_view value = trim(pair.substr(equals + 1));
    const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
    return quoted ? value.substr(1, value.size() - 2) : value;
  }
  return {};
}

/// Every node that the header's lines name, from right to left; RFC 9110 section 5.3: they are one list.
std::vector<std::string_view> nodes_of(AddressHeader header, std::string_view raw_head) {
  const bool is_forwarded = header == AddressHeader::Forwarded;
  std::vector<std::string_view> lines;
  std::size_t cursor = 0;
  std::string_view name;
  std::string_view value;
  while (http::next_header(raw_head, cursor, name, value))
    if (http::equal_ignoring_case(name, is_forwarded ? "Forwarded" : "X-Forwarded-For"))
      lines.push_back(value);
  std::vector<std::string_view> nodes;
  for (; !lines.empty(); lines.pop_back()) {
    while (!lines.back().empty()) {
      const std::string_view element = take_last(&lines.back(), ',', is_forwarded);
      if (!element.empty()) nodes.push_back(is_forwarded ? for_of(element) : element);
    }
  }
  return nodes;
}

}  // namespace

bool is_trusted(const PeerAddress& peer, const std::vector<base::Network>& trusted) noexcept {
  return std::any_of(trusted.begin(), trusted.end(), [&peer](const base::Network& network) {
    return network.contains(peer.family(), peer.bytes());
  });
}

std::optional<PeerAddress> forwarded_client(const PeerAddress& peer,
                                            const std::vector<base::Network>& trusted, AddressHeader header,
                                            std::string_view raw_head) {
  if (!is_trusted(peer, trusted)) return std::nullopt;
  std::optional<PeerAddress> client;
  for (const std::string_view node : nodes_of(header, raw_head)) {
    const PeerAddress named = node_of(node);
    if (named.family() == AF_UNSPEC) break;
    client = named;
    if (!is_trusted(named, trusted)) break;
  }
  return client;
}

}  // namespace limpet::client
