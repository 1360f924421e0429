#include "supervisor/cluster/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "supervisor/options/settings.h"

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
  std::string found = find_in_path(words.front(), place);
  if (!found.empty()) return found;
  throw std::runtime_error(fmt::format(
      "application {0}: no executable file of this name is in PATH{1}", words.front(),
      is_file(place.at(words.front())) ? fmt::format("; ./{} names the file here", words.front()) : ""));
}

/// Of a script, the program behind its "#!" (execve(2)). One that cannot be read is no script either: its
/// interpreter could not read it.
std::optional<std::string> interpreter_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string line;
  if (!std::getline(file, line) || !line.starts_with("#!")) return std::nullopt;
  const auto begin = std::min(line.find_first_not_of(" \t", 2), line.size());
  return line.substr(begin, line.find_first_of(" \t", begin) - begin);
}

void look_for_application(const Options& options, const StartPlace& place, Program* into) {
  Program& result = *into;
  const std::string path = find_application(options.application, place);
  if (!options.application.empty())
    result.arguments.assign(options.application.begin() + 1, options.application.end());
  if (::access(path.c_str(), X_OK) != 0) {
    throw std::runtime_error(fmt::format("application {}: cannot be executed: {}{}", path,
                                         std::strerror(errno),
                                         path.ends_with(".toml") ? "; did you mean -c " + path + "?" : ""));
  }
  if (!is_file(path)) throw std::runtime_error(fmt::format("application {}: is not a file", path));
  base::Descriptor opened(
      base::require(::open(path.c_str(), O_PATH | O_CLOEXEC), "open application " + path));
  result.file = running_file(path, opened);
  const auto interpreter = interpreter_of(path);
  if (!interpreter) {
    result.image = std::move(opened);
  } else if (interpreter->starts_with('/') && ::access(interpreter->c_str(), X_OK) != 0) {
    throw std::runtime_error(fmt::format("application {}: its interpreter {} cannot be executed: {}", path,
                                         *interpreter, std::strerror(errno)));
  }
}

}  // namespace

Program find_program(const Options& options, const StartPlace& place) {
  Program result;
  result.options = options;
  result.directory = place.open_directory();
  try {
    look_for_application(options, place, &result);
  } catch (const std::exception& failure) {
    if (options.application_place.empty()) throw;
    throw std::runtime_error(options.application_place + ": " + failure.what());
  }
  return result;
}

Program with_settings(Program found, const std::vector<std::string>& listen, std::uint64_t placement_seed) {
  found.settings = sealed_memory("limpet settings", settings_json(found.options, listen, placement_seed));
  return found;
}

Program make_program(const Options& options, const std::vector<std::string>& listen,
                     std::uint64_t placement_seed, const StartPlace& place) {
  return with_settings(find_program(options, place), listen, placement_seed);
}

std::string to_text(const Program& program) {
  std::string result = to_text(program.file);
  if (!program.arguments.empty()) result += ", with";
  for (const std::string& each : program.arguments) result += " " + each;
  return result;
}

}  // namespace limpet::supervisor
