// Whose a runtime directory may be, what is never touched in it, and what is made again after a sweep.
#include "supervisor/system/runtime_dir.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "supervisor/system/lock_file.h"
#include "tests/supervisor/running_server.h"

namespace limpet::supervisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uid_t kUser = 1000;
constexpr gid_t kGroup = 1000;

std::string objection(RuntimeDirTrust trust, mode_t mode, uid_t owner = kUser, gid_t group = kGroup) {
  struct stat found = {};
  found.st_mode = mode;
  found.st_uid = owner;
  found.st_gid = group;
  return objection_to(found, trust, kUser, kGroup);
}

TEST(RuntimeDirTrust, one_that_nobody_named_is_private) {
  const auto of = [](auto... how) { return objection(RuntimeDirTrust::Private, how...); };
  EXPECT_EQ(of(S_IFDIR | 0700U), "");
  EXPECT_EQ(of(S_IFLNK | 0777U), "is a symlink");
  EXPECT_EQ(of(S_IFREG | 0700U), "is no directory");
  EXPECT_THAT(of(S_IFDIR | 0710U), HasSubstr("open to others (mode 0710"));
  EXPECT_THAT(of(S_IFDIR | 0701U), HasSubstr("open to others"));
  EXPECT_THAT(of(S_IFDIR | 0700U, 1001U), HasSubstr("belongs to user 1001, this is user 1000"));
  EXPECT_THAT(of(S_IFDIR | 0700U, 0U), HasSubstr("belongs to user 0"));
}

TEST(RuntimeDirTrust, one_that_was_named_may_be_looked_into_but_written_by_us_and_root_alone) {
  for (const auto trust : {RuntimeDirTrust::Operator, RuntimeDirTrust::NoLink}) {
    EXPECT_EQ(objection(trust, S_IFDIR | 0755U), "");
    EXPECT_EQ(objection(trust, S_IFDIR | 0755U, 0), "");
    EXPECT_EQ(objection(trust, S_IFDIR | 0775U), "") << "our own group: umask 002";
    EXPECT_THAT(objection(trust, S_IFDIR | 0775U, kUser, 50), HasSubstr("others may write there"));
    EXPECT_THAT(objection(trust, S_IFDIR | 0777U), HasSubstr("others may write there"));
    EXPECT_THAT(objection(trust, S_IFDIR | 01777U, 0), HasSubstr("others may write there"));
    EXPECT_THAT(objection(trust, S_IFDIR | 0755U, 1001), HasSubstr("belongs to user 1001"));
  }
}

class SweptRuntimeDir : public testing::Test {
 protected:
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& each : std::filesystem::directory_iterator(path_))
      names.push_back(each.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/run";
};

TEST_F(SweptRuntimeDir, is_made_again_with_what_was_in_it) {
  RuntimeDir runtime_dir(path_, RuntimeDirTrust::Operator);
  base::Descriptor control = runtime_dir.listen_for_control();
  EXPECT_THAT(files(), ElementsAre("control", "lock"));
  EXPECT_THAT(runtime_dir.restore().names, IsEmpty()) << "nothing was swept";
  std::filesystem::remove(path_ + "/control");
  RuntimeDir::Restored restored = runtime_dir.restore();
  EXPECT_THAT(restored.names, ElementsAre("control"));
  EXPECT_TRUE(restored.control);
  std::filesystem::remove(path_ + "/lock");
  EXPECT_THAT(runtime_dir.restore().names, ElementsAre("lock"));
  std::filesystem::remove_all(path_);
  EXPECT_THAT(runtime_dir.restore().names, ElementsAre("lock", "control"));
  EXPECT_THAT(files(), ElementsAre("control", "lock"));
}

TEST_F(SweptRuntimeDir, with_another_supervisor_in_it_is_that_ones) {
  auto first = std::make_unique<RuntimeDir>(path_, RuntimeDirTrust::Operator);
  const base::Descriptor control = first->listen_for_control();
  std::filesystem::remove_all(path_);
  auto second = std::make_unique<RuntimeDir>(path_, RuntimeDirTrust::Operator);
  const base::Descriptor its = second->listen_for_control();
  EXPECT_THROW((void)first->restore(), std::runtime_error);
  first.reset();
  EXPECT_THAT(files(), ElementsAre("control", "lock"));
  second.reset();
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(SweptRuntimeDir, is_removed_by_whoever_an_upgrade_gave_it_to) {
  int lock = -1;
  {
    RuntimeDir before(path_, RuntimeDirTrust::Operator);
    const base::Descriptor control = before.listen_for_control();
    lock = ::dup(before.lock());
    const RuntimeDir after(path_, RuntimeDirTrust::Operator, "limpet", base::Descriptor(lock));
    EXPECT_THAT(files(), ElementsAre("control", "lock"));
  }
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(SweptRuntimeDir, keeps_a_file_named_control_that_is_no_socket) {
  RuntimeDir runtime_dir(path_, RuntimeDirTrust::Operator);
  std::ofstream(path_ + "/control") << "dear";
  EXPECT_THROW((void)runtime_dir.listen_for_control(), std::runtime_error);
  EXPECT_TRUE(std::filesystem::is_regular_file(path_ + "/control"));
}

TEST(LockFile, never_writes_to_what_a_link_leads_to) {
  const TemporaryDirectory directory;
  const std::string dear = directory.path() + "/dear";
  std::ofstream(dear) << "dear";
  const std::string lock = directory.path() + "/lock";
  std::string holder;
  std::filesystem::create_symlink(dear, lock);
  EXPECT_THROW((void)LockFile::take(AT_FDCWD, lock, lock, &holder), std::runtime_error);
  std::filesystem::remove(lock);
  std::filesystem::create_hard_link(dear, lock);
  EXPECT_THROW((void)LockFile::take(AT_FDCWD, lock, lock, &holder), std::runtime_error);
  EXPECT_EQ(std::filesystem::file_size(dear), 4U);
}

}  // namespace
}  // namespace limpet::supervisor
