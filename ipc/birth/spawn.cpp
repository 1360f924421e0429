#include "ipc/birth/spawn.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <stdexcept>

#include "base/descriptor_limit.h"
#include "base/signals.h"

extern char** environ;

namespace limpet::ipc {
namespace {

constexpr int kLowestParkingPlace = 64;
/// A child that has not come to its exec after the first is continued, for somebody may have stopped it,
/// again and again; after the second it is ended.
constexpr std::chrono::milliseconds kExecLook{100};
constexpr std::chrono::milliseconds kExecPatience{5000};

/// What the child needs between fork and exec, where nothing may be allocated: made before the fork.
struct Plan {
  const char* executable = nullptr;
  int image = -1;  ///< parked; -1: the path
  std::vector<char*> arguments;
  std::vector<char*> environment;
  std::vector<base::Descriptor> parked;  ///< duplicates of the sources, above every target
  std::vector<Inherited> moves;          ///< parked number -> target
  int lowest_free = kLowestParkingPlace;
  pid_t parent = -1;
  std::optional<int> cpu;
  int directory = -1;
  /// The parent reads from the first what went wrong, or its end by exec; the second is the child's, parked.
  base::Descriptor reading;
  base::Descriptor report;
};

// ---- in the child: async-signal-safe calls only; each step returns false with errno set ----

bool leave_signals_behind() {
  // Handlers first: unblocking first would run a handler of the parent's here for a signal that waits
  // already.
  base::reset_dispositions();
  sigset_t none;
  ::sigemptyset(&none);
  return ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
}

bool die_with_parent(pid_t parent) {
  if (::prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) return false;
  // The parent may have died before the line above: then no signal comes.
  if (::getppid() != parent) ::_exit(0);
  return true;
}

/// Where a filter of system calls knows close_range(2) not yet.
void mark_one_by_one() {
  rlimit limit = {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  for (int number = 3; number < static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1U << 20)); ++number)
    ::fcntl(number, F_SETFD, FD_CLOEXEC);
}

bool settle_descriptors(const Plan& plan) {
  // Everything is closed by exec, but for what the next loop duplicates: dup2 gives a descriptor without
  // close-on-exec.
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) mark_one_by_one();
  for (const Inherited& move : plan.moves) {
    if (::dup2(move.source, move.target) == -1) return false;
  }
  return true;
}

/// Before the descriptors are settled: its number may be another's target.
bool enter(int directory) { return directory == -1 || ::fchdir(directory) == 0; }

/// Which step failed goes with its errno, for the launcher passes on one number only.
constexpr int kExecFailed = 0;
constexpr int kEnterFailed = 1 << 16;
constexpr int kPrepareFailed = 2 << 16;

std::string words_for(int step, const std::string& executable) {
  if (step == kEnterFailed) return "enter the working directory of " + executable;
  return (step == kPrepareFailed ? "prepare the process of " : "exec ") + executable;
}

bool pin_to(const std::optional<int>& cpu) {
  if (!cpu) return true;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<unsigned>(*cpu), &one);
  // A CPU that was taken from us meanwhile is no reason to have no worker.
  (void)::sched_setaffinity(0, sizeof one, &one);
  return true;
}

/// Never returns.
[[noreturn]] void become(const Plan& plan) {
  int step = kPrepareFailed;
  if (::setpgid(0, 0) == 0 && pin_to(plan.cpu)) {
    const bool entered = enter(plan.directory);
    if (!entered) step = kEnterFailed;
    if (entered && settle_descriptors(plan) && leave_signals_behind() && die_with_parent(plan.parent) &&
        // Behind the descriptors: their numbers may lie above it.
        base::give_descriptor_limit_back()) {
      step = kExecFailed;
      if (plan.image == -1) ::execve(plan.executable, plan.arguments.data(), plan.environment.data());
      if (plan.image != -1)
        ::execveat(plan.image, "", plan.arguments.data(), plan.environment.data(), AT_EMPTY_PATH);
    }
  }
  const int error = errno | step;
  const auto written = ::write(plan.report.get(), &error, sizeof error);
  // Not exit(): it would flush the parent's buffered output a second time.
  ::_exit(written == sizeof error ? 127 : 126);
}

// ---- in the parent ----

std::vector<char*> environment_of(const SpawnRequest& request) {
  std::vector<char*> result;
  const auto is_replaced = [&](const char* ours) {
    return std::any_of(request.environment.begin(), request.environment.end(),
                       [&](const std::string& theirs) {
                         return std::strncmp(ours, theirs.c_str(), theirs.find('=') + 1) == 0;
                       });
  };
  // What the service manager has said to us alone: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).
  constexpr std::array<std::string_view, 6> kOurs = {
      "NOTIFY_SOCKET=", "LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=", "WATCHDOG_USEC=", "WATCHDOG_PID="};
  const auto is_ours_alone = [&](std::string_view entry) {
    return std::any_of(kOurs.begin(), kOurs.end(), [&](auto name) { return entry.starts_with(name); });
  };
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (!is_replaced(*entry) && !is_ours_alone(*entry)) result.push_back(*entry);
  }
  for (const std::string& entry : request.environment) result.push_back(const_cast<char*>(entry.c_str()));
  result.push_back(nullptr);
  return result;
}

