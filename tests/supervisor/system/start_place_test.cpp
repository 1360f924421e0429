// Names are joined as text: what they lead to is for the kernel, each time anew.
#include "supervisor/system/start_place.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "supervisor/system/running_file.h"
#include "tests/supervisor/running_server.h"

namespace limpet::supervisor {
namespace {

namespace fs = std::filesystem;

TEST(StartPlace, relative_paths_are_joined_as_text) {
  const StartPlace place{"/srv/app/current", "/srv/app/current/limpet"};
  EXPECT_EQ(place.at("/bin/app"), "/bin/app");
  EXPECT_EQ(place.at("app"), "/srv/app/current/app");
  EXPECT_EQ(place.at("./app"), "/srv/app/current/app");
  EXPECT_EQ(place.at(".//./app"), "/srv/app/current/app");
  EXPECT_EQ(place.at(".hidden"), "/srv/app/current/.hidden");
  EXPECT_EQ(place.at("../app"), "/srv/app/current/../app") << "of what `current` leads to";
  EXPECT_EQ(place.at(""), "");
  EXPECT_EQ((StartPlace{"/", ""}.at("app")), "/app");
  EXPECT_EQ(StartPlace{}.at("app"), "app");
}

TEST(StartPlace, a_name_that_does_not_lead_to_the_running_file_is_not_believed) {
  const std::string running = fs::read_symlink("/proc/self/exe");
  EXPECT_EQ(start_place("nothing-of-that-name").binary, running);
  EXPECT_EQ(start_place("/bin/sh").binary, running);
  EXPECT_EQ(start_place(nullptr).binary, running);
  const TemporaryDirectory directory;
  const std::string link = directory.path() + "/link";
  fs::create_symlink(running, link);
  EXPECT_EQ(start_place(link.c_str()).binary, link);
}

TEST(StartPlace, the_command_is_what_was_typed_if_that_leads_here_and_else_the_path) {
  const std::string running = fs::read_symlink("/proc/self/exe");
  EXPECT_EQ(start_place("/bin/sh").command(), running);
  EXPECT_EQ(start_place("limpet-that-is-nowhere").command(), running);
  const TemporaryDirectory directory;
  fs::create_symlink(running, directory.path() + "/my limpet");
  const std::string typed = fs::relative(directory.path()) / "my limpet";
  EXPECT_EQ(start_place(typed.c_str()).command(), "'" + typed + "'");
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", (path + ":" + directory.path()).c_str(), 1);
  EXPECT_EQ(start_place("my limpet").command(), "'my limpet'");
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(StartPlace{}.command(), "limpet");
}

TEST(ShellWord, has_quotes_if_it_needs_them) {
  EXPECT_EQ(shell_word("/srv/app-1/limpet_2.0"), "/srv/app-1/limpet_2.0");
  EXPECT_EQ(shell_word("a b"), "'a b'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word("$x"), "'$x'");
  EXPECT_EQ(shell_word("~"), "'~'");
  EXPECT_EQ(shell_word(""), "''");
}

TEST(StartPlace, the_shells_name_of_the_directory_counts_only_if_it_leads_here) {
  const TemporaryDirectory directory;
  const std::string link = directory.path() + "/link";
  fs::create_directory_symlink(fs::current_path(), link);
  ::setenv("PWD", link.c_str(), 1);
  EXPECT_EQ(start_place(nullptr).directory, link);
  ::setenv("PWD", directory.path().c_str(), 1);
  EXPECT_EQ(start_place(nullptr).directory, fs::current_path());
  ::setenv("PWD", ".", 1);
  EXPECT_EQ(start_place(nullptr).directory, fs::current_path());
  ::unsetenv("PWD");
  EXPECT_EQ(start_place(nullptr).directory, fs::current_path());
}

TEST(RunningFile, another_file_of_the_same_name_is_known) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  const auto look = [&] {
    return running_file(path, base::Descriptor(::open(path.c_str(), O_PATH | O_CLOEXEC)));
  };
  std::ofstream(path) << "one";
  const RunningFile before = look();
  EXPECT_EQ(to_text(look(), before.mark), path + " (the same file as before runs)");
  std::ofstream(path, std::ios::app) << " more";
  EXPECT_EQ(to_text(look(), before.mark), path + " (another file than before runs)");
  EXPECT_EQ(to_text(look(), {}), path) << "of a build that told no mark";
  const std::string link = directory.path() + "/link";
  fs::create_symlink(path, link);
  EXPECT_EQ(to_text(running_file(link, base::Descriptor(::open(link.c_str(), O_PATH | O_CLOEXEC)))),
            link + " -> " + path);
}

}  // namespace
}  // namespace limpet::supervisor
