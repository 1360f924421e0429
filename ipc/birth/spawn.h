// The birth of a process, and its end: mechanism only. `spawn` starts a program with exactly the descriptors
// it is given and tells whether exec succeeded; `Child` owns the life and the status of the result through a
// pidfd. Neither decides anything: who is started again, and when, is the supervisor's. Never throws for what
// a start can fail with (no process, no descriptor, no such program): that is a value.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"

namespace limpet::ipc {

/// How a process ended.
struct ExitStatus {
  bool by_signal = false;
  int number = 0;  ///< of the signal, or the exit status
  [[nodiscard]] bool clean() const noexcept { return !by_signal && number == 0; }
  bool operator==(const ExitStatus&) const = default;
};

/// "exit status 3", "signal 9 (KILL)"
[[nodiscard]] std::string to_text(const ExitStatus& status);

/// A child process of ours, until its status has been taken. Kills and reaps what it still owns when it is
/// destroyed.
class Child {
 public:
  /// Takes a child that nobody has reaped. Throws std::system_error if no pidfd can be had.
  explicit Child(pid_t pid);
  /// One whose pidfd is open already.
  Child(pid_t pid, base::Descriptor pidfd) noexcept : pid_(pid), pidfd_(std::move(pidfd)) {}
  Child(Child&&) noexcept;
  Child& operator=(Child&&) noexcept;
  ~Child();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// Readable once the process has ended. Only to wait on: the status is taken by `try_reap`.
  [[nodiscard]] int descriptor() const noexcept { return pidfd_.get(); }
  /// False if the process has ended already. Never reaches a stranger that was given the same pid.
  bool signal(int number) const noexcept;
  /// Takes the status, once; nullopt while the process lives. Does not block.
  [[nodiscard]] std::optional<ExitStatus> try_reap();

 private:
  void end_now() noexcept;

  pid_t pid_ = -1;
  base::Descriptor pidfd_;
};

struct Inherited {
  int source = -1;  ///< a descriptor of ours
  int target = -1;  ///< its number in the child; without close-on-exec
};

struct SpawnRequest {
  std::string executable;  ///< a path; PATH is not searched
  /// An open file (O_PATH will do) that is executed instead of what lies at the path by now; the path is only
  /// the name that the program is told. Not a script: its interpreter would open a descriptor that is closed.
  int image = -1;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  ///< NAME=value, beside all of ours
  std::vector<Inherited> descriptors;    ///< besides 0 (/dev/null), 1 and 2 (ours); everything else is closed
  std::optional<int> cpu;                ///< the only CPU it may run on
  int directory = -1;                    ///< an open one (O_PATH will do): its working directory; -1: ours
};

struct SpawnResult {
  std::optional<Child> child;
  std::string why;  ///< if there is no child: "exec /bin/nothing: No such file or directory"
};

/// Returns when the child has exec'd, or could not. The child: process group of its own, parent-death signal
/// SIGTERM (bound to the calling thread: the main one, which lives as long as the process), default signal
/// handlers, no signal blocked, the limit of descriptors that this process was started with.
[[nodiscard]] SpawnResult spawn(const SpawnRequest& request);

}  // namespace limpet::ipc
