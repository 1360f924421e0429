// What a process makes of the signals that it was started with, and of those that it has no use for (law 15).
#pragma once

#include <signal.h>

#include <initializer_list>

namespace limpet::base {

/// Every disposition as at a program's first start, whatever was inherited: with SIGCHLD ignored, no child's
/// status can be taken. The mask stays as it is: what is blocked waits until somebody can act on it. First
/// thing in a process.
void reset_dispositions() noexcept;

/// alarm(2) and setitimer(2) of whoever was this process before exec: nobody here waits for them.
void cancel_timers() noexcept;

/// Nothing happens when they come. Caught, and not ignored: that would be handed on to every program that is
/// executed. Those for which the program has a handler already keep it.
void do_nothing_at(std::initializer_list<int> numbers) noexcept;

/// For a process that may write to a terminal in the background: the one signal that is ignored, for behind a
/// handler the write would be tried again, for ever (TTY line discipline, `stty tostop`).
void ignore_terminal_output_stops() noexcept;

/// The program has a handler for it.
[[nodiscard]] bool has_handler(int number) noexcept;

/// All of this thread, and of those that it starts from now on.
void block_signals() noexcept;
/// The others are unblocked.
void block_only(std::initializer_list<int> numbers) noexcept;
void unblock_signals(std::initializer_list<int> numbers) noexcept;
/// All of them for this thread, and for those that it starts, while it lives.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept;
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

/// One of them has come and waits, for they are blocked.
[[nodiscard]] bool is_any_pending(std::initializer_list<int> numbers) noexcept;

}  // namespace limpet::base
