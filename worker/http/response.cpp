#include "worker/http/response.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/status.hpp>
#include <charconv>
#include <cstring>
#include <initializer_list>
#include <ostream>  // Boost 1.81's string_view uses it without including it

#include "worker/http/request.h"

namespace limpet::http {

namespace {

bool is_control(char c) noexcept { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }

/// RFC 9110 section 8.6: neither 1xx nor 204 has a Content-Length, and that of a 304 would be the one of what
/// is not sent.
bool may_have_length(int status) noexcept { return status >= 200 && status != 204 && status != 304; }

/// RFC 9110 section 15.3.6: a 205 says that there is none.
bool may_have_body(int status) noexcept { return may_have_length(status) && status != 205; }

constexpr std::string_view kDateName = "Date: ";

/// Where the Date of a whole answer stands: it is its first line, if it has one.
std::size_t date_place(std::string_view whole) noexcept {
  const std::size_t first_line = whole.find("\r\n") + 2;
  const bool is_there = whole.substr(first_line).starts_with(kDateName);
  return is_there ? first_line + kDateName.size() : std::string_view::npos;
}

loop::Buffer join(std::initializer_list<std::string_view> parts) {
  std::size_t size = 0;
  for (const auto part : parts) size += part.size();
  loop::Buffer buffer = loop::Buffer::allocate(size);
  char* place = buffer.data();
  for (const auto part : parts) place = std::copy(part.begin(), part.end(), place);
  return buffer;
}

struct Decimal {
  explicit Decimal(std::uint64_t value)
      : end(std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr) {}
  [[nodiscard]] std::string_view view() const noexcept {
    return {digits.data(), static_cast<std::size_t>(end - digits.data())};
  }
  std::array<char, 20> digits{};
  char* end;
};

}  // namespace

Response& Response::add_header(std::string_view name, std::string_view value) {
  const auto append_safe = [this](std::string_view text) {
    const std::size_t begin = headers_.size();
    headers_ += text;
    headers_.erase(
        std::remove_if(headers_.begin() + static_cast<std::ptrdiff_t>(begin), headers_.end(), is_control),
        headers_.end());
  };
  if (headers_.empty()) headers_.reserve(160);
  append_safe(name);
  headers_ += ": ";
  append_safe(value);
  headers_ += "\r\n";
  return *this;
}

std::string_view reason_phrase(int status) noexcept {
  const auto phrase =
      boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(static_cast<unsigned>(status)));
  return phrase.empty() ? std::string_view("Unknown") : std::string_view(phrase.data(), phrase.size());
}

namespace {

std::string_view connection_line(const Response& response, const RenderOptions& options) noexcept {
  if (response.status < 200) return {};
  if (!options.keep_alive) return "Connection: close\r\n";
  return options.say_keep_alive ? std::string_view("Connection: keep-alive\r\n") : std::string_view();
}

loop::Buffer render_whole(const Response& response, const RenderOptions& options) {
  const loop::Buffer& whole = response.whole;
  const std::string_view connection = connection_line(response, options);
  if (connection.empty() && !options.head_only) return whole;
  const std::string_view head = whole.view().substr(0, whole.payload_offset() - 2);
  return join({head, connection, "\r\n", options.head_only ? std::string_view() : whole.payload()});
}

loop::Buffer render_parts(const Response& response, std::uint64_t body_bytes, std::string_view body,
                          std::string_view connection, std::string_view date) {
  const bool with_length = may_have_length(response.status);
  const bool with_date = !date.empty() && response.status >= 200;
  const Decimal status(static_cast<std::size_t>(std::clamp(response.status, 100, 999)));
  const Decimal length(body_bytes);
  return join({"HTTP/1.1 ", status.view(), " ", reason_phrase(response.status), "\r\n",
               with_date ? kDateName : std::string_view(), with_date ? date : std::string_view(),
               with_date ? "\r\n" : "", response.header_lines(), with_length ? "Content-Length: " : "",
               with_length ? length.view() : std::string_view(), with_length ? "\r\n" : "", connection,
               "\r\n", body});
}

}  // namespace

loop::Buffer render(const Response& response, const RenderOptions& options) {
  if (response.whole) return render_whole(response, options);
  const bool with_body = may_have_body(response.status);
  const std::string_view whole_body =
      response.shared_body ? response.shared_body.view() : std::string_view(response.body);
  const std::string_view body = with_body ? whole_body : std::string_view();
  return render_parts(response, response.file.file ? response.file.length : body.size(),
                      options.head_only ? std::string_view() : body, connection_line(response, options),
                      options.date);
}

loop::Buffer room_for_body(const Response& response, std::size_t body_bytes, std::string_view date) {
  const loop::Buffer head = render_parts(response, body_bytes, {}, {}, date);
  loop::Buffer whole = loop::Buffer::allocate(head.size() + body_bytes);
  std::copy(head.view().begin(), head.view().end(), whole.data());
  whole.set_payload_offset(head.size());
  return whole;
}

loop::Buffer with_date(const loop::Buffer& whole, std::string_view date) {
  const std::size_t place = date_place(whole.view());
  if (place == std::string_view::npos || date.empty() || whole.view().substr(place).starts_with(date))
    return whole;
  loop::Buffer copy = loop::Buffer::copy_of(whole.view());
  copy.set_payload_offset(whole.payload_offset());
  std::copy(date.begin(), date.end(), copy.data() + place);
  return copy;
}

bool is_set_by_renderer(std::string_view header_name) noexcept {
  constexpr std::array<std::string_view, 6> kNames = {"Content-Length", "Transfer-Encoding", "Date",
                                                      "Connection",     "Keep-Alive",        "Upgrade"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [header_name](std::string_view name) { return equal_ignoring_case(name, header_name); });
}

}  // namespace limpet::http
