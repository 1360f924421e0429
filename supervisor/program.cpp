#include "supervisor/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "supervisor/settings.h"

namespace limpet::supervisor {
namespace {

constexpr const char* kDefaultApplication = "chat";

bool is_file(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

std::string in_path(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = folder + "/" + name;
    if (is_file(candidate) && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return name;
}

std::string find_application(const std::vector<std::string>& words) {
  if (words.empty())
    return std::filesystem::read_symlink("/proc/self/exe").parent_path() / kDefaultApplication;
  if (words.front().find('/') == std::string::npos) return in_path(words.front());
  return std::filesystem::absolute(words.front()).lexically_normal();
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
                     std::uint64_t placement_seed) {
  Program result;
  result.options = options;
  result.executable = find_application(options.application);
  if (!options.application.empty())
    result.arguments.assign(options.application.begin() + 1, options.application.end());
  if (::access(result.executable.c_str(), X_OK) != 0) {
    throw std::runtime_error(
        fmt::format("application {}: cannot be executed: {}", result.executable, std::strerror(errno)));
  }
  if (!is_file(result.executable))
    throw std::runtime_error(fmt::format("application {}: is not a file", result.executable));
  if (!is_script(result.executable)) {
    result.image = ipc::Descriptor(ipc::require(::open(result.executable.c_str(), O_PATH | O_CLOEXEC),
                                                "open application " + result.executable));
  }
  result.settings = sealed_memory("limpet settings", settings_json(options, listen, placement_seed));
  return result;
}

std::string to_text(const Program& program) {
  std::string result = program.executable;
  for (const std::string& each : program.arguments) result += " " + each;
  return result;
}

}  // namespace limpet::supervisor
