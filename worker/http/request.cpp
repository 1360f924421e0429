#include "worker/http/request.h"

// GCC 12 with sanitizers sees an uninitialised boost::optional inside Beast, wrongly.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cctype>
#include <limits>

namespace limpet::http {

namespace {

namespace beast_http = boost::beast::http;
using HeadParser = beast_http::request_parser<beast_http::empty_body>;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

std::string_view trim(std::string_view text) noexcept {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

ParsedHead bad(int status) noexcept { return {HeadStatus::Bad, status, {}}; }

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Beast calls any version it does not know bad, and anything that is no version as well.
bool names_another_version(std::string_view request_line) noexcept {
  const auto space = request_line.rfind(' ');
  const std::string_view version = request_line.substr(space == std::string_view::npos ? 0 : space + 1);
  return version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) && version[6] == '.' &&
         is_digit(version[7]);
}

/// RFC 9112 section 5.2: a line that begins with a blank continues the one before; refusing it is allowed,
/// and spares every later reader of the raw head from knowing of it.
bool has_folded_line(std::string_view raw) noexcept {
  return raw.find("\n ") != std::string_view::npos || raw.find("\n\t") != std::string_view::npos;
}

/// What Beast leaves open. Gives the status to refuse with, or 0.
int check_headers(RequestHead& head) {
  std::size_t hosts = 0;
  bool encoded = false;
  std::size_t cursor = 0;
  std::string_view name;
  std::string_view value;
  while (next_header(head.raw, cursor, name, value)) {
    if (equal_ignoring_case(name, "Host")) {
      ++hosts;
    } else if (equal_ignoring_case(name, "Transfer-Encoding")) {
      if (encoded || !equal_ignoring_case(value, "chunked")) return 501;
      encoded = true;
    } else if (equal_ignoring_case(name, "Upgrade")) {
      head.upgrade = head.upgrade || has_token(value, "websocket");
    } else if (equal_ignoring_case(name, "Expect")) {
      if (!equal_ignoring_case(value, "100-continue")) return 417;
      head.expect_continue = head.version == 11;
    }
  }
  // RFC 9112 section 3.2.
  if (hosts > 1 || (hosts == 0 && head.version == 11)) return 400;
  if (encoded && (head.content_length || head.version == 10)) return 400;
  head.chunked = encoded;
  return 0;
}

void take_request_line(RequestHead& head) noexcept {
  const std::string_view line = head.raw.substr(0, head.raw.find("\r\n"));
  const auto method_end = line.find(' ');
  const auto target_end = line.rfind(' ');
  head.method = line.substr(0, method_end);
  head.target = line.substr(method_end + 1, target_end - method_end - 1);
  const auto question = head.target.find('?');
  head.path = head.target.substr(0, question);
  if (question != std::string_view::npos) head.query = head.target.substr(question + 1);
}

int status_of(const boost::beast::error_code& error, std::string_view raw) noexcept {
  if (error == beast_http::error::header_limit) return 431;
  if (error == beast_http::error::bad_version && names_another_version(raw.substr(0, raw.find("\r\n"))))
    return 505;
  return 400;
}

ParsedHead parse_whole(std::string_view raw) {
  HeadParser parser;
  parser.header_limit(std::numeric_limits<std::uint32_t>::max());
  parser.body_limit(boost::none);
  parser.eager(false);
  boost::beast::error_code error;
  parser.put(boost::asio::buffer(raw.data(), raw.size()), error);
  if (error && error != beast_http::error::need_more) return bad(status_of(error, raw));
  if (!parser.is_header_done() || has_folded_line(raw)) return bad(400);
  ParsedHead parsed{HeadStatus::Complete, 0, {}};
  RequestHead& head = parsed.head;
  head.raw = raw;
  head.version = static_cast<int>(parser.get().version());
  head.keep_alive = parser.keep_alive();
  if (const auto length = parser.content_length()) head.content_length = *length;
  take_request_line(head);
  if (const int status = check_headers(head); status != 0) return bad(status);
  head.upgrade = head.upgrade && parser.upgrade();
  return parsed;
}

}  // namespace

ParsedHead parse_head(std::string_view bytes, std::size_t limit_bytes, std::size_t searched) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  // A TLS hello and other noise need not wait for a time-out.
  if (!bytes.empty() && std::isalpha(static_cast<unsigned char>(bytes.front())) == 0) return bad(400);
  const std::size_t from = std::min(searched, bytes.size());
  const auto end = bytes.find(kEnd, from < kEnd.size() ? 0 : from - (kEnd.size() - 1));
  const std::size_t size = end == std::string_view::npos ? bytes.size() + 1 : end + kEnd.size();
  if (size > limit_bytes) return bad(431);
  if (end == std::string_view::npos) return {};
  try {
    return parse_whole(bytes.substr(0, size));
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
  const std::string_view line = raw_head.substr(0, raw_head.find("\r\n"));
  const auto begin = line.find(' ');
  const auto end = line.rfind(' ');
  if (begin == std::string_view::npos || end == begin) return {};
  return line.substr(begin + 1, end - begin - 1);
}

std::string_view RequestHead::header(std::string_view name) const noexcept { return find_header(raw, name); }

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

bool has_token(std::string_view list, std::string_view token) noexcept {
  while (!list.empty()) {
    const auto comma = list.find(',');
    if (equal_ignoring_case(trim(list.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
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

namespace {

int hex_digit(char c) noexcept {
  if (is_digit(c)) return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

}  // namespace

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
