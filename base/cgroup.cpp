#include "base/cgroup.h"

#include <fstream>
#include <sstream>

namespace limpet::base {
namespace {

void add_up_to_root(const std::string& mount, std::string path, std::vector<std::string>& folders) {
  for (;;) {
    folders.push_back(mount + path);
    if (path.empty()) return;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

/// `controllers`: "cpu,cpuacct".
bool has_controller(const std::string& controllers, std::string_view controller) {
  return (',' + controllers + ',').find(',' + std::string(controller) + ',') != std::string::npos;
}

}  // namespace

std::vector<std::string> cgroup_folders(std::string_view controller, const std::string& root) {
  const std::string mount = root + "/sys/fs/cgroup";
  std::vector<std::string> folders;
  // "0::/user.slice" (v2), "4:cpu,cpuacct:/docker/…" (v1)
  std::ifstream lines(root + "/proc/self/cgroup");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string number, controllers, path;
    std::getline(fields, number, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, path);
    if (path == "/") path.clear();
    if (controllers.empty()) {
      add_up_to_root(mount, path, folders);
    } else if (has_controller(controllers, controller)) {
      add_up_to_root(mount + "/" + std::string(controller), path, folders);
      if (controllers != controller) add_up_to_root(mount + "/" + controllers, path, folders);
    }
  }
  return folders;
}

}  // namespace limpet::base
