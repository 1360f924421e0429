#include "base/signals.h"

#include <sys/time.h>

#include <algorithm>

namespace limpet::base {
namespace {

sigset_t all_signals() noexcept {
  sigset_t all;
  ::sigfillset(&all);
  return all;
}

sigset_t set_of(std::initializer_list<int> numbers) noexcept {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : numbers) ::sigaddset(&set, number);
  return set;
}

void dispose(int number, void (*handler)(int)) noexcept {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(number, &action, nullptr);
}

}  // namespace

void reset_dispositions() noexcept {
  for (int number = 1; number < NSIG; ++number) dispose(number, SIG_DFL);
}

void cancel_timers() noexcept {
  constexpr itimerval kNever = {};
  for (const __itimer_which each : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF})
    ::setitimer(each, &kNever, nullptr);
}

void do_nothing_at(std::initializer_list<int> numbers) noexcept {
  for (const int number : numbers) {
    if (!has_handler(number)) dispose(number, [](int) {});
  }
}

void ignore_terminal_output_stops() noexcept {
  if (!has_handler(SIGTTOU)) dispose(SIGTTOU, SIG_IGN);
}

bool has_handler(int number) noexcept {
  struct sigaction now = {};
  return ::sigaction(number, nullptr, &now) == 0 && now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN;
}

void block_signals() noexcept {
  const sigset_t all = all_signals();
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

SignalsBlocked::SignalsBlocked() noexcept {
  const sigset_t all = all_signals();
  ::pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

void block_only(std::initializer_list<int> numbers) noexcept {
  const sigset_t set = set_of(numbers);
  ::pthread_sigmask(SIG_SETMASK, &set, nullptr);
}

bool is_any_pending(std::initializer_list<int> numbers) noexcept {
  sigset_t pending;
  return ::sigpending(&pending) == 0 && std::any_of(numbers.begin(), numbers.end(), [&](int number) {
           return ::sigismember(&pending, number) == 1;
         });
}

void unblock_signals(std::initializer_list<int> numbers) noexcept {
  const sigset_t set = set_of(numbers);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace limpet::base
