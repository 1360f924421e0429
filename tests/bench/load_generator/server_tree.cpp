#include "tests/bench/load_generator/server_tree.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace limpet::bench {
namespace {

std::string in_proc(pid_t process, std::string_view file) {
  return "/proc/" + std::to_string(process) + '/' + std::string(file);
}

void append_tree(pid_t process, std::vector<pid_t>& found) {
  found.push_back(process);
  for (const auto& task : std::filesystem::directory_iterator(in_proc(process, "task"))) {
    std::ifstream children(task.path() / "children");
    for (pid_t child = 0; children >> child;) append_tree(child, found);
  }
}

std::vector<pid_t> tree_of(pid_t root) {
  std::vector<pid_t> found;
  append_tree(root, found);
  std::sort(found.begin(), found.end());
  return found;
}

[[noreturn]] void throw_gone(pid_t process, int error) {
  throw std::system_error(error, std::generic_category(), "server process " + std::to_string(process));
}

clockid_t clock_of(pid_t process) {
  clockid_t clock{};
  if (const int error = clock_getcpuclockid(process, &clock); error != 0) throw_gone(process, error);
  return clock;
}

std::uint64_t pss_of(pid_t process) {
  std::ifstream rollup(in_proc(process, "smaps_rollup"));
  for (std::string line; std::getline(rollup, line);) {
    if (line.starts_with("Pss:")) return std::stoull(line.substr(4)) * 1024;
  }
  throw_gone(process, ESRCH);
}

}  // namespace

ServerTree::ServerTree(pid_t root) : processes_(tree_of(root)) {
  for (const pid_t process : processes_) clocks_.push_back(clock_of(process));
}

std::chrono::nanoseconds ServerTree::cpu() const {
  std::chrono::nanoseconds sum{0};
  for (std::size_t at = 0; at < clocks_.size(); ++at) {
    timespec spent{};
    if (clock_gettime(clocks_[at], &spent) != 0) throw_gone(processes_[at], errno);
    sum += std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
  }
  return sum;
}

std::uint64_t ServerTree::pss_bytes() const {
  std::uint64_t sum = 0;
  for (const pid_t process : processes_) sum += pss_of(process);
  return sum;
}

bool ServerTree::unchanged() const { return tree_of(processes_.front()) == processes_; }

}  // namespace limpet::bench
