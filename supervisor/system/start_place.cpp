#include "supervisor/system/start_place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string_view>

#include "base/file_id.h"

namespace limpet::supervisor {
namespace {

constexpr const char* kRunningFile = "/proc/self/exe";

bool is_same(const std::string& one, const char* other) {
  const auto file = base::file_behind(one);
  return file && file == base::file_behind(other);
}

bool is_executable_file(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

std::string text_of(const std::filesystem::path& path, const std::error_code& failure) {
  return failure ? "" : path.string();
}

/// The shell's name of it. One that leads elsewhere is left over from somebody who changed the directory
/// without a shell.
std::string named_directory() {
  const char* named = std::getenv("PWD");
  if (named != nullptr && *named == '/' && is_same(named, ".")) return named;
  std::error_code failure;
  const auto path = std::filesystem::current_path(failure);
  return text_of(path, failure);
}

void name_binary(const std::string& called, StartPlace* place) {
  const std::string name =
      called.find('/') == std::string::npos ? find_in_path(called, *place) : place->at(called);
  // Whoever starts a program can call it as he likes.
  if (!name.empty() && is_same(name, kRunningFile)) {
    place->binary = name;
    place->called = called;
    return;
  }
  std::error_code failure;
  const auto path = std::filesystem::read_symlink(kRunningFile, failure);
  place->binary = text_of(path, failure);
}

}  // namespace

std::string StartPlace::at(const std::string& path) const {
  if (path.empty() || path.front() == '/' || directory.empty()) return path;
  std::size_t begin = 0;
  while (path.compare(begin, 2, "./") == 0)
    begin = std::min(path.find_first_not_of('/', begin + 1), path.size());
  return directory + (directory.back() == '/' ? "" : "/") + path.substr(begin);
}

base::Descriptor StartPlace::open_directory() const {
  const std::string path = directory.empty() ? "." : directory;
  return base::Descriptor(
      base::require(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC), "working directory " + path));
}

std::string StartPlace::command() const {
  if (!called.empty()) return shell_word(called);
  return binary.empty() ? "limpet" : shell_word(binary);
}

std::string shell_word(const std::string& text) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:@%+=,";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string result = "'";
  for (const char each : text) {
    if (each == '\'')
      result += "'\\''";
    else
      result += each;
  }
  return result + "'";
}

StartPlace start_place(const char* called) {
  StartPlace place{named_directory(), ""};
  name_binary(called != nullptr ? called : "", &place);
  return place;
}

std::string find_in_path(const std::string& name, const StartPlace& place) {
  const char* path = std::getenv("PATH");
  if (name.empty() || path == nullptr) return "";
  std::istringstream folders(path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    // An empty one is the working directory, as for the shell.
    const std::string candidate = place.at(folder.empty() ? name : folder + "/" + name);
    if (is_executable_file(candidate)) return candidate;
  }
  return "";
}

}  // namespace limpet::supervisor
