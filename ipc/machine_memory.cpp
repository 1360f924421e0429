#include "ipc/machine_memory.h"

#include <sys/sysinfo.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace limpet::ipc {
namespace {

/// Of a machine whose kernel does not say.
constexpr std::uint64_t kWithoutAnswer = std::uint64_t{1} << 30;

/// The number in a file of one word; `without` if there is none ("max").
std::uint64_t number_in(const std::string& file, std::uint64_t without) {
  std::ifstream stream(file);
  std::string word;
  std::uint64_t number = 0;
  if (!(stream >> word)) return without;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc() && end == word.data() + word.size() ? number : without;
}

/// The tightest limit from `path` up to the root of its hierarchy.
std::uint64_t tightest(const std::string& mount, std::string path, const std::string& file,
                       std::uint64_t least) {
  for (;;) {
    least = std::min(least, number_in(mount + path + "/" + file, least));
    if (path.empty()) return least;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

std::uint64_t machine_memory() {
  struct sysinfo facts {};
  if (::sysinfo(&facts) != 0) return kWithoutAnswer;
  return std::uint64_t{facts.totalram} * facts.mem_unit;
}

}  // namespace

std::uint64_t usable_memory(const std::string& root) {
  std::uint64_t least = machine_memory();
  // "0::/user.slice" (v2), "9:memory:/docker/…" (v1)
  std::ifstream lines(root + "/proc/self/cgroup");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string number, controllers, path;
    std::getline(fields, number, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, path);
    if (path == "/") path.clear();
    if (controllers.empty()) {
      least = tightest(root + "/sys/fs/cgroup", path, "memory.max", least);
    } else if (controllers == "memory") {
      least = tightest(root + "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes", least);
    }
  }
  return std::max<std::uint64_t>(least, 1);
}

std::uint64_t default_memory_of_worker(std::uint64_t workers) {
  return usable_memory() / 4 / std::max<std::uint64_t>(workers, 1);
}

}  // namespace limpet::ipc
