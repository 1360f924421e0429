#include "supervisor/system/cpus.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>

#include "tests/supervisor/running_server.h"

namespace limpet::supervisor {
namespace {

class Quota : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_.path() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  unsigned quota() { return quota_cpus(root_.path()); }
  TemporaryDirectory root_;
};

TEST_F(Quota, is_none_without_a_cgroup) { EXPECT_EQ(quota(), 0U); }

TEST_F(Quota, of_version_2_is_the_tightest_on_the_way_to_the_root) {
  write("/proc/self/cgroup", "0::/a.slice/b.service\n");
  write("/sys/fs/cgroup/a.slice/b.service/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 0U);
  write("/sys/fs/cgroup/a.slice/cpu.max", "400000 100000\n");
  EXPECT_EQ(quota(), 4U);
  write("/sys/fs/cgroup/a.slice/b.service/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 2U) << "a CPU and a half keep two workers busy";
}

TEST_F(Quota, of_version_1_comes_from_the_cpu_controller_alone) {
  write("/proc/self/cgroup", "5:cpuset:/other\n4:cpu,cpuacct:/docker/1\n");
  write("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "300000\n");
  write("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 3U);
  write("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(quota(), 0U);
}

TEST_F(Quota, in_a_container_that_sees_only_its_own_part_is_found_at_the_root) {
  write("/proc/self/cgroup", "0::/docker/123\n");
  write("/sys/fs/cgroup/cpu.max", "100000 100000\n");
  EXPECT_EQ(quota(), 1U);
}

TEST(Cpus, are_those_of_the_affinity_mask) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  ASSERT_EQ(allowed_cpus().size(), static_cast<std::size_t>(CPU_COUNT(&before)));
  const int last = allowed_cpus().back();
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<unsigned>(last), &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(allowed_cpus(), std::vector<int>{last});
  EXPECT_EQ(granted_cpus(), 1U);
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
}

}  // namespace
}  // namespace limpet::supervisor
