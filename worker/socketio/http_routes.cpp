#include "worker/socketio/http_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <fstream>

#include "worker/http/request.h"

namespace limpet::socketio {
namespace {

namespace fs = std::filesystem;

/// What npm's socket.io-client/dist holds for browsers; each has a .map beside it.
constexpr std::array<std::string_view, 4> kClientFiles = {"socket.io.js", "socket.io.min.js",
                                                          "socket.io.esm.min.js", "socket.io.msgpack.min.js"};

struct ContentType {
  std::string_view extension;
  std::string_view type;
};
constexpr std::array<ContentType, 19> kContentTypes = {{
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".json", "application/json; charset=utf-8"},
    {".map", "application/json; charset=utf-8"},
    {".webmanifest", "application/manifest+json; charset=utf-8"},
    {".txt", "text/plain; charset=utf-8"},
    {".md", "text/markdown; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".wasm", "application/wasm"},
    {".pdf", "application/pdf"},
}};

std::optional<std::string> read_file(const fs::path& path) {
  std::error_code problem;
  const std::uintmax_t size = fs::file_size(path, problem);
  if (problem || size > kMaxFileBytes) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  std::string content(static_cast<std::size_t>(size), '\0');
  // A file that shrank since is served as far as it goes; one that grew up to the size it had.
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (file.bad()) return std::nullopt;
  content.resize(static_cast<std::size_t>(file.gcount()));
  return content;
}

/// Changes whenever the file's size or time does.
std::string etag_of(const fs::path& path) {
  std::error_code problem;
  const auto size = fs::file_size(path, problem);
  const auto written = fs::last_write_time(path, problem).time_since_epoch().count();
  return fmt::format("\"{:x}-{:x}\"", size, static_cast<std::uint64_t>(written));
}

/// RFC 9110 section 13.1.2: weak comparison.
bool none_match_fails(std::string_view header, std::string_view etag) {
  if (header == "*") return true;
  while (!header.empty()) {
    const std::size_t comma = std::min(header.find(','), header.size());
    std::string_view one = header.substr(0, comma);
    header.remove_prefix(std::min(comma + 1, header.size()));
    while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
    while (!one.empty() && one.back() == ' ') one.remove_suffix(1);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == etag) return true;
  }
  return false;
}

/// 304 if the client has it already; nothing if it cannot be read.
std::optional<HttpResponse> file_response(const HttpRequest& request, const fs::path& path,
                                          const std::string& etag) {
  HttpResponse response{304, {{"Cache-Control", "public, max-age=0"}, {"ETag", etag}}, {}};
  if (none_match_fails(request.header("if-none-match"), etag)) return response;
  std::optional<std::string> content = read_file(path);
  if (!content) return std::nullopt;
  response.status = 200;
  response.headers.emplace_back("Content-Type", content_type_of(path.filename().native()));
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  response.body = std::move(*content);
  return response;
}

bool is_read(const HttpRequest& request) { return request.method == "GET" || request.method == "HEAD"; }

HttpResponse method_not_allowed() {
  HttpResponse response = HttpResponse::text("Method Not Allowed\n", 405);
  response.headers.emplace_back("Allow", "GET, HEAD");
  return response;
}

/// To the same URL with a slash behind it. Relative: a path of "//host" must not lead to another host.
HttpResponse with_slash(std::string_view path) {
  return {301, {{"Location", "./" + std::string(path.substr(path.rfind('/') + 1)) + "/"}}, {}};
}

/// The path below `root` that the rest of a URL names. Nothing: it could lead elsewhere, or names what is
/// hidden.
std::optional<fs::path> path_below(const fs::path& root, std::string_view url_rest) {
  const std::optional<std::string> decoded = percent_decode(url_rest);
  if (!decoded || decoded->find_first_of(std::string_view("\0\\", 2)) != std::string::npos)
    return std::nullopt;
  fs::path path = root;
  std::string_view rest = *decoded;
  while (!rest.empty()) {
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    const std::string_view segment = rest.substr(0, slash);
    if (segment.starts_with('.')) return std::nullopt;
    if (!segment.empty()) path /= segment;
    rest.remove_prefix(std::min(slash + 1, rest.size()));
  }
  return path;
}

/// Is it still below `root` once symbolic links are followed?
bool stays_below(const fs::path& root, const fs::path& path) {
  std::error_code problem;
  const fs::path real_root = fs::canonical(root, problem);
  if (problem) return false;
  const fs::path real = fs::canonical(path, problem);
  if (problem) return false;
  return std::mismatch(real_root.begin(), real_root.end(), real.begin(), real.end()).first == real_root.end();
}

/// npm's package.json beside dist/ knows the version; that is the ETag Node's server gives.
std::string client_version_etag(const fs::path& dist) {
  try {
    const std::optional<std::string> package = read_file(dist / ".." / "package.json");
    if (!package) return {};
    const std::string version =
        boost::json::value_to<std::string>(boost::json::parse(*package).at("version"));
    return "\"" + version + "\"";
  } catch (const std::exception&) {
    return {};  // the file's own time will do
  }
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out.push_back(text[at]);
      continue;
    }
    unsigned byte = 0;
    if (at + 3 > text.size()) return std::nullopt;
    const char* const digits = text.data() + at + 1;
    if (std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2) return std::nullopt;
    out.push_back(static_cast<char>(byte));
    at += 2;
  }
  return out;
}

