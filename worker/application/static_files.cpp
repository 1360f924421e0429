#include "worker/application/static_files.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/log.h"
#include "worker/http/preconditions.h"
#include "worker/loop/date.h"

namespace limpet::application {
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

/// Changes whenever the file's size or time does.
std::string etag_of(const http::FileState& state) {
  return fmt::format("\"{:x}-{:x}\"", state.size, static_cast<std::uint64_t>(state.modified_ns));
}

http::Response text(int status, std::string content) {
  return http::Response(status, "text/plain; charset=utf-8", std::move(content));
}

http::Validators validators_of(std::string_view etag, const http::FileState& state,
                               const loop::Clock& clock) {
  return {etag, std::chrono::floor<std::chrono::seconds>(std::chrono::nanoseconds(state.modified_ns)).count(),
          clock.wall_seconds()};
}

/// What a 200, a 206 and a 304 say alike (RFC 9110 section 15.4.5).
http::Response with_validators(int status, const http::Validators& current) {
  http::Response response(status);
  response.add_header("Cache-Control", "public, max-age=0").add_header("ETag", current.etag);
  // RFC 9110 section 8.8.2.1: never later than Date.
  if (current.modified_s <= current.wall_seconds || current.wall_seconds == 0)
    response.add_header("Last-Modified", loop::date_of(current.modified_s));
  return response;
}

/// A 200 or a 206 of the file of that name, without its body.
http::Response with_content(int status, const http::Validators& current, std::string_view name) {
  http::Response response = with_validators(status, current);
  response.add_header("Content-Type", content_type_of(name)).add_header("X-Content-Type-Options", "nosniff");
  response.add_header("Accept-Ranges", "bytes");
  return response;
}

http::Response not_satisfiable(std::uint64_t size) {
  http::Response response = text(416, "Range Not Satisfiable\n");
  response.add_header("Content-Range", fmt::format("bytes */{}", size));
  return response;
}

/// Of `size` bytes. Nothing: all of them are to be sent, with a 200. Else without the body.
std::optional<http::Response> part_or_refusal(const http::Conditions& asked, const http::ByteRange& range,
                                              const http::Validators& current, std::uint64_t size,
                                              std::string_view name) {
  if (asked.outcome == http::Precondition::NotModified) return with_validators(304, current);
  if (asked.outcome == http::Precondition::Failed) return text(412, "Precondition Failed\n");
  if (range.kind == http::ByteRange::Kind::Unsatisfiable) return not_satisfiable(size);
  if (range.kind == http::ByteRange::Kind::Whole) return std::nullopt;
  http::Response response = with_content(206, current, name);
  response.add_header("Content-Range",
                      fmt::format("bytes {}-{}/{}", range.offset, range.offset + range.length - 1, size));
  return response;
}

/// What the rest of a URL names below its directory. False: it could lead elsewhere, or names what is hidden.
bool path_below(std::string_view url_rest, std::string& path) {
  std::string decoded;
  if (!percent_decode(url_rest, decoded)) return false;
  if (decoded.find_first_of(std::string_view("\0\\", 2)) != std::string::npos) return false;
  path.clear();
  std::string_view rest = decoded;
  while (!rest.empty()) {
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    const std::string_view part = rest.substr(0, slash);
    if (part.starts_with('.')) return false;
    if (!part.empty()) path.append(path.empty() ? "" : "/").append(part);
    rest.remove_prefix(std::min(slash + 1, rest.size()));
  }
  return true;
}

/// False: it is shorter than that by now.
bool read_all(const loop::OpenFile& file, char* place, std::size_t size) noexcept {
  std::size_t at = 0;
  while (at < size) {
    const ssize_t got = ::pread(file.descriptor(), place + at, size - at, static_cast<off_t>(at));
    if (got <= 0) return false;
    at += static_cast<std::size_t>(got);
  }
  return true;
}

/// npm's package.json beside dist/ knows the version; that is the ETag Node's server gives.
std::string client_version_etag(const fs::path& dist) {
  try {
    std::ostringstream package;
    package << std::ifstream(dist / ".." / "package.json").rdbuf();
    const std::string version =
        boost::json::value_to<std::string>(boost::json::parse(package.str()).at("version"));
    return "\"" + version + "\"";
  } catch (const std::exception&) {
    return {};  // the file's own time will do
  }
}

}  // namespace

bool is_read(const http::RequestHead& request) noexcept {
  return request.method == "GET" || request.method == "HEAD";
}

