// One HTTP/1.1 request as parsed values. A RequestHead is views into the bytes it was parsed from and owns
// nothing: keep those bytes as long as the head. Boost.Beast (only inside request.cpp) checks the syntax of
// the header lines; what it leaves open is checked here: where lines end, the request line, one valid Host,
// one Content-Length, no folded lines, nothing but chunked as Transfer-Encoding. Nothing here throws; what is
// wrong comes back as the status to answer with. Each rule has its row in docs/protocol.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace limpet::http {

struct RequestHead {
  std::string_view raw;     ///< request line, header lines and the empty line, as they came
  std::string_view method;  ///< "GET", …
  /// "/socket.io/?EIO=4", or "*"; of "http://host/a?b" only "/a?b". Where no path is named "/", then
  /// without the query.
  std::string_view target;
  std::string_view path;    ///< the target up to its '?'; not decoded
  std::string_view query;   ///< behind the '?'; not decoded
  int version = 11;         ///< 10 or 11
  bool implemented = true;  ///< false: nothing here knows the method, and the answer is 501
  bool keep_alive = true;
  bool upgrade = false;  ///< asks for WebSocket: `Connection: upgrade` and `Upgrade: websocket`
  bool expect_continue = false;
  bool chunked = false;
  std::optional<std::uint64_t> content_length;

  /// The value of the first header line of that name (case does not matter); empty if there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
  [[nodiscard]] bool has_body() const noexcept { return chunked || content_length.value_or(0) > 0; }
};

/// A request with its whole body. Valid during RequestHandler::on_request only.
struct Request {
  RequestHead head;
  std::string_view body;
};

enum class HeadStatus : std::uint8_t { Complete, Incomplete, Bad };

struct ParsedHead {
  HeadStatus status = HeadStatus::Incomplete;
  int error = 0;  ///< for Bad: 400, 417, 431, 501 (an encoding) or 505; the connection ends behind the answer
  RequestHead head;
};

/// Parses the head at the front of `bytes`. `searched`: bytes at the front in which an earlier call found no
/// end (only to save time; 0 is always right). A head of more than `limit_bytes` is Bad with 431, complete or
/// not.
[[nodiscard]] ParsedHead parse_head(std::string_view bytes, std::size_t limit_bytes,
                                    std::size_t searched = 0);

/// A header line that may come once: a second one makes both of no effect (RFC 9110 section 5.3).
struct SingleLine {
  std::string_view value;
  int lines = 0;
  void take(std::string_view line) noexcept {
    value = line;
    ++lines;
  }
  /// Empty if there is none, or more than one.
  [[nodiscard]] std::string_view only() const noexcept { return lines == 1 ? value : std::string_view(); }
};

/// Walks the header lines of a raw head: gives the next line's name and value (trimmed) and moves `cursor`
/// on; false at the end. Start with cursor 0.
bool next_header(std::string_view raw_head, std::size_t& cursor, std::string_view& name,
                 std::string_view& value) noexcept;
/// As RequestHead::header(), for a raw head that was stored.
[[nodiscard]] std::string_view find_header(std::string_view raw_head, std::string_view name) noexcept;
/// RequestHead::target of a raw head that was stored.
[[nodiscard]] std::string_view target_of(std::string_view raw_head) noexcept;

/// ASCII only.
[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;
/// Without the blanks and tabs at its ends.
[[nodiscard]] std::string_view trim(std::string_view text) noexcept;
/// RFC 9110 section 5.6.2; never empty.
[[nodiscard]] bool is_token(std::string_view text) noexcept;
/// Takes the first element, trimmed, off a comma-separated list; empty ones are passed over (RFC 9110 section
/// 5.6.1.2). False: there is none.
bool next_element(std::string_view& list, std::string_view& element) noexcept;
/// Is `token` one of the comma-separated elements of `list`? Case does not matter.
[[nodiscard]] bool has_token(std::string_view list, std::string_view token) noexcept;

/// Walks `a=1&b=2`: gives the next pair as it stands (not decoded) and moves `cursor` on; false at the end.
bool next_parameter(std::string_view query, std::size_t& cursor, std::string_view& name,
                    std::string_view& value) noexcept;
/// The value of the first parameter of that name as it stands, not decoded.
[[nodiscard]] std::optional<std::string_view> raw_query_value(std::string_view query,
                                                              std::string_view name) noexcept;
/// The same, decoded.
[[nodiscard]] std::optional<std::string> query_value(std::string_view query, std::string_view name);
/// Decodes %XX and '+'; what is no valid escape stays as it is (as Node does).
[[nodiscard]] std::string decode_component(std::string_view text);

}  // namespace limpet::http