std::string_view content_type_of(std::string_view file_name) noexcept {
  const std::size_t dot = file_name.rfind('.');
  const std::string_view extension =
      dot == std::string_view::npos ? std::string_view() : file_name.substr(dot);
  for (const ContentType& row : kContentTypes)
    if (http::equal_ignoring_case(row.extension, extension)) return row.type;
  return "application/octet-stream";
}

void HttpRoutes::get(std::string_view path, HttpHandler handler) {
  handlers_.insert_or_assign(std::string(path), std::move(handler));
}

void HttpRoutes::files(std::string_view url_prefix, fs::path directory) {
  std::string prefix(url_prefix);
  if (!prefix.ends_with('/')) prefix.push_back('/');
  directories_.push_back({std::move(prefix), std::move(directory)});
  std::stable_sort(directories_.begin(), directories_.end(),
                   [](const Directory& a, const Directory& b) { return a.prefix.size() > b.prefix.size(); });
}

void HttpRoutes::serve_client(fs::path directory) {
  client_directory_ = std::move(directory);
  client_etag_ = client_version_etag(client_directory_);
}

std::optional<HttpResponse> HttpRoutes::answer(const HttpRequest& request) const {
  if (request.path.starts_with(socketio_path_)) return client_file(request);
  const auto handler = handlers_.find(request.path);
  if (handler != handlers_.end()) {
    if (!is_read(request)) return method_not_allowed();
    return handler->second(request);
  }
  return static_file(request);
}

std::optional<HttpResponse> HttpRoutes::client_file(const HttpRequest& request) const {
  if (client_directory_.empty() || !is_read(request)) return std::nullopt;
  const std::string_view name = request.path.substr(socketio_path_.size());
  const std::string_view script = name.ends_with(".map") ? name.substr(0, name.size() - 4) : name;
  if (std::find(kClientFiles.begin(), kClientFiles.end(), script) == kClientFiles.end()) return std::nullopt;
  const fs::path path = client_directory_ / name;
  std::error_code problem;
  if (!fs::is_regular_file(path, problem)) return std::nullopt;
  return file_response(request, path, client_etag_.empty() ? etag_of(path) : client_etag_);
}

std::optional<HttpResponse> HttpRoutes::static_file(const HttpRequest& request) const {
  for (const Directory& directory : directories_) {
    if (!request.path.starts_with(directory.prefix)) continue;
    std::optional<fs::path> path = path_below(directory.root, request.path.substr(directory.prefix.size()));
    std::error_code problem;
    if (!path || !stays_below(directory.root, *path)) continue;
    if (fs::is_directory(*path, problem)) {
      if (!fs::is_regular_file(*path / "index.html", problem)) continue;
      // Without the slash the page's relative links would point beside it.
      if (!request.path.ends_with('/')) return with_slash(request.path);
      *path /= "index.html";
      if (!stays_below(directory.root, *path)) continue;
    }
    if (!fs::is_regular_file(*path, problem)) continue;
    if (!is_read(request)) return method_not_allowed();
    return file_response(request, *path, etag_of(*path));
  }
  return std::nullopt;
}

}  // namespace limpet::socketio
