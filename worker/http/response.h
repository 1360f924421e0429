// An HTTP response as a value, and its one rendering to bytes: status line, headers, Content-Length,
// Connection, body, side by side in one buffer. The body may be a file instead, which goes out behind that
// buffer and is never read here. Nothing here reads a clock: who renders says the date.
#pragma once

#include <string>
#include <string_view>

#include "worker/loop/buffer.h"
#include "worker/loop/open_file.h"

namespace limpet::http {

class Response {
 public:
  explicit Response(int status_code = 200) : status(status_code) {}
  Response(int status_code, std::string_view content_type, std::string content)
      : status(status_code), body(std::move(content)) {
    add_header("Content-Type", content_type);
  }

  /// Adds one header line. Line breaks and other control characters are dropped, so that no value can forge a
  /// header. Those that is_set_by_renderer() are not to be given here.
  Response& add_header(std::string_view name, std::string_view value);
  [[nodiscard]] const std::string& header_lines() const noexcept { return headers_; }

  int status;
  std::string body;
  loop::Buffer shared_body;  ///< sent instead of `body` if set: a body that many responses share
  loop::FileRange file;      ///< the body, if its file is open; its length is what the client is promised
  /// If set, all of the above is in it, `status` excepted: see room_for_body(). Many responses share it.
  loop::Buffer whole;
  bool close = false;  ///< end the connection behind this response

 private:
  std::string headers_;  // "Name: value\r\n"…
};

struct RenderOptions {
  bool head_only = false;       ///< answers HEAD: the headers of the body, without it
  bool keep_alive = true;       ///< will the connection go on behind this response?
  bool say_keep_alive = false;  ///< for HTTP/1.0 clients, to whom `keep-alive` has to be said
  std::string_view date = {};   ///< Clock::date(): of the Date of all answers but 1xx; empty: they have none
};

/// Without the file.
[[nodiscard]] loop::Buffer render(const Response& response, const RenderOptions& options);

/// The head of `response` as a client gets it that stays connected, and behind it, from payload_offset() on,
/// uninitialised room for a body of that many bytes: to become Response::whole once that is filled in.
/// `date`: as RenderOptions'.
[[nodiscard]] loop::Buffer room_for_body(const Response& response, std::size_t body_bytes,
                                         std::string_view date);

/// A Response::whole with this date: itself, if it has that already (or none), else a copy.
[[nodiscard]] loop::Buffer with_date(const loop::Buffer& whole, std::string_view date);

/// Content-Length, Transfer-Encoding, Date, and what belongs to the connection.
[[nodiscard]] bool is_set_by_renderer(std::string_view header_name) noexcept;

/// "Not Found"; "Unknown" for a status nobody knows.
[[nodiscard]] std::string_view reason_phrase(int status) noexcept;

}  // namespace limpet::http
