#include "worker/http/request.h"

// GCC 12 with sanitizers sees an uninitialised boost::optional inside Beast, wrongly.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cctype>
#include <initializer_list>
#include <limits>

namespace limpet::http {

namespace {

namespace beast_http = boost::beast::http;
using HeadParser = beast_http::request_parser<beast_http::empty_body>;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

ParsedHead bad(int status) noexcept { return {HeadStatus::Bad, status, {}}; }

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

int hex_digit(char c) noexcept {
  if (is_digit(c)) return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/// The methods of RFC 9110 and 5789 without those that nothing here could serve, CONNECT and TRACE.
bool is_implemented(std::string_view method) noexcept {
  return method == "GET" || method == "HEAD" || method == "POST" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS" || method == "PATCH";
}

constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kDigits = "0123456789";

/// One entry for each byte: is it one of these?
class Alphabet {
 public:
  constexpr Alphabet(std::initializer_list<std::string_view> parts) {
    for (const std::string_view part : parts)
      for (const char c : part) has_[static_cast<unsigned char>(c)] = true;
  }
  [[nodiscard]] constexpr bool has(char c) const noexcept { return has_[static_cast<unsigned char>(c)]; }
  [[nodiscard]] bool has_all(std::string_view text) const noexcept {
    return std::all_of(text.begin(), text.end(), [this](char c) { return has(c); });
  }

 private:
  std::array<bool, 256> has_{};
};
constexpr Alphabet kTokenBytes{kLetters, kDigits, "!#$%&'*+-.^_`|~"};
constexpr Alphabet kNameBytes{kLetters, kDigits, "-._~", "!$&'()*+,;=", "%"};
constexpr Alphabet kLiteralBytes{kLetters, kDigits, "-._~", "!$&'()*+,;=", ":"};

/// RFC 3986 section 3.2.2, `[` and `]` taken off: an IPv6 address, or "v1.something".
bool is_address_literal(std::string_view text) noexcept {
  if (!text.empty() && lower(text.front()) == 'v') {
    const auto dot = text.find('.');
    if (dot == std::string_view::npos || dot < 2 || dot + 1 == text.size()) return false;
    const std::string_view version = text.substr(1, dot - 1);
    return std::all_of(version.begin(), version.end(), [](char c) { return hex_digit(c) >= 0; }) &&
           kLiteralBytes.has_all(text.substr(dot + 1));
  }
  char address[INET6_ADDRSTRLEN] = {};
  if (text.size() >= sizeof address) return false;
  text.copy(address, text.size());
  in6_addr parsed;
  return ::inet_pton(AF_INET6, address, &parsed) == 1;
}

bool has_whole_escapes(std::string_view text) noexcept {
  for (auto at = text.find('%'); at != std::string_view::npos; at = text.find('%', at + 1)) {
    if (at + 2 >= text.size() || hex_digit(text[at + 1]) < 0 || hex_digit(text[at + 2]) < 0) return false;
  }
  return true;
}

/// `uri-host [ ":" port ]` (RFC 9110 section 7.2); never with user information. May be empty.
bool is_host(std::string_view text) noexcept {
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos || !is_address_literal(text.substr(1, end - 1))) return false;
    port = text.substr(end + 1);
  } else {
    const std::string_view name = text.substr(0, text.find(':'));
    if (!kNameBytes.has_all(name) || !has_whole_escapes(name)) return false;
    port = text.substr(name.size());
  }
  return port.empty() || (port.front() == ':' && std::all_of(port.begin() + 1, port.end(), is_digit));
}

/// "http://host:80/a?b": gives "/a?b". Nothing: it is no such URL.
std::optional<std::string_view> without_authority(std::string_view url) noexcept {
  const auto scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return std::nullopt;
  const std::string_view scheme = url.substr(0, scheme_end);
  if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https")) return std::nullopt;
  url.remove_prefix(scheme_end + 3);
  const std::string_view authority = url.substr(0, url.find_first_of("/?"));
  // RFC 9110 section 4.2.1: a URL without a host is invalid.
  if (authority.empty() || authority.front() == ':' || !is_host(authority)) return std::nullopt;
  return url.substr(authority.size());
}

/// RFC 9112 section 3.2. False: in none of the forms that its method may have.
bool take_target(RequestHead& head, std::string_view target) noexcept {
  if (head.method == "CONNECT") {
    head.target = head.path = target;
    return !target.empty() && is_host(target);
  }
  // A fragment is the client's own business and is never sent.
  if (target.empty() || target.find('#') != std::string_view::npos) return false;
  if (target != "*" && target.front() != '/') {
    const auto rest = without_authority(target);
    if (!rest) return false;
    // RFC 9112 section 3.2.4: this is how a proxy is asked for "OPTIONS *".
    target = rest->empty() && head.method == "OPTIONS" ? std::string_view("*") : *rest;
  } else if (target == "*" && head.method != "OPTIONS") {
    return false;
  }
  const auto question = target.find('?');
  head.path = target.substr(0, question);
  if (question != std::string_view::npos) head.query = target.substr(question + 1);
  head.target = head.path.empty() ? std::string_view("/") : target;
  if (head.path.empty()) head.path = head.target;
  return true;
}

/// Gives the status to refuse with, or 0.
int take_request_line(RequestHead& head) noexcept {
  const std::string_view line = head.raw.substr(0, head.raw.find("\r\n"));
  const auto method_end = line.find(' ');
  const auto target_end = method_end == std::string_view::npos ? method_end : line.find(' ', method_end + 1);
  if (target_end == std::string_view::npos) return 400;
  head.method = line.substr(0, method_end);
  const std::string_view version = line.substr(target_end + 1);
  const bool is_version = version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) &&
                          version[6] == '.' && is_digit(version[7]);
  if (!is_version || !is_token(head.method)) return 400;
  if (version[5] != '1' || version[7] > '1') return 505;
  head.implemented = is_implemented(head.method);
  head.version = version[7] == '1' ? 11 : 10;
  return take_target(head, line.substr(method_end + 1, target_end - method_end - 1)) ? 0 : 400;
}

