#include "supervisor/cluster/worker.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>

#include <vector>

#include "base/check.h"
#include "ipc/messages/control.h"
#include "supervisor/system/log.h"
#include "supervisor/upgrade/descriptors.h"

namespace limpet::supervisor {

Worker::Worker(Loop& loop, const ipc::Incarnation& who, SharedProgram its_program, ipc::Child process,
               base::Descriptor control)
    : program(std::move(its_program)),
      child(std::move(process)),
      channel(std::move(control)),
      deadline(loop),
      born(std::chrono::steady_clock::now()),
      loop_(loop),
      who_(who),
      pid_(child.pid()) {}

Worker::Worker(Loop& loop, SharedProgram its_program, const upgrade::WorkerState& state)
    : program(std::move(its_program)),
      child(static_cast<pid_t>(state.pid), adopt(state.pidfd)),
      channel(adopt(state.control)),
      level(state.level),
      deadline(loop),
      born(upgrade::time_of(state.born)),
      ready_since(upgrade::time_of(state.ready_since)),
      has_old_table(true),
      cause(cause_named(state.cause)),
      cause_text(state.cause_text),
      ended_while(state_named(state.ended_while).value_or(WorkerState::Dead)),
      last_words(state.last_words),
      giver_end(adopt(state.giver_end)),
      is_moving(state.is_moving),
      drained_by(upgrade::time_of(state.drained_by)),
      loop_(loop),
      who_(state.who),
      pid_(child.pid()),
      state_(state_named(state.state).value()) {
  if (state.has_progress) progress = state.progress;
  if (state.ring == -1) return;
  memory = Memory{adopt(state.ring), adopt(state.reader_page), adopt(state.counters), adopt(state.doorbell)};
  std::string ignored;
  counters = ipc::CounterView::map(memory->counters, who_, &ignored);
}

upgrade::WorkerState Worker::save() const {
  upgrade::WorkerState state;
  state.who = who_;
  state.pid = static_cast<std::uint32_t>(pid_);
  state.state = to_text(state_);
  state.pidfd = child.descriptor();
  state.control = channel.descriptor();
  if (memory) {
    state.ring = memory->ring.get();
    state.reader_page = memory->reader_page.get();
    state.counters = memory->counters.get();
    state.doorbell = memory->doorbell.get();
  }
  state.giver_end = giver_end.get();
  state.born = upgrade::moment_of(born);
  state.ready_since = upgrade::moment_of(ready_since);
  state.drained_by = upgrade::moment_of(drained_by);
  state.is_moving = is_moving;
  state.has_progress = progress.has_value();
  state.progress = progress.value_or(ipc::DrainProgress{});
  if (cause) state.cause = kCauseTable[static_cast<std::size_t>(*cause)].name;
  state.cause_text = cause_text;
  state.ended_while = to_text(ended_while);
  state.last_words = last_words;
  state.level = level;
  return state;
}

std::string Worker::name() const {
  return fmt::format("{} gen {} pid {}", ipc::seat_name(who_.slot), who_.generation, pid_);
}

bool Worker::has_ended() const noexcept {
  pollfd end{child.descriptor(), POLLIN, 0};
  return ::poll(&end, 1, 0) == 1;
}

void Worker::happen(WorkerEvent event, std::string_view why) {
  const LifeRow& row = life_row(state_, event);
  CHECK(row.verdict != Verdict::Impossible,
        fmt::format("{} gen {}: {} when {}: {}", ipc::seat_name(who_.slot), who_.generation, to_text(event),
                    to_text(state_), row.because));
  if (row.verdict == Verdict::Ignored) return;
  const WorkerState before = std::exchange(state_, row.next);
  log(Level::Info, fmt::format("{} gen {}: {} -> {} ({})", ipc::seat_name(who_.slot), who_.generation,
                               to_text(before), to_text(state_), why));
}

void Worker::tell(const ipc::SupervisorMessage& message, std::initializer_list<int> descriptors) {
  tell(message, std::span(descriptors.begin(), descriptors.size()));
}

void Worker::tell(const ipc::SupervisorMessage& message, std::span<const int> descriptors) {
  const auto status = channel.send(ipc::encode(message), descriptors);
  if (status == ipc::SendStatus::Queued) flush_when_writable();
  if (status == ipc::SendStatus::Full || status == ipc::SendStatus::TooLarge) {
    log_at_most(untold_, std::chrono::steady_clock::now(), Level::Warning, [this] {
      return fmt::format("{}: control channel: no room for a message; the worker is not told", name());
    });
  }
}

void Worker::end(Ending ending) {
  if (ending == Ending::Killed) return (void)child.signal(SIGKILL);
  if (ending == Ending::Aborted) return (void)child.signal(SIGABRT);
  if (ipc::is_known_at<ipc::Leave>(level)) return tell(ipc::Leave{});
  // One that has not said hello yet has nothing to lose; older builds leave on SIGTERM.
  child.signal(memory ? SIGTERM : SIGKILL);
}

void Worker::flush_when_writable() {
  if (on_writable) return;
  on_writable = std::make_unique<Readiness>(loop_, channel.descriptor(), Readiness::Kind::Write, [this] {
    if (channel.flush() != ipc::SendStatus::Queued) on_writable.reset();
  });
}

}  // namespace limpet::supervisor
