// The application's plain HTTP: exact paths with handlers, then static files.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "worker/application/static_files.h"
#include "worker/http/request.h"
#include "worker/http/response.h"
#include "worker/limpet/io.h"
#include "worker/loop/clock.h"
#include "worker/loop/handler_clock.h"
#include "worker/loop/keyed_hash.h"

namespace limpet::application {

class HttpRoutes {
 public:
  /// Gives the client's address as text: asked for handlers only.
  using Address = std::function<std::string()>;

  /// `socketio_path`: "/socket.io/".
  explicit HttpRoutes(std::string socketio_path)
      : socketio_path_(std::move(socketio_path)), files_(socketio_path_) {}

  void get(std::string_view path, HttpHandler handler);
  void files(std::string_view url_prefix, const std::filesystem::path& directory) {
    files_.add(url_prefix, directory);
  }
  void serve_client(const std::filesystem::path& directory) { files_.serve_client(directory); }

  /// Nothing: no route. Throws what a handler throws.
  [[nodiscard]] std::optional<http::Response> answer(const http::Request& request, const Address& address,
                                                     const loop::Clock& clock,
                                                     loop::HandlerClock& handler_clock);

  [[nodiscard]] std::size_t kept_file_bytes() const noexcept { return files_.kept_bytes(); }

 private:
  std::string socketio_path_;
  std::unordered_map<std::string, HttpHandler, loop::KeyedHash, std::equal_to<>> handlers_;
  StaticFiles files_;
};

}  // namespace limpet::application