/// What the header lines say that this layer acts on, and how often.
struct HeaderLines {
  int hosts = 0;
  int lengths = 0;
  bool close = false;  ///< of Connection's tokens
  bool keep_alive = false;
  bool upgrade = false;
  std::string_view encoding;  ///< of the last line
  int encodings = 0;
};

/// RFC 9112 sections 6.1 and 6.3. A body whose last coding is not chunked has no end that anybody knows.
/// Empty elements of the list are refused as well: a reader before us who does not pass over them sees
/// another end.
int refuse_encoding(const HeaderLines& lines, const RequestHead& head) noexcept {
  if (lines.lengths > 0 || head.version == 10) return 400;
  if (lines.encodings == 1 && equal_ignoring_case(lines.encoding, "chunked")) return 0;
  const auto comma = lines.encoding.rfind(',');
  const auto last = trim(comma == std::string_view::npos ? lines.encoding : lines.encoding.substr(comma + 1));
  const bool twice = comma != std::string_view::npos && has_token(lines.encoding.substr(0, comma), "chunked");
  return equal_ignoring_case(last, "chunked") && lines.encodings == 1 && !twice ? 501 : 400;
}

int take_line(RequestHead& head, HeaderLines& lines, std::string_view name, std::string_view value) noexcept {
  if (equal_ignoring_case(name, "Host")) {
    ++lines.hosts;
    if (!is_host(value)) return 400;
  } else if (equal_ignoring_case(name, "Content-Length")) {
    ++lines.lengths;
    // Beast would take a list of equal ones.
    if (value.empty() || !std::all_of(value.begin(), value.end(), is_digit)) return 400;
  } else if (equal_ignoring_case(name, "Transfer-Encoding")) {
    ++lines.encodings;
    lines.encoding = value;
  } else if (equal_ignoring_case(name, "Connection")) {
    lines.close = lines.close || has_token(value, "close");
    lines.keep_alive = lines.keep_alive || has_token(value, "keep-alive");
    lines.upgrade = lines.upgrade || has_token(value, "upgrade");
  } else if (equal_ignoring_case(name, "Upgrade")) {
    head.upgrade = head.upgrade || has_token(value, "websocket");
  } else if (equal_ignoring_case(name, "Expect") && head.version == 11) {
    std::string_view expectation;
    while (next_element(value, expectation)) {
      if (!equal_ignoring_case(expectation, "100-continue")) return 417;
      head.expect_continue = true;
    }
  }
  return 0;
}

/// What Beast leaves open. Gives the status to refuse with, or 0.
int check_headers(RequestHead& head) noexcept {
  HeaderLines lines;
  std::size_t cursor = 0;
  std::string_view name;
  std::string_view value;
  while (next_header(head.raw, cursor, name, value)) {
    // RFC 9112 section 5.2: a line that begins with a blank continues the one before. Refusing it is allowed,
    // and spares every later reader of the raw head from knowing of it.
    if (*(name.data() - 1) != '\n') return 400;
    if (const int status = take_line(head, lines, name, value); status != 0) return status;
  }
  // What stopped the walk is no header line, but such a continuation.
  if (cursor + 2 != head.raw.size()) return 400;
  if (lines.hosts > 1 || (lines.hosts == 0 && head.version == 11) || lines.lengths > 1) return 400;
  // RFC 9112 section 9.3. Beast counts Proxy-Connection too, which is for the proxy before us (C.2.2).
  head.keep_alive = !lines.close && (head.version == 11 || lines.keep_alive);
  // RFC 9110 section 7.8: of HTTP/1.0 an Upgrade is ignored.
  head.upgrade = head.upgrade && lines.upgrade && head.version == 11;
  head.chunked = lines.encodings > 0;
  return head.chunked ? refuse_encoding(lines, head) : 0;
}

