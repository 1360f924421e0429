#include "base/line_output.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "tests/base/output_kit.h"

namespace limpet::base::test {
namespace {

using namespace std::chrono_literals;
using Way = LineOutput::Way;

/// `line 7` and its end, as long as asked for.
std::string numbered(std::size_t number, std::size_t size = 0) {
  std::string line = "line " + std::to_string(number);
  if (line.size() + 1 < size) line += std::string(size - 1 - line.size(), '.');
  return line + "\n";
}

/// Writes numbered lines until one is dropped, then until `dropped` are. How many were taken.
std::size_t overfill(LineOutput& output, std::uint64_t dropped, std::size_t size = 0) {
  std::size_t number = 0;
  for (; output.drops().total() == 0; ++number) output.write(numbered(number, size));
  const std::size_t taken = number - 1;
  while (output.drops().total() < dropped) output.write(numbered(number++, size));
  return taken;
}

void expect_numbered(const std::string& text, std::size_t count, std::size_t size = 0) {
  std::string expected;
  for (std::size_t number = 0; number < count; ++number) expected += numbered(number, size);
  EXPECT_EQ(text.size(), expected.size());
  EXPECT_TRUE(text == expected) << "in order, each whole";
}

/// Nobody reads, then somebody does.
void expect_drops_told_in_order(Ends ends) {
  LineOutput output(ends.writes);
  const std::size_t taken = overfill(output, 10);
  EXPECT_EQ(output.drops().take_untold(), 10u);
  EXPECT_FALSE(output.tell("10 were dropped\n", 10)) << "still full";
  expect_numbered(take(ends.reads), taken);
  EXPECT_EQ(output.drops().take_untold(), 10u) << "what was not told is told the next time";
  EXPECT_TRUE(output.tell("10 were dropped\n", 10));
  output.write("it goes on\n");
  EXPECT_EQ(take(ends.reads), "10 were dropped\nit goes on\n");
  EXPECT_EQ(output.drops().total(), 10u) << "the line that told it is none of the log";
}

TEST_F(OutputTest, APipeThatNobodyReadsLosesLinesAndIsToldHowManyWhenItIsRead) {
  expect_drops_told_in_order(make_pipe());
}

TEST_F(OutputTest, SoDoesASocketOfAnyKind) {
  expect_drops_told_in_order(make_sockets(SOCK_STREAM));
  expect_drops_told_in_order(make_sockets(SOCK_SEQPACKET));
}

TEST_F(OutputTest, ATerminalThatIsHeldUpLosesLines) {
  const Ends terminal = make_terminal();
  LineOutput output(terminal.writes);
  EXPECT_EQ(output.way(), Way::OwnDescription);
  (void)overfill(output, 3);
  EXPECT_TRUE(take(terminal.reads).starts_with("line 0\r\nline 1\r\n"));
}

TEST_F(OutputTest, NeverMakesTheDescriptionOfOthersNonBlocking) {
  const auto expect_blocking = [](Ends ends, Way way, const char* descriptors) {
    LineOutput output(ends.writes, descriptors);
    EXPECT_EQ(output.way(), way);
    output.write("a line\n");
    EXPECT_EQ(::fcntl(ends.writes, F_GETFL) & (O_NONBLOCK | O_APPEND), 0);
    output.flush(10s);
  };
  expect_blocking(make_pipe(), Way::OwnDescription, "/proc/self/fd");
  expect_blocking(make_terminal(), Way::OwnDescription, "/proc/self/fd");
  expect_blocking(make_sockets(SOCK_STREAM), Way::Socket, "/proc/self/fd");
  expect_blocking(make_pipe(), Way::Thread, "/proc/nowhere");
}

TEST_F(OutputTest, WritesWholeLinesToARegularFileWhateverElseIsWrittenThere) {
  char name[] = "/tmp/limpet-output-XXXXXX";
  const Ends file(-1, ::mkostemp(name, O_CLOEXEC));
  LineOutput output(file.writes);
  EXPECT_EQ(output.way(), Way::File);
  output.write("first\n");
  EXPECT_EQ(::write(file.writes, "another's\n", 10), 10);
  output.write("last\n");
  std::ifstream written(name);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(written), {}), "first\nanother's\nlast\n");
  std::filesystem::remove(name);
}

TEST_F(OutputTest, AFileThatIsFullGetsTheRestOfItsLastLineBeforeAnythingNewer) {
  char name[] = "/tmp/limpet-output-XXXXXX";
  const Ends file(-1, ::mkostemp(name, O_CLOEXEC));
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit low = before;
  low.rlim_cur = 10;
  LineOutput output(file.writes);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &low), 0);
  output.write("0123456789 the rest\n");
  output.write("dropped\n");
  output.write("dropped too\n");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  output.write("it goes on\n");
  std::ifstream written(name);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(written), {}), "0123456789 the rest\nit goes on\n");
  EXPECT_EQ(output.drops().total(), 2u);
  std::filesystem::remove(name);
}

