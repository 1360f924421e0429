#include "supervisor/runtime_dir.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "supervisor/lock_file.h"

namespace limpet::supervisor {
namespace {

constexpr std::size_t kLongestPath = sizeof(sockaddr_un::sun_path) - 1;

std::string lock_path(const std::string& runtime_dir) { return runtime_dir + "/lock"; }

void create_private(const std::string& path) {
  std::error_code error;
  const auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (::mkdir(path.c_str(), 0700) == -1 && errno != EEXIST)
    ipc::throw_system_error("create runtime directory " + path);
}

ipc::Descriptor take_lock(const std::string& runtime_dir) {
  std::string holder;
  auto lock = take_lock_file(lock_path(runtime_dir), &holder);
  if (lock) return *std::move(lock);
  throw std::runtime_error(
      fmt::format("runtime directory {0}: supervisor {1} runs here; `limpet ctl --runtime-dir {0} stop` "
                  "stops it, another --runtime-dir avoids it",
                  runtime_dir, holder));
}

}  // namespace

std::string default_runtime_dir() {
  if (::geteuid() == 0) return "/run/limpet";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime == '/') return fmt::format("{}/limpet", runtime);
  return fmt::format("/tmp/limpet-{}", ::geteuid());
}

std::string control_path(const std::string& runtime_dir) { return runtime_dir + "/control"; }

RuntimeDir::RuntimeDir(std::string path) : path_(std::move(path)) {
  if (control_path(path_).size() > kLongestPath) {
    throw std::runtime_error(fmt::format(
        "runtime directory {}: its path is too long for a Unix socket ({} bytes with /control, {} at most)",
        path_, control_path(path_).size(), kLongestPath));
  }
  create_private(path_);
  lock_ = take_lock(path_);
  was_left_in_haste_ = ::access(control_path(path_).c_str(), F_OK) == 0;
}

RuntimeDir::~RuntimeDir() { ::unlink(lock_path(path_).c_str()); }

}  // namespace limpet::supervisor
