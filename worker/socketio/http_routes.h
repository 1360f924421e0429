// The application's plain HTTP: exact paths with handlers, directories of static files, and the browser
// client's files below the Socket.IO path. Reads files when asked for them, never outside their directory;
// follows no `..`, serves no dot files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/limpet/io.h"
#include "worker/socketio/state.h"

namespace limpet::socketio {

/// A static file larger than this is not served (404): it would stand in memory as a whole.
inline constexpr std::uintmax_t kMaxFileBytes = 16 * 1024 * 1024;

class HttpRoutes {
 public:
  /// `socketio_path`: "/socket.io/".
  explicit HttpRoutes(std::string socketio_path) : socketio_path_(std::move(socketio_path)) {}

  void get(std::string_view path, HttpHandler handler);
  void files(std::string_view url_prefix, std::filesystem::path directory);
  void serve_client(std::filesystem::path directory);

  /// Nothing: no route. Throws what a handler throws.
  [[nodiscard]] std::optional<HttpResponse> answer(const HttpRequest& request) const;

 private:
  struct Directory {
    std::string prefix;  // ends with a slash
    std::filesystem::path root;
  };
  [[nodiscard]] std::optional<HttpResponse> client_file(const HttpRequest& request) const;
  [[nodiscard]] std::optional<HttpResponse> static_file(const HttpRequest& request) const;

  std::string socketio_path_;
  std::unordered_map<std::string, HttpHandler, NameHash, std::equal_to<>> handlers_;
  std::vector<Directory> directories_;  // the longest prefix first
  std::filesystem::path client_directory_;
  std::string client_etag_;
};

/// "%2e" becomes ".", `+` stays. Nothing if a `%` begins no escape.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);
[[nodiscard]] std::string_view content_type_of(std::string_view file_name) noexcept;

}  // namespace limpet::socketio
