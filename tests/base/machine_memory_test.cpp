#include "base/machine_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace limpet::base {
namespace {

class MachineMemory : public testing::Test {
 protected:
  MachineMemory() : root_(std::filesystem::temp_directory_path() / "limpet-memory-XXXXXX") {
    std::string name = root_.string();
    root_ = ::mkdtemp(name.data());
  }
  ~MachineMemory() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = root_.string() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  [[nodiscard]] std::uint64_t usable() const { return usable_memory(root_.string()); }

  std::filesystem::path root_;
};

TEST_F(MachineMemory, IsTheMachinesWithoutACgroup) {
  const auto machine = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                       static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  EXPECT_EQ(usable(), machine);
}

TEST_F(MachineMemory, IsTheTightestLimitOnTheWayToTheRootOfVersion2) {
  write("/proc/self/cgroup", "0::/a.slice/b.service\n");
  write("/sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
  const std::uint64_t machine = usable();
  write("/sys/fs/cgroup/a.slice/memory.max", "100000000\n");
  EXPECT_EQ(usable(), 100'000'000u);
  write("/sys/fs/cgroup/a.slice/b.service/memory.max", "50000000\n");
  EXPECT_EQ(usable(), 50'000'000u);
  write("/sys/fs/cgroup/a.slice/b.service/memory.max", "nonsense\n");
  EXPECT_EQ(usable(), 100'000'000u);
  EXPECT_GT(machine, 100'000'000u);
}

TEST_F(MachineMemory, OfVersion1ComesFromTheMemoryController) {
  write("/proc/self/cgroup", "5:cpu:/other\n4:memory:/docker/1\n");
  write("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "70000000\n");
  EXPECT_EQ(usable(), 70'000'000u);
}

TEST_F(MachineMemory, IsSharedByTheWorkers) {
  EXPECT_EQ(default_memory_of_worker(4), usable_memory() / 4 / 4);
  EXPECT_EQ(default_memory_of_worker(0), usable_memory() / 4);
}

}  // namespace
}  // namespace limpet::base