ParsedHead parse_whole(std::string_view raw) {
  ParsedHead parsed{HeadStatus::Complete, 0, {}};
  RequestHead& head = parsed.head;
  head.raw = raw;
  // First, because Beast cannot say what is wrong with it.
  if (const int status = take_request_line(head); status != 0) return bad(status);
  HeadParser parser;
  parser.header_limit(std::numeric_limits<std::uint32_t>::max());
  parser.body_limit(boost::none);
  parser.eager(false);
  boost::beast::error_code error;
  parser.put(boost::asio::buffer(raw.data(), raw.size()), error);
  if (error && error != beast_http::error::need_more) return bad(400);
  if (!parser.is_header_done()) return bad(400);
  if (const auto length = parser.content_length()) head.content_length = *length;
  if (const int status = check_headers(head); status != 0) return bad(status);
  return parsed;
}

struct HeadEnd {
  std::size_t bytes = 0;  ///< of the whole head; 0: its end has not come
  bool bare_line_feed = false;
};

/// Goes from line to line. A line feed alone ends none (RFC 9112 section 2.2): where one reader takes it for
/// an end and another does not, each sees another request. `from`: line feeds before it are known to be good.
HeadEnd find_end(std::string_view bytes, std::size_t from) noexcept {
  for (auto at = bytes.find('\n', from); at != std::string_view::npos; at = bytes.find('\n', at + 1)) {
    if (at == 0 || bytes[at - 1] != '\r') return {0, true};
    if (at >= 3 && bytes[at - 2] == '\n') return {at + 1, false};
  }
  return {};
}

}  // namespace

ParsedHead parse_head(std::string_view bytes, std::size_t limit_bytes, std::size_t searched) {
  // A TLS hello and other noise need not wait for a time-out.
  if (!bytes.empty() && std::isalpha(static_cast<unsigned char>(bytes.front())) == 0) return bad(400);
  // Nothing behind the limit is looked at: the answer must not depend on how much has come at once.
  const HeadEnd end = find_end(bytes.substr(0, limit_bytes), searched);
  if (end.bare_line_feed) return bad(400);
  if (end.bytes == 0) return bytes.size() < limit_bytes ? ParsedHead{} : bad(431);
  try {
    return parse_whole(bytes.substr(0, end.bytes));
  } catch (const std::exception&) {
    return bad(400);
  }
}

bool next_header(std::string_view raw_head, std::size_t& cursor, std::string_view& name,
                 std::string_view& value) noexcept {
  if (cursor == 0) {
    const auto line_end = raw_head.find("\r\n");
    cursor = line_end == std::string_view::npos ? raw_head.size() : line_end + 2;
  }
  if (cursor >= raw_head.size()) return false;
  const std::string_view line = raw_head.substr(cursor, raw_head.find("\r\n", cursor) - cursor);
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return false;  // the empty line
  name = trim(line.substr(0, colon));
  value = trim(line.substr(colon + 1));
  cursor += line.size() + 2;
  return true;
}

std::string_view find_header(std::string_view raw_head, std::string_view name) noexcept {
  std::size_t cursor = 0;
  std::string_view candidate;
  std::string_view value;
  while (next_header(raw_head, cursor, candidate, value)) {
    if (equal_ignoring_case(candidate, name)) return value;
  }
  return {};
}

std::string_view target_of(std::string_view raw_head) noexcept {
  RequestHead head;
  head.raw = raw_head;
  return take_request_line(head) == 0 ? head.target : std::string_view();
}

std::string_view trim(std::string_view text) noexcept {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool is_token(std::string_view text) noexcept { return !text.empty() && kTokenBytes.has_all(text); }

std::string_view RequestHead::header(std::string_view name) const noexcept { return find_header(raw, name); }

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

bool next_element(std::string_view& list, std::string_view& element) noexcept {
  while (!list.empty()) {
    const auto comma = list.find(',');
    element = trim(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    if (!element.empty()) return true;
  }
  return false;
}

bool has_token(std::string_view list, std::string_view token) noexcept {
  std::string_view element;
  while (next_element(list, element))
    if (equal_ignoring_case(element, token)) return true;
  return false;
}

bool next_parameter(std::string_view query, std::size_t& cursor, std::string_view& name,
                    std::string_view& value) noexcept {
  while (cursor < query.size()) {
    const std::string_view pair = query.substr(cursor, query.find('&', cursor) - cursor);
    cursor += pair.size() + 1;
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    name = pair.substr(0, equals);
    value = equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    return true;
  }
  return false;
}

std::optional<std::string_view> raw_query_value(std::string_view query, std::string_view name) noexcept {
  std::size_t cursor = 0;
  std::string_view candidate;
  std::string_view value;
  while (next_parameter(query, cursor, candidate, value)) {
    if (candidate == name) return value;
  }
  return std::nullopt;
}

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  const auto raw = raw_query_value(query, name);
  if (!raw) return std::nullopt;
  return decode_component(*raw);
}

std::string decode_component(std::string_view text) {
  std::string decoded(text.size(), '\0');
  char* to = decoded.data();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high >= 0 && low >= 0) {
        *to++ = static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    *to++ = text[i] == '+' ? ' ' : text[i];
  }
  decoded.resize(static_cast<std::size_t>(to - decoded.data()));
  return decoded;
}

}  // namespace limpet::http