http::Response method_not_allowed() {
  http::Response response = text(405, "Method Not Allowed\n");
  response.add_header("Allow", "GET, HEAD");
  return response;
}

bool percent_decode(std::string_view text, std::string& out) {
  out.clear();
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out.push_back(text[at]);
      continue;
    }
    unsigned byte = 0;
    if (at + 3 > text.size()) return false;
    const char* const digits = text.data() + at + 1;
    if (std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2) return false;
    out.push_back(static_cast<char>(byte));
    at += 2;
  }
  return true;
}

std::string_view content_type_of(std::string_view file_name) noexcept {
  const std::size_t dot = file_name.rfind('.');
  const std::string_view extension =
      dot == std::string_view::npos ? std::string_view() : file_name.substr(dot);
  for (const ContentType& row : kContentTypes)
    if (http::equal_ignoring_case(row.extension, extension)) return row.type;
  return "application/octet-stream";
}

void StaticFiles::add(std::string_view url_prefix, const fs::path& directory) {
  std::string prefix(url_prefix);
  if (!prefix.ends_with('/')) prefix.push_back('/');
  const std::string mark = std::to_string(directories_.size()) + ":";
  // It may come later, but mostly it is a path from another working directory.
  if (std::error_code failure; !fs::is_directory(directory, failure))
    base::log(base::LogLevel::Warning,
              fmt::format("files: {}: is no directory, or cannot be entered; below {} everything is 404",
                          directory.string(), prefix));
  directories_.push_back({std::move(prefix), mark, http::FileTree(directory.native()), {}});
  std::stable_sort(directories_.begin(), directories_.end(),
                   [](const Directory& a, const Directory& b) { return a.prefix.size() > b.prefix.size(); });
}

void StaticFiles::serve_client(const fs::path& directory) {
  client_.emplace(Directory{socketio_path_, "client:", http::FileTree(directory.native()),
                            client_version_etag(directory)});
}

std::optional<http::Response> StaticFiles::answer(const http::RequestHead& request,
                                                  const loop::Clock& clock) {
  if (request.path.starts_with(socketio_path_)) return client_file(request, clock);
  for (Directory& directory : directories_) {
    if (!request.path.starts_with(directory.prefix)) continue;
    if (!path_below(request.path.substr(directory.prefix.size()), path_)) continue;
    if (Answer response = file_in(directory, request, clock)) return response;
  }
  return std::nullopt;
}

StaticFiles::Answer StaticFiles::client_file(const http::RequestHead& request, const loop::Clock& clock) {
  if (!client_ || !is_read(request)) return std::nullopt;
  const std::string_view name = request.path.substr(socketio_path_.size());
  const std::string_view script = name.ends_with(".map") ? name.substr(0, name.size() - 4) : name;
  if (std::find(kClientFiles.begin(), kClientFiles.end(), script) == kClientFiles.end()) return std::nullopt;
  path_ = name;
  return file_in(*client_, request, clock);
}

StaticFiles::Answer StaticFiles::file_in(Directory& directory, const http::RequestHead& request,
                                         const loop::Clock& clock) {
  if (request.path.ends_with('/')) path_.append(path_.empty() ? "index.html" : "/index.html");
  name_.assign(directory.mark).append(path_);
  http::KeptFile* const kept = cache_.find(name_);
  if (kept != nullptr && kept->is_fresh(clock.now())) return kept_answer(*kept, request, clock);
  http::Lookup lookup = directory.tree.open(path_, clock.now());
  switch (lookup.result) {
    case http::Lookup::Result::File:
      return found(directory, request, std::move(lookup), clock);
    case http::Lookup::Result::Exhausted:
      if (kept != nullptr) return kept_answer(*kept, request, clock);
      break;
    case http::Lookup::Result::Directory:
      cache_.forget(name_);
      return without_slash(directory, request, clock);
    case http::Lookup::Result::Nothing:
      cache_.forget(name_);
      return std::nullopt;
    case http::Lookup::Result::Forbidden:
    case http::Lookup::Result::Failed:
      cache_.forget(name_);
      break;
  }
  return cannot_open(directory, lookup, clock);
}

