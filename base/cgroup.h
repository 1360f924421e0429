// Which folders of the cgroup file system limit this process.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace limpet::base {

/// The folder of our cgroup and those above it up to the root, in each hierarchy (v1 or v2) in which
/// `controller` ("cpu", "memory") may have a limit. Some may not exist. `root`: "" but in tests.
[[nodiscard]] std::vector<std::string> cgroup_folders(std::string_view controller, const std::string& root);

}  // namespace limpet::base
