#include "base/line_thread.h"

#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "base/line_output.h"
#include "tests/base/output_kit.h"

namespace limpet::base::test {
namespace {

using namespace std::chrono_literals;

/// What cannot be opened again: no such folder.
constexpr const char* kNowhere = "/proc/nowhere";

class LineThreadTest : public OutputTest {};

/// Signals that a thread of this process blocks, as in /proc; 0 if there is no such thread any more.
std::uint64_t blocked_by(const std::filesystem::path& task) {
  std::ifstream status(task / "status");
  for (std::string word; status >> word;)
    if (word == "SigBlk:" && status >> word) return std::stoull(word, nullptr, 16);
  return 0;
}

TEST_F(LineThreadTest, WritesWhatCannotBeOpenedAgainInOrder) {
  const Ends pipe = make_pipe();
  LineOutput output(pipe.writes, kNowhere);
  ASSERT_EQ(output.way(), LineOutput::Way::Thread);
  for (int i = 0; i < 100; ++i) output.write(std::to_string(i) + "\n");
  output.flush(10s);
  const auto lines = lines_of(take(pipe.reads));
  ASSERT_EQ(lines.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(lines[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST_F(LineThreadTest, HoldsABoundedNumberOfBytesForAReaderThatIsLateAndDropsTheRest) {
  const Ends pipe = make_pipe();
  LineOutput output(pipe.writes, kNowhere);
  const std::string line(1023, 'x');
  std::size_t written = 0;
  // More than the queue and the pipe together can hold.
  for (; output.drops().total() < 10 && written < 4096; ++written) output.write(line + "\n");
  ASSERT_EQ(output.drops().total(), 10u) << "no write has waited";
  const std::size_t taken = (written - 10) * 1024;
  EXPECT_GE(taken, LineThread::kQueueBytes);
  EXPECT_EQ(take(pipe.reads, taken).size(), taken) << "everything that was queued comes";
  output.flush(10s);
  EXPECT_EQ(output.drops().take_untold(), 10u);
  EXPECT_TRUE(output.tell("10 were dropped\n", 10));
  EXPECT_EQ(take(pipe.reads, 16), "10 were dropped\n");
}

TEST_F(LineThreadTest, CountsWhatItCannotWriteAndForgetsNothingThatIsUntold) {
  const Ends full(-1, ::open("/dev/full", O_WRONLY | O_CLOEXEC));
  LineOutput output(full.writes, kNowhere);
  for (int i = 0; i < 3; ++i) output.write("a line\n");
  output.flush(10s);
  EXPECT_EQ(output.drops().total(), 3u);
  EXPECT_EQ(output.drops().take_untold(), 3u);
  EXPECT_TRUE(output.tell("3 were dropped\n", 3)) << "it is queued";
  output.flush(10s);
  EXPECT_EQ(output.drops().take_untold(), 3u) << "and was not written";
  EXPECT_EQ(output.drops().total(), 3u);
}

TEST_F(LineThreadTest, EndsWithoutWaitingForAReader) {
  const Ends pipe = make_pipe();
  std::size_t bytes = 0;
  {
    LineOutput output(pipe.writes, kNowhere);
    for (int i = 0; i < 200; ++i, bytes += 1024) output.write(std::string(1023, 'x') + "\n");
    EXPECT_EQ(output.drops().total(), 0u);
  }
  EXPECT_EQ(take(pipe.reads, bytes).size(), bytes) << "who reads late gets what the thread still had";
}

TEST_F(LineThreadTest, DoesNotKeepItsProcessFromBecomingAnotherProgram) {
  const Ends pipe = make_pipe();
  const pid_t child = ::fork();
  if (child == 0) {
    LineOutput output(pipe.writes, kNowhere);
    for (int i = 0; i < 200; ++i) output.write(std::string(1023, 'x') + "\n");
    ::execl("/bin/sh", "sh", "-c", "exit 7", nullptr);
    ::_exit(1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST_F(LineThreadTest, BlocksEverySignalInTheThreadAndNoneInItsMaker) {
  sigset_t mine;
  const Ends pipe = make_pipe();
  LineOutput output(pipe.writes, kNowhere);
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mine);
  for (int number = 1; number < NSIG; ++number) EXPECT_NE(sigismember(&mine, number), 1) << number;
  std::size_t threads = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(::getpid())) continue;
    const std::uint64_t blocked = blocked_by(task.path());
    if (blocked == 0) continue;  // one of another test has ended
    ++threads;
    for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD, SIGTTIN, SIGTTOU})
      EXPECT_NE(blocked & (std::uint64_t{1} << (number - 1)), 0u) << number;
  }
  EXPECT_GE(threads, 1u);
}

}  // namespace
}  // namespace limpet::base::test
