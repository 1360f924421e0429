#include "worker/http/file_tree.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace limpet::http {
namespace {

namespace fs = std::filesystem;
using Result = Lookup::Result;

class Tree : public testing::Test {
 protected:
  Tree() {
    char name[] = "/tmp/limpet-tree-XXXXXX";
    top_ = ::mkdtemp(name);
    write("root/a.txt", "a");
    write("root/sub/b.txt", "bb");
    write("outside.txt", "secret");
    fs::create_symlink("a.txt", top_ / "root/link.txt");
    fs::create_symlink("../outside.txt", top_ / "root/out.txt");
  }
  ~Tree() override { fs::remove_all(top_); }

  void write(const std::string& name, std::string_view content) {
    fs::create_directories((top_ / name).parent_path());
    std::ofstream(top_ / name) << content;
  }
  Result look(const std::string& path) { return tree().open(path, now_).result; }
  FileTree& tree() {
    if (!tree_) tree_ = std::make_unique<FileTree>((top_ / "root").native());
    return *tree_;
  }
  /// As in a container whose filter does not know openat2. Only to be called in a process that ends.
  static void forbid_openat2(int error) {
    const std::array<sock_filter, 4> program = {{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    const sock_fprog filter{program.size(), const_cast<sock_filter*>(program.data())};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
      std::_Exit(2);
  }
  /// 0: all is served that is safe, links are not followed.
  int walks_safely(int error) {
    forbid_openat2(error);
    if (look("a.txt") != Result::File || look("sub/b.txt") != Result::File) return 3;
    if (look("sub") != Result::Directory || look("") != Result::Directory) return 4;
    if (look("link.txt") != Result::Nothing || look("out.txt") != Result::Nothing) return 5;
    if (look("a.txt/b") != Result::Nothing || look("none/b.txt") != Result::Nothing) return 6;
    return 0;
  }

  fs::path top_;
  loop::TimePoint now_{};
  std::unique_ptr<FileTree> tree_;
};

TEST_F(Tree, OpensWhatIsInsideAndNothingElse) {
  EXPECT_EQ(look("a.txt"), Result::File);
  EXPECT_EQ(look("sub/b.txt"), Result::File);
  EXPECT_EQ(look("link.txt"), Result::File);
  EXPECT_EQ(look("sub"), Result::Directory);
  EXPECT_EQ(look(""), Result::Directory);
  for (const char* path :
       {"none", "a.txt/x", "out.txt", "../outside.txt", "sub/../../outside.txt", "/etc/passwd"})
    EXPECT_EQ(look(path), Result::Nothing) << path;
}

TEST_F(Tree, TellsStatesOfAFileApart) {
  const Lookup first = tree().open("sub/b.txt", now_);
  EXPECT_EQ(first.state.size, 2u);
  EXPECT_EQ(tree().open("sub/b.txt", now_).state, first.state);
  write("root/sub/b.txt", "bbb");
  EXPECT_NE(tree().open("sub/b.txt", now_).state, first.state);
}

TEST_F(Tree, OpensItsDirectoryAgainAfterASecond) {
  EXPECT_EQ(look("a.txt"), Result::File);
  fs::rename(top_ / "root", top_ / "old");
  now_ += FileTree::kReopened - std::chrono::milliseconds(1);
  EXPECT_EQ(look("a.txt"), Result::File);
  now_ += std::chrono::milliseconds(1);
  EXPECT_EQ(look("a.txt"), Result::Nothing);
  fs::rename(top_ / "old", top_ / "root");
  now_ += FileTree::kReopened;
  EXPECT_EQ(look("a.txt"), Result::File);
}

TEST_F(Tree, BoundsAPath) {
  std::string path;
  for (std::size_t part = 1; part < FileTree::kMaxPathParts; ++part) path += "d/";
  write("root/" + path + "f", "deep");
  EXPECT_EQ(look(path + "f"), Result::File);
  write("root/" + path + "d/f", "too deep");
  EXPECT_EQ(look(path + "d/f"), Result::Nothing);
  EXPECT_EQ(look(std::string(FileTree::kMaxPathBytes + 1, 'a')), Result::Nothing);
}

TEST_F(Tree, SaysWhenThereIsNoPermission) {
  write("root/closed.txt", "c");
  fs::permissions(top_ / "root/closed.txt", fs::perms::none);
  if (::geteuid() != 0) {
    EXPECT_EQ(look("closed.txt"), Result::Forbidden);
    return;
  }
  // The superuser may read all; somebody else may not.
  fs::permissions(top_, fs::perms::all);
  EXPECT_EXIT(
      {
        if (::setresuid(65534, 65534, 65534) != 0) std::_Exit(2);
        std::_Exit(look("closed.txt") == Result::Forbidden && look("a.txt") == Result::File ? 0 : 3);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(Tree, SaysWhenDescriptorsAreUsedUpAndGoesOnAfterwards) {
  EXPECT_EQ(look("a.txt"), Result::File);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  now_ += FileTree::kReopened;  // its directory cannot be opened again either
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const Lookup lookup = tree().open("a.txt", now_);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(lookup.result, Result::Exhausted);
  EXPECT_EQ(lookup.error, EMFILE);
  EXPECT_EQ(look("a.txt"), Result::File);
}

TEST_F(Tree, WalksByItselfWhereTheKernelDoesNotKnowTheCall) {
  EXPECT_EXIT(std::_Exit(walks_safely(ENOSYS)), testing::ExitedWithCode(0), "");
}

TEST_F(Tree, WalksByItselfWhereAContainerForbidsTheCall) {
  EXPECT_EXIT(std::_Exit(walks_safely(EPERM)), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace limpet::http
