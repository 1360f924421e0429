#include "base/log.h"

#include <sys/wait.h>

#include <functional>

#include "base/standard_descriptors.h"
#include "tests/base/output_kit.h"

namespace limpet::base::test {
namespace {

/// In a process of its own, since a log is a process's: exit status of `body`, whose stderr is `stderr_end`.
int in_child(int stderr_end, const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGPIPE, SIG_DFL);
    ::dup2(stderr_end, STDERR_FILENO);
    ::_exit(body());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(Log, WritesOneLineAMessageWhateverTheMessageIs) {
  const Ends pipe = make_pipe();
  EXPECT_EQ(in_child(pipe.writes,
                     [] {
                       open_log("limpet %l: %v", "info");
                       log(LogLevel::Debug, "not wanted");
                       log(LogLevel::Info, "plain");
                       log(LogLevel::Warning, "forged\nlimpet info: all is well\x1b[2J \u009B31m {}");
                       log(LogLevel::Error, std::string(5000, 'x'));
                       return 0;
                     }),
            0);
  const auto lines = lines_of(take(pipe.reads));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "limpet info: plain");
  EXPECT_EQ(lines[1], "limpet warning: forged\\x0alimpet info: all is well\\x1b[2J \\xc2\\x9b31m {}");
  EXPECT_LT(lines[2].size(), 4096u);
  EXPECT_TRUE(lines[2].ends_with("bytes more)")) << lines[2].substr(4000);
}

TEST(Log, TellsInOneLineHowManyWereDroppedWhenItGoesOn) {
  const Ends pipe = make_pipe();
  std::string came;
  EXPECT_EQ(in_child(pipe.writes,
                     [&] {
                       open_log("limpet %l: %v", "info");
                       while (log_lines_dropped() < 7) log(LogLevel::Info, "nobody reads this");
                       (void)take(pipe.reads);
                       log(LogLevel::Info, "it goes on");
                       log(LogLevel::Info, "and on");
                       return log_lines_dropped() == 7 ? 0 : 1;
                     }),
            0);
  EXPECT_EQ(take(pipe.reads),
            "limpet warning: log: 7 lines of this log were dropped: nobody took them\n"
            "limpet info: it goes on\nlimpet info: and on\n");
}

TEST(Log, OutlivesAReaderThatGoesAway) {
  Ends pipe = make_pipe();
  pipe.close_reading();
  EXPECT_EQ(in_child(pipe.writes,
                     [] {
                       open_log("limpet %l: %v", "info");
                       for (int i = 0; i < 3; ++i) log(LogLevel::Info, "nobody is there");
                       return static_cast<int>(log_lines_dropped());
                     }),
            3);
}

TEST(Log, CountsWhatAGateLeavesOutAndTellsTheNextLineOfItsKind) {
  const Ends pipe = make_pipe();
  EXPECT_EQ(in_child(pipe.writes,
                     [] {
                       open_log("limpet %l: %v", "info");
                       LogGate gate;
                       int made = 0;
                       const auto line = [&] { return "line " + std::to_string(++made); };
                       const std::chrono::steady_clock::time_point now(std::chrono::seconds(1));
                       for (int i = 0; i < 9; ++i) log_at_most(gate, now, LogLevel::Warning, line);
                       if (made != 5 || log_lines_dropped() != 4) return 1;
                       log_at_most(gate, now + std::chrono::seconds(1), LogLevel::Warning, line);
                       return 0;
                     }),
            0);
  const auto lines = lines_of(take(pipe.reads));
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines[4], "limpet warning: line 5");
  EXPECT_EQ(lines[5], "limpet warning: line 6 (4 lines like this one were left out before it)");
}

TEST(Log, TellsAtItsEndWhatNoLineHasToldBefore) {
  const Ends pipe = make_pipe();
  EXPECT_EQ(in_child(pipe.writes,
                     [] {
                       open_log("limpet %l: %v", "info");
                       LogGate gate;
                       const auto line = [] { return std::string("line"); };
                       const std::chrono::steady_clock::time_point now(std::chrono::seconds(1));
                       for (int i = 0; i < 9; ++i) log_at_most(gate, now, LogLevel::Warning, line);
                       const auto later = now + std::chrono::seconds(1);
                       for (int i = 0; i < 12; ++i) log_at_most(gate, later, LogLevel::Warning, line);
                       finish_log();
                       finish_log();
                       return log_lines_dropped() == 11 ? 0 : 1;
                     }),
            0);
  const auto lines = lines_of(take(pipe.reads));
  ASSERT_EQ(lines.size(), 11u);
  EXPECT_EQ(lines[5], "limpet warning: line (4 lines like this one were left out before it)");
  EXPECT_EQ(lines[10],
            "limpet warning: log: 7 lines were left out at the end: of each kind, 5 a second are written");
}

TEST(Log, TellsAtItsEndWhatNobodyTook) {
  const Ends pipe = make_pipe();
  EXPECT_EQ(in_child(pipe.writes,
                     [&] {
                       open_log("limpet %l: %v", "info");
                       while (log_lines_dropped() < 7) log(LogLevel::Info, "nobody reads this");
                       (void)take(pipe.reads);
                       finish_log();
                       return 0;
                     }),
            0);
  EXPECT_EQ(take(pipe.reads), "limpet warning: log: 7 lines of this log were dropped: nobody took them\n");
}

TEST(Log, MayBeOpenedAgainWithOtherWords) {
  const Ends pipe = make_pipe();
  EXPECT_EQ(in_child(pipe.writes,
                     [] {
                       open_log("one %v", "info");
                       log(LogLevel::Info, "a");
                       open_log("two %v", "error");
                       log(LogLevel::Info, "b");
                       log(LogLevel::Error, "c");
                       return 0;
                     }),
            0);
  EXPECT_EQ(take(pipe.reads), "one a\ntwo c\n");
}

TEST(Say, WritesWholeLinesAndWaitsForNobody) {
  const Ends pipe = make_pipe();
  say(pipe.writes, "one\n\ntwo\x1b");
  EXPECT_EQ(take(pipe.reads), "one\n\ntwo\\x1b\n");
  for (int i = 0; i < 100; ++i) say(pipe.writes, std::string(1000, 'x') + "\n");
  EXPECT_EQ(take(pipe.reads).size() % 1001, 0u);
}

TEST(StandardDescriptors, AreNeverGivenToWhatIsOpenedNext) {
  const Ends pipe = make_pipe();
  EXPECT_EQ(in_child(pipe.writes,
                     [] {
                       ::close(STDIN_FILENO);
                       ::close(STDERR_FILENO);
                       fill_standard_descriptors();
                       open_log("%v", "info");
                       log(LogLevel::Info, "a line");
                       if (log_lines_dropped() != 1) return 1;
                       return ::open("/dev/null", O_RDONLY) > STDERR_FILENO ? 0 : 2;
                     }),
            0);
}

}  // namespace
}  // namespace limpet::base::test
