#include "ipc/birth/spawn.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/descriptor_limit.h"

namespace limpet::ipc {
namespace {

using testing::HasSubstr;

SpawnRequest shell(const std::string& script) {
  return {
      .executable = "/bin/sh", .arguments = {"-c", script}, .environment = {}, .descriptors = {}, .cpu = {}};
}

ExitStatus end_of(Child* child) {
  pollfd wait{child->descriptor(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, 10'000), 1) << "the child did not end";
  return child->try_reap().value_or(ExitStatus{true, 0});
}

std::string rest_of(int descriptor) {
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = ::read(descriptor, buffer, sizeof buffer)) > 0;) text.append(buffer, got);
  return text;
}

/// What `script` writes to descriptor 3.
std::string told_by(const std::string& script, std::vector<std::string> environment = {},
                    std::optional<int> cpu = {}) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const base::Descriptor reading(ends[0]);
  SpawnRequest request = shell(script);
  request.environment = std::move(environment);
  request.cpu = cpu;
  request.descriptors = {{ends[1], 3}};
  SpawnResult result = spawn(request);
  ::close(ends[1]);
  EXPECT_TRUE(result.child) << result.why;
  return rest_of(reading.get());
}

std::size_t open_descriptors_here() {
  std::size_t count = 0;
  for (int number = 0; number < 1024; ++number) count += ::fcntl(number, F_GETFD) != -1 ? 1 : 0;
  return count;
}

TEST(Spawn, executes_an_image_whatever_lies_at_its_path) {
  const base::Descriptor image(::open("/bin/sh", O_PATH | O_CLOEXEC));
  SpawnRequest request = shell("exit 9");
  request.executable = "/no/such/program";
  request.image = image.get();
  SpawnResult result = spawn(request);
  ASSERT_TRUE(result.child) << result.why;
  EXPECT_EQ(end_of(&*result.child), (ExitStatus{false, 9}));

  const base::Descriptor no_program(::open("/dev/null", O_PATH | O_CLOEXEC));
  request.image = no_program.get();
  EXPECT_THAT(spawn(request).why, HasSubstr("exec /no/such/program: Permission denied"));
}

TEST(Spawn, tells_an_exit_status) {
  SpawnResult result = spawn(shell("exit 9"));
  ASSERT_TRUE(result.child) << result.why;
  const ExitStatus status = end_of(&*result.child);
  EXPECT_EQ(status, (ExitStatus{false, 9}));
  EXPECT_EQ(to_text(status), "exit status 9");
}

TEST(Spawn, tells_a_signal_apart_from_the_exit_status_of_the_same_number) {
  SpawnResult result = spawn(shell("kill -9 $$"));
  ASSERT_TRUE(result.child) << result.why;
  const ExitStatus status = end_of(&*result.child);
  EXPECT_EQ(status, (ExitStatus{true, 9}));
  EXPECT_EQ(to_text(status), "signal 9 (KILL)");
}

TEST(Spawn, has_no_status_while_the_child_lives) {
  SpawnResult result = spawn(shell("while :; do read line || exec tail -f /dev/null; done"));
  ASSERT_TRUE(result.child) << result.why;
  EXPECT_FALSE(result.child->try_reap());
  EXPECT_TRUE(result.child->signal(SIGKILL));
  EXPECT_EQ(end_of(&*result.child), (ExitStatus{true, SIGKILL}));
  EXPECT_FALSE(result.child->signal(SIGKILL)) << "signalled a process that was reaped";
}

TEST(Spawn, says_in_words_why_exec_failed_and_leaves_no_zombie_and_no_descriptor) {
  const std::size_t before = open_descriptors_here();
  const SpawnResult result = spawn({.executable = "/bin/no-such-program",
                                    .arguments = {},
                                    .environment = {},
                                    .descriptors = {{1, 3}, {2, 4}, {1, 5}, {1, 6}},
                                    .cpu = {}});
  EXPECT_FALSE(result.child);
  EXPECT_THAT(result.why, HasSubstr("exec /bin/no-such-program"));
  EXPECT_THAT(result.why, HasSubstr("No such file or directory"));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
  EXPECT_EQ(open_descriptors_here(), before);
}

TEST(Spawn, gives_the_child_the_limit_of_descriptors_that_this_process_was_started_with) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 100;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  base::remember_descriptor_limit(0);
  base::raise_descriptor_limit();
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const base::Descriptor reading(ends[0]);
  SpawnRequest request = shell("ulimit -Sn >&3; [ -e /proc/self/fd/300 ] && echo and 300");
  // Above it: nevertheless it must get there.
  request.descriptors = {{ends[1], 3}, {ends[1], 300}, {ends[1], 1}};
  SpawnResult result = spawn(request);
  ::close(ends[1]);
  ASSERT_TRUE(result.child) << result.why;
  EXPECT_EQ(rest_of(reading.get()), "100\nand 300\n");
  EXPECT_GT(base::descriptor_limit(), 100u) << "not ours";
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST(Spawn, gives_the_child_its_heritage_and_nothing_else) {
  const base::Descriptor leak(::open("/dev/null", O_RDONLY));           // inheritable by mistake
  const base::Descriptor leak_high(::fcntl(leak.get(), F_DUPFD, 500));  // the same, far above
  std::istringstream listed(told_by("ls /proc/self/fd >&3"));
  // 0, 1, 2, 3 and the directory that ls reads.
  EXPECT_EQ((std::vector<std::string>{std::istream_iterator<std::string>(listed), {}}),
            (std::vector<std::string>{"0", "1", "2", "3", "4"}));
}

TEST(Spawn, may_give_descriptors_numbers_that_are_in_use_here) {
  int first[2];
  int second[2];
  ASSERT_EQ(::pipe2(first, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(second, O_CLOEXEC), 0);
  SpawnRequest request =
      shell("echo one >&" + std::to_string(second[1]) + "; echo two >&" + std::to_string(first[1]));
  request.descriptors = {{first[1], second[1]}, {second[1], first[1]}};
  {
    SpawnResult result = spawn(request);
    ASSERT_TRUE(result.child) << result.why;
    EXPECT_TRUE(end_of(&*result.child).clean());
  }
  ::close(first[1]);
  ::close(second[1]);
  const base::Descriptor one(first[0]);
  const base::Descriptor two(second[0]);
  EXPECT_EQ(rest_of(one.get()), "one\n");
  EXPECT_EQ(rest_of(two.get()), "two\n");
}

TEST(Spawn, reads_nothing_on_stdin) { EXPECT_EQ(told_by("readlink /proc/self/fd/0 >&3"), "/dev/null\n"); }

TEST(Spawn, replaces_a_variable_of_ours_and_passes_the_others) {
  ::setenv("SPAWN_TEST_KEPT", "kept", 1);
  ::setenv("SPAWN_TEST_REPLACED", "old", 1);
  EXPECT_EQ(told_by("env | grep ^SPAWN_TEST | sort >&3", {"SPAWN_TEST_REPLACED=new"}),
            "SPAWN_TEST_KEPT=kept\nSPAWN_TEST_REPLACED=new\n");
}

TEST(Spawn, starts_in_a_process_group_of_its_own_with_no_signal_ignored_or_blocked) {
  ::signal(SIGPIPE, SIG_IGN);
  // In the shell itself: while it starts a command, it blocks signals for a moment.
  EXPECT_EQ(
      told_by("while read -r name value; do case $name in SigBlk: | SigIgn:) echo $value >&3 ;; esac; done "
              "</proc/$$/status"),
      "0000000000000000\n0000000000000000\n");
  EXPECT_EQ(told_by("test \"$(cut -d' ' -f5 /proc/$$/stat)\" = $$ && echo own >&3"), "own\n");
}

TEST(Spawn, begins_in_the_directory_that_is_open_here_though_its_number_is_a_target_there) {
  const base::Descriptor root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const base::Descriptor taken(::fcntl(root.get(), F_DUPFD_CLOEXEC, 3));
  SpawnRequest request = shell("test \"$(pwd -P)\" = /");
  request.descriptors = {{root.get(), taken.get()}};
  request.directory = taken.get();
  SpawnResult result = spawn(request);
  ASSERT_TRUE(result.child) << result.why;
  EXPECT_EQ(end_of(&*result.child), (ExitStatus{false, 0}));
}

TEST(Spawn, pins_to_a_cpu) {
  cpu_set_t allowed;
  ASSERT_EQ(::sched_getaffinity(0, sizeof allowed, &allowed), 0);
  int cpu = 0;
  while (!CPU_ISSET(static_cast<unsigned>(cpu), &allowed)) ++cpu;
  EXPECT_EQ(told_by("grep Cpus_allowed_list /proc/$$/status >&3", {}, cpu),
            "Cpus_allowed_list:\t" + std::to_string(cpu) + "\n");
}

TEST(Spawn, a_child_is_told_when_its_parent_dies) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    // The shell waits in a read of its own, of a pipe that nobody writes: it starts no command that could
    // outlive it.
    int nothing[2];
    if (::pipe2(nothing, O_CLOEXEC) != 0) ::_exit(1);
    SpawnRequest request =
        shell("trap 'echo term >&3; exit' TERM; echo up >&3; while :; do read line <&4; done");
    request.descriptors = {{ends[1], 3}, {nothing[0], 4}, {nothing[1], 5}};
    SpawnResult result = spawn(request);
    pollfd wait{ends[0], POLLIN, 0};
    ::poll(&wait, 1, 10'000);
    ::kill(::getpid(), SIGKILL);
  }
  ::close(ends[1]);
  const base::Descriptor reading(ends[0]);
  ::waitpid(parent, nullptr, 0);
  std::string text;
  pollfd wait{reading.get(), POLLIN, 0};
  while (text.find("term") == std::string::npos && ::poll(&wait, 1, 10'000) == 1) {
    char buffer[64];
    const ssize_t got = ::read(reading.get(), buffer, sizeof buffer);
    if (got <= 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  EXPECT_EQ(text, "up\nterm\n");
}

/// Sends a signal to every new child of the main thread that runs this test's program still: between its fork
/// and its exec.
class Stopper {
 public:
  explicit Stopper(int signal) : signal_(signal), thread_([this] { run(); }) {}
  ~Stopper() {
    over_ = true;
    thread_.join();
  }
  [[nodiscard]] int stopped() const { return stopped_; }

 private:
  void run() {
    const std::string list = "/proc/self/task/" + std::to_string(::getpid()) + "/children";
    const auto ours = std::filesystem::read_symlink("/proc/self/exe");
    while (!over_) {
      std::ifstream children(list);
      for (pid_t child = 0; children >> child;) {
        std::error_code gone;
        const auto runs = std::filesystem::read_symlink("/proc/" + std::to_string(child) + "/exe", gone);
        if (gone || runs != ours || child == last_) continue;
        last_ = child;
        if (::kill(child, signal_) == 0) ++stopped_;
      }
    }
  }

  const int signal_;
  pid_t last_ = 0;
  std::atomic<int> stopped_ = 0;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

TEST(Spawn, continues_a_child_that_was_stopped_before_its_exec) {
  for (const int signal : {SIGSTOP, SIGTTIN, SIGTSTP}) {
    const Stopper stopper(signal);
    // Whether the thread is in time is chance: on until it was, some times.
    for (int child = 0; child < 2'000 && stopper.stopped() < 5; ++child) {
      SpawnResult result = spawn(shell("exit 7"));
      ASSERT_TRUE(result.child) << result.why;
      // It may have been stopped behind its exec.
      result.child->signal(SIGCONT);
      ASSERT_EQ(end_of(&*result.child), (ExitStatus{false, 7}));
    }
    EXPECT_GE(stopper.stopped(), 1) << signal;
  }
}

TEST(Spawn, the_destructor_of_a_living_child_ends_and_reaps_it) {
  pid_t pid = -1;
  {
    SpawnResult result = spawn(shell("exec tail -f /dev/null"));
    ASSERT_TRUE(result.child) << result.why;
    pid = result.child->pid();
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

}  // namespace
}  // namespace limpet::ipc