TEST_F(OutputTest, CountsWhatADeviceThatIsFullDoesNotTake) {
  const Ends full(-1, ::open("/dev/full", O_WRONLY | O_CLOEXEC));
  LineOutput output(full.writes);
  for (int i = 0; i < 3; ++i) output.write("a line\n");
  EXPECT_EQ(output.drops().total(), 3u);
}

TEST_F(OutputTest, ADescriptorThatIsClosedGetsNothingAndNeitherDoesWhoGetsItsNumber) {
  Ends pipe = make_pipe();
  const int number = ::dup(pipe.writes);
  ::close(number);
  LineOutput output(number);
  EXPECT_EQ(output.way(), Way::Nowhere);
  ASSERT_EQ(::dup2(pipe.writes, number), number);
  output.write("not for you\n");
  ::close(number);
  EXPECT_EQ(take(pipe.reads), "");
  EXPECT_EQ(output.drops().total(), 1u);
}

TEST_F(OutputTest, ADescriptorForReadingOnlyIsAsGoodAsClosed) {
  const Ends null(::open("/dev/null", O_RDONLY | O_CLOEXEC), -1);
  LineOutput output(null.reads);
  output.write("a line\n");
  EXPECT_EQ(output.drops().total(), 1u);
}

TEST_F(OutputTest, AReaderThatIsGoneCostsLinesAndOneThatComesGetsTheNext) {
  char folder[] = "/tmp/limpet-output-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string name = std::string(folder) + "/pipe";
  ASSERT_EQ(::mkfifo(name.c_str(), 0600), 0);
  Ends ends(::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC), -1);
  ends.writes = ::open(name.c_str(), O_WRONLY | O_CLOEXEC);
  ends.close_reading();
  LineOutput output(ends.writes);  // opened while nobody reads
  output.write("dropped\n");
  ends.reads = ::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  output.write("read\n");
  EXPECT_EQ(take(ends.reads), "read\n");
  ends.close_reading();
  output.write("dropped\n");
  ends.reads = ::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  output.write("read again\n");
  EXPECT_EQ(take(ends.reads), "read again\n");
  EXPECT_EQ(output.drops().total(), 2u);
  std::filesystem::remove_all(folder);
}

TEST_F(OutputTest, ALineThatASocketTakesInPartIsFinishedBeforeTheNext) {
  const Ends sockets = make_tcp();
  LineOutput output(sockets.writes);
  EXPECT_EQ(output.way(), Way::Socket);
  const std::size_t taken = overfill(output, 5, LineOutput::kLongestLine);
  const std::size_t bytes = taken * LineOutput::kLongestLine;
  std::string came = take(sockets.reads, bytes - LineOutput::kLongestLine);
  EXPECT_NE(came.size(), bytes) << "a part of the last line is not sent yet";
  output.write("it goes on\n");
  came += take(sockets.reads, bytes + 11 - came.size());
  ASSERT_TRUE(came.ends_with("it goes on\n"));
  expect_numbered(came.substr(0, came.size() - 11), taken, LineOutput::kLongestLine);
}

TEST_F(OutputTest, LinesOfManyProcessesNeverMixOnAPipe) {
  constexpr std::size_t kWriters = 4;
  constexpr std::size_t kLines = 300;
  const Ends pipe = make_pipe();
  std::atomic<std::size_t> running = kWriters;
  std::vector<std::thread> writers;
  for (std::size_t writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back([&, writer] {
      LineOutput output(pipe.writes);
      for (std::size_t i = 0; i < kLines; ++i) {
        const std::size_t size = 16 + (i * 977 + writer * 131) % (LineOutput::kLongestLine - 15);
        output.write(std::string(size - 1, static_cast<char>('a' + writer)) + "\n");
      }
      --running;
    });
  }
  std::string came;
  while (running > 0) came += readable(pipe.reads, 10) ? take(pipe.reads) : "";
  for (std::thread& writer : writers) writer.join();
  came += take(pipe.reads);
  const auto lines = lines_of(came);
  EXPECT_GT(lines.size(), kWriters);
  for (const std::string& line : lines)
    EXPECT_EQ(line, std::string(line.size(), line.front())) << "of one writer";
  EXPECT_TRUE(came.ends_with('\n'));
}

}  // namespace
}  // namespace limpet::base::test
