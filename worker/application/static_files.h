// The files that a worker serves: directories below URL prefixes, and the browser client's below the
// Socket.IO path. Says what an answer is: which file, its type, its validators, whether the client has it or
// wants a part, kept or sent from the disk. Follows no "..", serves no dot files, reads nothing for HEAD or
// 304.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log_gate.h"
#include "worker/http/file_cache.h"
#include "worker/http/file_tree.h"
#include "worker/http/request.h"
#include "worker/http/response.h"
#include "worker/loop/clock.h"

namespace limpet::application {

class StaticFiles {
 public:
  /// `socketio_path`: "/socket.io/".
  explicit StaticFiles(std::string socketio_path) : socketio_path_(std::move(socketio_path)) {}

  void add(std::string_view url_prefix, const std::filesystem::path& directory);
  void serve_client(const std::filesystem::path& directory);

  /// Nothing: there is no such file.
  [[nodiscard]] std::optional<http::Response> answer(const http::RequestHead& request,
                                                     const loop::Clock& clock);

  /// Of the small files that are kept in memory.
  [[nodiscard]] std::size_t kept_bytes() const noexcept { return cache_.bytes(); }

 private:
  struct Directory {
    std::string prefix;  // ends with a slash
    std::string mark;    // in front of the names of its files in the cache
    http::FileTree tree;
    std::string etag;  // of all its files, if not empty
  };
  using Answer = std::optional<http::Response>;
  [[nodiscard]] Answer client_file(const http::RequestHead& request, const loop::Clock& clock);
  [[nodiscard]] Answer file_in(Directory& directory, const http::RequestHead& request,
                               const loop::Clock& clock);
  [[nodiscard]] Answer without_slash(Directory& directory, const http::RequestHead& request,
                                     const loop::Clock& clock);
  [[nodiscard]] http::Response found(const Directory& directory, const http::RequestHead& request,
                                     http::Lookup lookup, const loop::Clock& clock);
  [[nodiscard]] http::Response kept_answer(http::KeptFile& kept, const http::RequestHead& request,
                                           const loop::Clock& clock) const;
  [[nodiscard]] http::Response opened_answer(http::Lookup lookup, std::string etag,
                                             const http::RequestHead& request, const loop::Clock& clock);
  [[nodiscard]] bool keep(http::Response& response, const http::Lookup& lookup, std::string etag,
                          const loop::Clock& clock);
  [[nodiscard]] http::Response cannot_open(const Directory& directory, const http::Lookup& lookup,
                                           const loop::Clock& clock);

  std::string socketio_path_;
  std::vector<Directory> directories_;  // the longest prefix first
  std::optional<Directory> client_;
  http::FileCache cache_;
  base::LogGate complaints_;
  std::string path_;  // of the request being answered, below its directory
  std::string name_;  // the same in the cache
};

/// GET or HEAD; anything else gets method_not_allowed().
[[nodiscard]] bool is_read(const http::RequestHead& request) noexcept;
[[nodiscard]] http::Response method_not_allowed();
/// "%2e" becomes ".", `+` stays. False if a `%` begins no escape.
[[nodiscard]] bool percent_decode(std::string_view text, std::string& out);
[[nodiscard]] std::string_view content_type_of(std::string_view file_name) noexcept;

}  // namespace limpet::application
