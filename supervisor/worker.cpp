#include "supervisor/worker.h"

#include <fmt/format.h>
#include <poll.h>

#include <vector>

#include "ipc/check.h"
#include "ipc/codec.h"
#include "supervisor/log.h"

namespace limpet::supervisor {

Worker::Worker(Loop& loop, const ipc::Incarnation& who, SharedProgram its_program, ipc::Child process,
               ipc::Descriptor control)
    : program(std::move(its_program)),
      child(std::move(process)),
      channel(std::move(control)),
      deadline(loop),
      loop_(loop),
      who_(who),
      pid_(child.pid()) {}

std::string Worker::name() const {
  return fmt::format("slot {} gen {} pid {}", who_.slot, who_.generation, pid_);
}

bool Worker::has_ended() const noexcept {
  pollfd end{child.descriptor(), POLLIN, 0};
  return ::poll(&end, 1, 0) == 1;
}

void Worker::happen(WorkerEvent event, std::string_view why) {
  const LifeRow& row = life_row(state_, event);
  CHECK(row.verdict != Verdict::Impossible,
        fmt::format("slot {} gen {}: {} when {}: {}", who_.slot, who_.generation, to_text(event),
                    to_text(state_), row.because));
  if (row.verdict == Verdict::Ignored) return;
  const WorkerState before = std::exchange(state_, row.next);
  log(Level::Info, fmt::format("slot {} gen {}: {} -> {} ({})", who_.slot, who_.generation, to_text(before),
                               to_text(state_), why));
}

void Worker::tell(const ipc::SupervisorMessage& message, std::initializer_list<int> descriptors) {
  const auto status = channel.send(ipc::encode(message), std::span(descriptors.begin(), descriptors.size()));
  if (status == ipc::SendStatus::Queued) flush_when_writable();
  if (status == ipc::SendStatus::Full || status == ipc::SendStatus::TooLarge) {
    log(Level::Warning,
        fmt::format("{}: control channel: no room for a message; the worker is not told", name()));
  }
}

void Worker::flush_when_writable() {
  if (on_writable) return;
  on_writable = std::make_unique<Readiness>(loop_, channel.descriptor(), Readiness::Kind::Write, [this] {
    if (channel.flush() != ipc::SendStatus::Queued) on_writable.reset();
  });
}

}  // namespace limpet::supervisor
