#include "supervisor/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "supervisor/settings.h"

namespace limpet::supervisor {
namespace {

constexpr const char* kDefaultApplication = "chat";

bool is_file(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

/// Beside the name of limpet, or beside the file that this leads to.
std::string beside_limpet(const StartPlace& place) {
  namespace fs = std::filesystem;
  std::string named = fs::path(place.binary).parent_path() / kDefaultApplication;
  if (is_file(named)) return named;
  std::error_code failure;
  const fs::path resolved = fs::canonical(place.binary, failure);
  return failure ? named : (resolved.parent_path() / kDefaultApplication).string();
}

std::string find_application(const std::vector<std::string>& words, const StartPlace& place) {
  if (words.empty()) return beside_limpet(place);
  if (words.front().find('/') != std::string::npos) return place.at(words.front());
  const std::string found = find_in_path(words.front(), place);
  return found.empty() ? words.front() : found;
}

/// One that cannot be read is no script either: its interpreter could not read it.
bool is_script(const std::string& path) {
  const ipc::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char begin[2] = {};
  return file && ::read(file.get(), begin, sizeof begin) == sizeof begin && begin[0] == '#' &&
         begin[1] == '!';
}

}  // namespace

Program make_program(const Options& options, const std::vector<std::string>& listen,
                     std::uint64_t placement_seed, const StartPlace& place) {
  Program result;
  result.options = options;
  result.directory = place.open_directory();
  const std::string path = find_application(options.application, place);
  if (!options.application.empty())
    result.arguments.assign(options.application.begin() + 1, options.application.end());
  if (::access(path.c_str(), X_OK) != 0) {
    throw std::runtime_error(
        fmt::format("application {}: cannot be executed: {}", path, std::strerror(errno)));
  }
  if (!is_file(path)) throw std::runtime_error(fmt::format("application {}: is not a file", path));
  ipc::Descriptor opened(ipc::require(::open(path.c_str(), O_PATH | O_CLOEXEC), "open application " + path));
  result.file = running_file(path, opened);
  if (!is_script(path)) result.image = std::move(opened);
  result.settings = sealed_memory("limpet settings", settings_json(options, listen, placement_seed));
  return result;
}

std::string to_text(const Program& program) {
  std::string result = to_text(program.file);
  if (!program.arguments.empty()) result += ", with";
  for (const std::string& each : program.arguments) result += " " + each;
  return result;
}

}  // namespace limpet::supervisor
