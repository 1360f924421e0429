#include "base/machine_memory.h"

#include <sys/sysinfo.h>

#include <algorithm>
#include <charconv>
#include <fstream>

#include "base/cgroup.h"

namespace limpet::base {
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

std::uint64_t machine_memory() {
  struct sysinfo facts {};
  if (::sysinfo(&facts) != 0) return kWithoutAnswer;
  return std::uint64_t{facts.totalram} * facts.mem_unit;
}

}  // namespace

std::uint64_t usable_memory(const std::string& root) {
  std::uint64_t least = machine_memory();
  for (const std::string& folder : cgroup_folders("memory", root)) {
    for (const char* file : {"/memory.max", "/memory.limit_in_bytes"})  // v2, v1
      least = std::min(least, number_in(folder + file, least));
  }
  return std::max<std::uint64_t>(least, 1);
}

std::uint64_t default_memory_of_worker(std::uint64_t workers) {
  return usable_memory() / 4 / std::max<std::uint64_t>(workers, 1);
}

}  // namespace limpet::base
