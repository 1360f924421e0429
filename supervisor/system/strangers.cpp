#include "supervisor/system/strangers.h"

#include <sys/wait.h>

#include <utility>

namespace limpet::supervisor {
namespace {

/// In one turn of the loop.
constexpr int kTakenAtOnce = 64;

}  // namespace

Strangers::Strangers(Loop& loop, std::function<bool(pid_t)> is_ours)
    : is_ours_(std::move(is_ours)), again_(loop) {}

void Strangers::look() {
  for (int i = 0; i < kTakenAtOnce; ++i) {
    siginfo_t ended = {};
    if (::waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0) return;
    if (is_ours_(ended.si_pid)) return;
    ::waitpid(ended.si_pid, nullptr, WNOHANG);
  }
  again_.start(std::chrono::milliseconds(0), [this] { look(); });
}

}  // namespace limpet::supervisor