/// The number of the duplicate.
int park(Plan* plan, int source) {
  plan->parked.emplace_back(
      base::require(::fcntl(source, F_DUPFD_CLOEXEC, plan->lowest_free), "park a descriptor for a child"));
  return plan->parked.back().get();
}

Plan plan_for(const SpawnRequest& request) {
  Plan plan;
  plan.executable = request.executable.c_str();
  plan.arguments.push_back(const_cast<char*>(request.executable.c_str()));
  for (const std::string& each : request.arguments) plan.arguments.push_back(const_cast<char*>(each.c_str()));
  plan.arguments.push_back(nullptr);
  plan.environment = environment_of(request);
  plan.parent = ::getpid();
  plan.cpu = request.cpu;
  plan.directory = request.directory;
  for (const Inherited& each : request.descriptors)
    plan.lowest_free = std::max(plan.lowest_free, each.target + 1);
  const base::Descriptor nothing(base::require(::open("/dev/null", O_RDWR | O_CLOEXEC), "open /dev/null"));
  plan.moves.push_back({park(&plan, nothing.get()), STDIN_FILENO});
  for (const Inherited& each : request.descriptors)
    plan.moves.push_back({park(&plan, each.source), each.target});
  if (request.image != -1) plan.image = park(&plan, request.image);
  int ends[2];
  base::require(::pipe2(ends, O_CLOEXEC), "pipe to a child");
  plan.reading = base::Descriptor(ends[0]);
  const base::Descriptor writing(ends[1]);
  plan.report = base::Descriptor(base::require(::fcntl(writing.get(), F_DUPFD_CLOEXEC, plan.lowest_free),
                                               "park a descriptor for a child"));
  return plan;
}

void kill_and_reap(pid_t pid) noexcept {
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) == -1 && errno == EINTR) {
  }
}

/// 0, or the step that failed and its errno. Throws std::runtime_error if the child comes to no exec.
int wait_for_exec(const base::Descriptor& reading, pid_t pid) {
  const auto until = std::chrono::steady_clock::now() + kExecPatience;
  pollfd wait{reading.get(), POLLIN, 0};
  for (;;) {
    const int ready = ::poll(&wait, 1, static_cast<int>(kExecLook.count()));
    if (ready == -1 && errno != EINTR) base::throw_system_error("wait for the exec of a child");
    if (ready > 0) break;
    if (std::chrono::steady_clock::now() > until)
      throw std::runtime_error(
          fmt::format("process {} has come to no exec for {} ms, and is ended", pid, kExecPatience.count()));
    ::kill(pid, SIGCONT);
  }
  int error = 0;
  return ::read(reading.get(), &error, sizeof error) == sizeof error ? error : 0;
}

/// By hand: Boost.Process waits for the exec without a limit, and its launcher's child is at fault in 1.81
/// (closing descriptors, reporting an error, exit).
pid_t fork_into(const Plan& plan) {
  // One that reached the child between fork and exec would run a handler of ours there, which writes into a
  // pipe that the parent reads: one Ctrl-C would count twice.
  const base::SignalsBlocked guard;
  const pid_t pid = ::fork();
  if (pid == 0) become(plan);
  return base::require(pid, "fork");
}

/// Without a pidfd there is no child.
Child owned(pid_t pid) {
  try {
    return Child(pid);
  } catch (...) {
    kill_and_reap(pid);
    throw;
  }
}

Child launch(const SpawnRequest& request, Plan plan) {
  Child child = owned(fork_into(plan));
  plan.report = {};
  const int failure = wait_for_exec(plan.reading, child.pid());
  if (failure == 0) return child;
  constexpr int kErrno = kEnterFailed - 1;
  base::throw_system_error(words_for(failure & ~kErrno, request.executable), failure & kErrno);
}

}  // namespace

SpawnResult spawn(const SpawnRequest& request) {
  try {
    return {launch(request, plan_for(request)), {}};
  } catch (const std::exception& failure) {
    return {std::nullopt, failure.what()};
  }
}

std::string to_text(const ExitStatus& status) {
  if (!status.by_signal) return "exit status " + std::to_string(status.number);
  const char* name = ::sigabbrev_np(status.number);
  return "signal " + std::to_string(status.number) + " (" + (name != nullptr ? name : "?") + ")";
}

Child::Child(pid_t pid)
    : pid_(pid), pidfd_(base::require(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)), "open a pidfd")) {}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    end_now();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

Child::~Child() { end_now(); }

void Child::end_now() noexcept {
  if (pid_ > 0) kill_and_reap(pid_);
  pid_ = -1;
}

bool Child::signal(int number) const noexcept {
  return pid_ > 0 && ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) == 0;
}

std::optional<ExitStatus> Child::try_reap() {
  if (pid_ <= 0) return std::nullopt;
  siginfo_t info = {};
  base::require(
      ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG),
      "take the status of a child");
  if (info.si_pid == 0) return std::nullopt;
  pid_ = -1;
  return ExitStatus{info.si_code != CLD_EXITED, info.si_status};
}

}  // namespace limpet::ipc
