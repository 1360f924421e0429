// Whatever a client asks for below a directory whose files are served: nothing of what is hidden or lies
// outside, and of a file exactly the bytes that the answer's head names. The first byte is the method and
// whether the file is in memory already; the text up to the first line feed is the rest of the target, what
// follows a Range.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "worker/application/static_files.h"
#include "worker/http/request.h"
#include "worker/loop/clock.h"

namespace {

using namespace limpet;
namespace fs = std::filesystem;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t at = 0; at < size; ++at) text[at] = static_cast<char>('a' + at * at % 23);
  return text;
}

/// Files that are served, beside others that are not; gone with the process.
class Tree {
 public:
  Tree() {
    std::string name = (fs::temp_directory_path() / "static_files_fuzz.XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr);
    top_ = name;
    fs::create_directories(top_ / "files/sub/.hidden");
    for (const auto& [path, content] : files()) std::ofstream(top_ / "files" / path) << content;
    for (const char* path : {"secret", "files/.secret", "files/sub/.hidden/secret"})
      std::ofstream(top_ / path) << "secret";
    fs::create_symlink("../secret", top_ / "files/link");
    fs::create_symlink(top_ / "secret", top_ / "files/absolute");
    fs::create_symlink("..", top_ / "files/up");
  }
  ~Tree() {
    std::error_code ignored;
    fs::remove_all(top_, ignored);
  }
  [[nodiscard]] fs::path root() const { return top_ / "files"; }
  /// By their paths. The last one is too large for the cache.
  static const std::map<std::string, std::string, std::less<>>& files() {
    static const std::map<std::string, std::string, std::less<>> all = {{"index.html", pattern(20)},
                                                                        {"sub/index.html", pattern(21)},
                                                                        {"sub/a", "a"},
                                                                        {"b%c", pattern(300)},
                                                                        {"empty", ""},
                                                                        {"large", pattern(70'000)}};
    return all;
  }

 private:
  fs::path top_;
};

std::string content_of(const http::Response& response) {
  if (response.whole.view().data() != nullptr && !response.whole.view().empty())
    return std::string(response.whole.payload());
  if (!response.file.file) return response.body;
  std::string content(response.file.length, '\0');
  const ssize_t got = ::pread(response.file.file.descriptor(), content.data(), content.size(),
                              static_cast<off_t>(response.file.offset));
  require(got == static_cast<ssize_t>(content.size()));
  return content;
}

/// The file that such a target names, by another way than that of the server.
const std::string* file_named(std::string_view path) {
  std::string decoded;
  if (!application::percent_decode(path, decoded)) return nullptr;
  if (decoded.empty() || decoded.ends_with('/') || path.ends_with('/')) decoded += "/index.html";
  std::string plain;
  for (const char c : decoded)
    if (c != '/' || (!plain.empty() && plain.back() != '/')) plain += c;
  const auto found = Tree::files().find(plain);
  return found == Tree::files().end() ? nullptr : &found->second;
}

std::string header(const http::Response& response, std::string_view name) {
  const std::string lines = "X\r\n" + response.header_lines() + "\r\n";
  return std::string(http::find_header(lines, name));
}

void check_part(const http::Response& response, std::string_view content, std::string_view whole) {
  std::size_t first = 0;
  std::size_t last = 0;
  std::size_t size = 0;
  const std::string range = header(response, "Content-Range");
  require(std::sscanf(range.c_str(), "bytes %zu-%zu/%zu", &first, &last, &size) == 3);
  require(first <= last && last < size && size == whole.size());
  require(content == whole.substr(first, last - first + 1));
}

void check(const std::optional<http::Response>& response, const http::RequestHead& head,
           std::string_view path) {
  if (!response) return;
  const std::string content = content_of(*response);
  require(content.find("secret") == std::string::npos);
  const std::string* whole = file_named(path);
  switch (response->status) {
    case 200:
      return require(whole != nullptr && content == *whole && application::is_read(head));
    case 206:
      require(whole != nullptr && head.method == "GET");
      return check_part(*response, content, *whole);
    case 416:
      return require(whole != nullptr &&
                     header(*response, "Content-Range") == "bytes */" + std::to_string(whole->size()));
    case 301:
      // Never to another host, whatever the path is.
      return require(whole == nullptr && header(*response, "Location").starts_with("./"));
    case 405:
      return require(!application::is_read(head));
    default:
      require(false);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 1024) return 0;
  static const Tree tree;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string_view path = text.substr(0, text.find('\n'));
  const std::string_view range = text.substr(std::min(path.size() + 1, text.size()));
  const char* method = data[0] % 8 == 0 ? "HEAD" : data[0] % 8 == 1 ? "POST" : "GET";
  std::string bytes = std::string(method) + " /" + std::string(path) + " HTTP/1.1\r\nHost: x\r\n";
  if (!range.empty()) bytes += "Range: bytes=" + std::string(range) + "\r\n";
  bytes += "\r\n";
  const http::ParsedHead parsed = http::parse_head(bytes, 1 << 20);
  if (parsed.status != http::HeadStatus::Complete || parsed.head.raw.size() != bytes.size()) return 0;
  if (parsed.head.path.substr(1) != path) return 0;  // with a query
  loop::Clock clock;
  clock.set_wall_time(4'000'000'000);
  static application::StaticFiles* files = nullptr;
  if (files == nullptr || data[0] >= 128) {  // with nothing in memory
    delete files;
    files = new application::StaticFiles("/socket.io/");
    files->add("/", tree.root());
  }
  check(files->answer(parsed.head, clock), parsed.head, path);
  check(files->answer(parsed.head, clock), parsed.head, path);
  return 0;
}