/// Without the slash the page's relative links would point beside it. Relative itself: a path of "//host"
/// must not lead to another host.
StaticFiles::Answer StaticFiles::without_slash(Directory& directory, const http::RequestHead& request,
                                               const loop::Clock& clock) {
  if (request.path.ends_with('/')) return std::nullopt;
  const http::Lookup page = directory.tree.open(path_ + "/index.html", clock.now());
  if (page.result == http::Lookup::Result::Nothing || page.result == http::Lookup::Result::Directory)
    return std::nullopt;
  if (page.result != http::Lookup::Result::File) return cannot_open(directory, page, clock);
  if (!is_read(request)) return method_not_allowed();
  http::Response response(301);
  const std::string_view last = request.path.substr(request.path.rfind('/') + 1);
  response.add_header("Location", "./" + std::string(last) + "/");
  return response;
}

http::Response StaticFiles::found(const Directory& directory, const http::RequestHead& request,
                                  http::Lookup lookup, const loop::Clock& clock) {
  if (http::KeptFile* const kept = cache_.find(name_); kept != nullptr) {
    if (kept->state == lookup.state) {
      kept->looked_at = clock.now();
      return kept_answer(*kept, request, clock);
    }
    cache_.forget(name_);
  }
  if (!is_read(request)) return method_not_allowed();
  std::string etag = directory.etag.empty() ? etag_of(lookup.state) : directory.etag;
  return opened_answer(std::move(lookup), std::move(etag), request, clock);
}

http::Response StaticFiles::kept_answer(http::KeptFile& kept, const http::RequestHead& request,
                                        const loop::Clock& clock) const {
  if (!is_read(request)) return method_not_allowed();
  const http::Validators current = validators_of(kept.etag, kept.state, clock);
  const http::Conditions asked = http::evaluate(request, current);
  const http::ByteRange range = http::find_range(asked.range, kept.state.size);
  if (auto other = part_or_refusal(asked, range, current, kept.state.size, path_)) {
    if (other->status == 206) other->body = kept.answer.payload().substr(range.offset, range.length);
    return std::move(*other);
  }
  // Once a second, for all whom it goes to.
  kept.answer = http::with_date(kept.answer, clock.date());
  http::Response response(200);
  response.whole = kept.answer;
  return response;
}

http::Response StaticFiles::opened_answer(http::Lookup lookup, std::string etag,
                                          const http::RequestHead& request, const loop::Clock& clock) {
  const http::Validators current = validators_of(etag, lookup.state, clock);
  const http::Conditions asked = http::evaluate(request, current);
  const http::ByteRange range = http::find_range(asked.range, lookup.state.size);
  if (auto other = part_or_refusal(asked, range, current, lookup.state.size, path_)) {
    if (other->status == 206) other->file = {std::move(lookup.file), range.offset, range.length};
    return std::move(*other);
  }
  http::Response response = with_content(200, current, path_);
  if (request.method == "GET" && keep(response, lookup, std::move(etag), clock)) return response;
  // Also a small one that just changed while it was read: who sends it keeps to the length.
  response.file = {std::move(lookup.file), 0, lookup.state.size};
  return response;
}

/// True: `response` is whole.
bool StaticFiles::keep(http::Response& response, const http::Lookup& lookup, std::string etag,
                       const loop::Clock& clock) {
  const auto size = static_cast<std::size_t>(lookup.state.size);
  if (lookup.state.size > http::FileCache::kMaxFileBytes) return false;
  loop::Buffer answer = http::room_for_body(response, size, clock.date());
  if (!read_all(lookup.file, answer.data() + answer.payload_offset(), size)) return false;
  http::FileState afterwards;
  if (!http::read_state(lookup.file, afterwards) || afterwards != lookup.state) return false;
  response.whole = answer;
  cache_.keep(name_, {std::move(answer), std::move(etag), lookup.state, clock.now()});
  return true;
}

http::Response StaticFiles::cannot_open(const Directory& directory, const http::Lookup& lookup,
                                        const loop::Clock& clock) {
  if (lookup.result == http::Lookup::Result::Forbidden) return text(403, "Forbidden\n");
  const bool later = lookup.result == http::Lookup::Result::Exhausted;
  base::log_at_most(complaints_, clock.now(), base::LogLevel::Warning, [&] {
    return fmt::format("static files: open a file below {}: {}; answered {}", directory.tree.root(),
                       std::strerror(lookup.error), later ? 503 : 500);
  });
  if (!later) return text(500, "Internal Server Error\n");
  http::Response response = text(503, "Service Unavailable\n");
  response.add_header("Retry-After", "1");
  return response;
}

}  // namespace limpet::application
