#include "supervisor/rollout.h"

#include <fmt/format.h>
#include <signal.h>

namespace limpet::supervisor {

using std::chrono::steady_clock;

Rollout::Rollout(Loop& loop, Cluster& cluster, Say say, Done done)
    : loop_(loop), cluster_(cluster), say_(std::move(say)), done_(std::move(done)), probation_(loop_) {}

void Rollout::begin(Program next) {
  before_ = cluster_.replace_program(std::move(next));
  next_slot();
}

void Rollout::next_slot() {
  if (slot_ == cluster_.slots()) return finish_if_all_left();
  slot_since_ = steady_clock::now();
  // A program that crashed owes nothing to the one that replaces it.
  cluster_.slot(slot_).policy.forget();
  withdraw_rivals();
  std::string why;
  const Worker* successor = cluster_.start_worker(slot_, &why);
  if (successor == nullptr) return fail(fmt::format("slot {}: start the successor: {}", slot_, why));
  successor_ = successor->who().generation;
}

void Rollout::withdraw_rivals() {
  std::vector<Worker*> rivals;
  for (const auto& worker : cluster_.slot(slot_).workers) {
    if (worker->is_booting()) rivals.push_back(worker.get());
  }
  for (Worker* worker : rivals)
    cluster_.put_down(*worker, SIGTERM, Cause::Left, "withdrawn: a reload brings another");
}

bool Rollout::take_ready(Worker& worker) {
  if (over_ || worker.who().generation != successor_) return false;
  const auto probation = cluster_.program().options.probation;
  if (slot_ > 0 || probation.count() == 0) {
    seat(worker);
  } else {
    say_(fmt::format("slot {}: pid {} is ready; on probation for {} ms", slot_, worker.pid(),
                     probation.count()));
    // If it has died meanwhile, take_gone has cancelled this; if it is dying, take_gone will follow.
    probation_.start(probation, [this, &worker] {
      if (worker.state() == WorkerState::Ready) seat(worker);
    });
  }
  return true;
}

void Rollout::seat(Worker& successor) {
  const Worker* predecessor = cluster_.slot(slot_).seated();
  const double took = std::chrono::duration<double>(steady_clock::now() - slot_since_).count();
  say_(fmt::format("slot {}: pid {} -> pid {} ({:.1f} s)", slot_,
                   predecessor == nullptr ? 0 : predecessor->pid(), successor.pid(), took));
  if (predecessor != nullptr) leaving_.insert(predecessor->who().generation);
  successor_ = 0;
  cluster_.seat(successor);
  ++slot_;
  next_slot();
}

void Rollout::take_gone(const Worker& worker, Cause cause, const std::string& obituary) {
  if (over_) return;
  if (worker.who().generation == successor_) return fail(obituary);
  if (leaving_.erase(worker.who().generation) == 0) return;
  if (cause != Cause::Left) say_(obituary);
  finish_if_all_left();
}

void Rollout::fail(const std::string& why) {
  over_ = true;
  probation_.cancel();
  (void)cluster_.replace_program(std::move(before_));
  const std::string rest =
      slot_ == 0 ? "the old workers go on"
                 : fmt::format("slots before {} have new workers, the others go on with old ones", slot_);
  done_(false, fmt::format("reload failed: {}; {}", why, rest));
}

void Rollout::finish_if_all_left() {
  if (over_ || slot_ < cluster_.slots() || !leaving_.empty()) return;
  over_ = true;
  done_(true, fmt::format("reload done: {} workers replaced", cluster_.slots()));
}

}  // namespace limpet::supervisor
