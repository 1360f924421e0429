#include "supervisor/operations/rollout.h"

#include <fmt/format.h>

#include <algorithm>

namespace limpet::supervisor {
namespace {

using std::chrono::steady_clock;

/// Old workers that have sessions to move or to close: each costs CPU that the clients of others need.
constexpr int kMovingAtOnce = 2;

double seconds_since(steady_clock::time_point then) {
  return std::chrono::duration<double>(steady_clock::now() - then).count();
}

}  // namespace

Rollout::Rollout(Loop& loop, ClusterSteps& cluster, std::string operation, Say say, Done done)
    : loop_(loop),
      cluster_(cluster),
      operation_(std::move(operation)),
      say_(std::move(say)),
      done_(std::move(done)),
      probation_(loop_) {}

void Rollout::begin(SharedProgram next, std::vector<std::uint16_t> slots) {
  next_ = std::move(next);
  slots_ = std::move(slots);
  began_ = steady_clock::now();
  advance();
}

void Rollout::advance() {
  if (over_ || successor_ != 0) return;
  if (at_ == slots_.size()) return finish_if_all_left();
  const std::string waits_for = obstacle();
  if (!waits_for.empty() && waits_for != waits_for_)
    say_(fmt::format("slot {}: waits: {}", slot(), waits_for));
  waits_for_ = waits_for;
  if (waits_for.empty()) start_successor();
}

std::string Rollout::obstacle() const {
  // A third worker in a slot would need a lane that is kept for another one.
  if (const Worker* worker = current_slot().leaving())
    return fmt::format("pid {} has not left yet", worker->pid());
  if (!cluster_.has_free_lane()) return "every lane is taken";
  const auto moving = std::count_if(leaving_.begin(), leaving_.end(),
                                    [](const auto& each) { return each.second.has_sessions; });
  return moving >= kMovingAtOnce ? fmt::format("{} old workers still have sessions", moving) : "";
}

void Rollout::start_successor() {
  slot_since_ = steady_clock::now();
  // The back-off of a program that crashed is not that of the one that replaces it.
  current_slot().policy.forget();
  withdraw_rivals();
  std::string why;
  const Worker* successor = cluster_.start_worker(slot(), next_, &why);
  if (successor == nullptr) return fail(fmt::format("slot {}: start the successor: {}", slot(), why));
  successor_ = successor->who().generation;
}

void Rollout::withdraw_rivals() {
  std::vector<Worker*> rivals;
  for (const auto& worker : current_slot().workers) {
    if (worker->is_booting()) rivals.push_back(worker.get());
  }
  for (Worker* worker : rivals)
    cluster_.put_down(*worker, Ending::ByMessage, Cause::Left, "withdrawn: a reload brings another");
}

bool Rollout::on_ready(Worker& worker) {
  if (over_ || worker.who().generation != successor_) return false;
  const auto probation = next_->options.probation;
  // Nobody is served here meanwhile: a doubtful worker is better than none.
  const bool is_needed = current_slot().seated() == nullptr;
  const bool is_known = next_.get() == &cluster_.program();
  if (at_ > 0 || probation.count() == 0 || is_needed || is_known) {
    seat(worker);
  } else {
    say_(fmt::format("slot {}: pid {} is ready; on probation for {} ms", slot(), worker.pid(),
                     probation.count()));
    // If it has died meanwhile, on_gone has cancelled this; if it is dying, on_gone will follow.
    probation_.start(probation, [this, &worker] {
      if (worker.state() == WorkerState::Ready) seat(worker);
    });
  }
  return true;
}

void Rollout::seat(Worker& successor) {
  probation_.cancel();
  if (const Worker* predecessor = current_slot().seated()) {
    const std::string pids = fmt::format("pid {} -> pid {}", predecessor->pid(), successor.pid());
    leaving_.insert({predecessor->who().generation, Leaving{slot(), pids, slot_since_, true}});
  } else {
    say_(fmt::format("slot {}: no worker -> pid {} ({:.1f} s)", slot(), successor.pid(),
                     seconds_since(slot_since_)));
  }
  seated_.insert(successor.who().generation);
  successor_ = 0;
  cluster_.seat(successor);
  ++at_;
  advance();
}

void Rollout::on_progress(const Worker& worker) {
  const auto found = leaving_.find(worker.who().generation);
  if (over_ || found == leaving_.end() || !found->second.has_sessions) return;
  Leaving& leaving = found->second;
  if (worker.has_sessions_left()) {
    return say_(fmt::format("slot {}: {}: {} moved, {} drained, {} to go", leaving.slot, leaving.pids,
                            worker.progress->moved, worker.progress->drained,
                            worker.progress->sessions_left));
  }
  leaving.has_sessions = false;
  tell_end(leaving, worker, 0);
  advance();
}

void Rollout::tell_end(const Leaving& leaving, const Worker& worker, std::uint64_t lost) {
  const auto progress = worker.progress.value_or(ipc::DrainProgress{});
  sums_.moved += progress.moved;
  sums_.drained += progress.drained;
  sums_.lost += lost;
  say_(fmt::format("slot {}: {}: {} moved, {} drained{} ({:.1f} s)", leaving.slot, leaving.pids,
                   progress.moved, progress.drained, lost > 0 ? fmt::format(", {} lost", lost) : "",
                   seconds_since(leaving.since)));
}

void Rollout::on_gone(const Worker& worker, Cause cause, const std::string& obituary) {
  if (over_) return;
  const std::uint64_t generation = worker.who().generation;
  // Gauges are what it had when it died.
  const std::uint64_t sessions =
      cause == Cause::Left || !worker.counters ? 0 : worker.counters->get(ipc::Counter::SessionsOpen);
  if (generation == successor_) {
    successor_ = 0;
    return fail(obituary);
  }
  if (seated_.erase(generation) > 0) {
    sums_.lost += sessions;
    return fail(fmt::format("{}; {} sessions were inside it", obituary, sessions));
  }
  if (const auto found = leaving_.find(generation); found != leaving_.end()) {
    if (cause != Cause::Left) say_(obituary);
    if (found->second.has_sessions) tell_end(found->second, worker, sessions);
    leaving_.erase(found);
  } else if (at_ < slots_.size() && worker.who().slot == slot() && successor_ != 0) {
    for (const auto& each : current_slot().workers) {
      if (each->who().generation != successor_ || each->state() != WorkerState::Ready) continue;
      say_(fmt::format("slot {}: pid {} died; its successor's probation ends", slot(), worker.pid()));
      return seat(*each);
    }
  }
  advance();
}

void Rollout::abandon() {
  if (over_) return;
  over_ = true;
  probation_.cancel();
  done_(false, fmt::format("{} failed: everything stops", operation_));
}

void Rollout::fail(const std::string& why) {
  over_ = true;
  probation_.cancel();
  if (successor_ != 0) {
    for (const auto& each : current_slot().workers) {
      if (each->who().generation != successor_) continue;
      cluster_.put_down(*each, Ending::ByMessage, Cause::Left,
                        fmt::format("withdrawn: the {} failed", operation_));
      break;
    }
  }
  const std::string rest =
      at_ == 0 ? fmt::format("the new program was {}; the old workers go on", to_text(next_->file))
               : fmt::format("{} of {} slots have new workers of {}, the others go on with old ones", at_,
                             slots_.size(), to_text(next_->file));
  done_(false, fmt::format("{} failed: {}; {}{}", operation_, why, rest,
                           at_ == 0 ? "" : fmt::format("; so far {}", sums_text())));
}

void Rollout::finish_if_all_left() {
  if (over_ || at_ < slots_.size() || !leaving_.empty()) return;
  over_ = true;
  cluster_.adopt(next_);
  done_(true, fmt::format("{} done: {} workers replaced; {} ({:.1f} s)", operation_, slots_.size(),
                          sums_text(), seconds_since(began_)));
}

std::string Rollout::sums_text() const {
  return fmt::format("{} sessions moved, {} drained{}", sums_.moved, sums_.drained,
                     sums_.lost > 0 ? fmt::format(", {} lost", sums_.lost) : "");
}

}  // namespace limpet::supervisor
