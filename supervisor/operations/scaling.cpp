#include "supervisor/operations/scaling.h"

#include <fmt/format.h>

#include "supervisor/system/system_check.h"

namespace limpet::supervisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// Between the deadline that the givers keep by themselves and ours.
constexpr milliseconds kGrace{2000};

}  // namespace

Scaling::Scaling(Loop& loop, ClusterSteps& cluster, std::uint16_t workers, Say say, Done done)
    : cluster_(cluster),
      say_(std::move(say)),
      done_(std::move(done)),
      deadline_(loop),
      before_(cluster.slots().open()),
      after_(workers) {}

std::string Scaling::obstacle() const {
  if (after_ == 0 || after_ > cluster_.capacity())
    return fmt::format("{} workers: from 1 to {} can be had (max_workers)", after_, cluster_.capacity());
  if (cluster_.listener_count() + 1U > ipc::kDescriptorsLimit)
    return fmt::format("{} addresses are more than one message can lend", cluster_.listener_count());
  const std::uint64_t ring_bytes = cluster_.program().options.ring_capacity;
  if (std::string objection = objection_to(process_limits(), after_, ring_bytes); !objection.empty())
    return objection;
  if (cluster_.slots().is_closing()) return "slots are still closing";
  for (std::uint16_t number = 0; number < before_; ++number) {
    const Slot& slot = cluster_.slots().at(number);
    const Worker* worker = slot.seated();
    if (worker == nullptr || worker->silent) return fmt::format("slot {} does not serve", number);
    if (const Worker* leaving = slot.leaving()) return fmt::format("pid {} has not left yet", leaving->pid());
    if (worker->has_old_table)
      return fmt::format("pid {} has the table of buckets from before the upgrade; reload first",
                         worker->pid());
    // Sessions would go to and fro between versions, and one may not read what the other gives.
    if (const Worker* first = cluster_.slots().tenant(0); first != nullptr && first->build != worker->build)
      return fmt::format("pid {} is of build {}, pid {} of build {}; reload first", first->pid(),
                         first->build, worker->pid(), worker->build);
  }
  return "";
}

void Scaling::begin() {
  began_ = steady_clock::now();
  if (after_ < before_) return move_buckets();
  const milliseconds boot = cluster_.program().options.boot_deadline;
  deadline_.start(boot, [this, boot] {
    std::string why;
    for (std::uint16_t number = before_; number < after_ && why.empty(); ++number)
      if (cluster_.slots().tenant(number) == nullptr) why = cluster_.slots().at(number).last_obituary;
    fail(fmt::format("the new workers do not all serve after {} ms{}{}", boot.count(),
                     why.empty() ? "" : ": ", why));
  });
  cluster_.open_slots(after_);
}

void Scaling::on_seated(const Worker& worker) {
  if (over_) return;
  const std::uint16_t slot = worker.who().slot;
  if (buckets_are_dealt_) {
    // The tenant of one that died while it took: what the givers still have comes here.
    for (auto& [pair, told] : pairs_) {
      if (pair.second == slot && !told) told = cluster_.move_buckets(pair.first, pair.second);
    }
    return;
  }
  if (slot >= before_) say_(fmt::format("slot {}: pid {} serves", slot, worker.pid()));
  for (std::uint16_t number = before_; number < after_; ++number)
    if (cluster_.slots().tenant(number) == nullptr) return;
  move_buckets();
}

void Scaling::move_buckets() {
  const milliseconds deadline = cluster_.program().options.drain_deadline;
  deadline_.start(deadline + kGrace, [this, deadline] {
    fail(fmt::format("sessions have not moved after {} ms", deadline.count()));
  });
  buckets_are_dealt_ = true;
  pairs_ = cluster_.deal_buckets(after_);
  // Who has no worker has no session.
  std::erase_if(pairs_,
                [&](const auto& each) { return cluster_.slots().tenant(each.first.first) == nullptr; });
  close_what_is_empty();
  finish_if_all_moved();
}

void Scaling::on_buckets_moved(const Worker& worker, const ipc::BucketsMoved& moved) {
  if (over_ || pairs_.erase({worker.who().slot, moved.to_slot}) == 0) return;
  moved_ += moved.moved;
  drained_ += moved.drained;
  say_(fmt::format("slot {} -> slot {}: {} moved, {} drained", worker.who().slot, moved.to_slot, moved.moved,
                   moved.drained));
  close_what_is_empty();
  finish_if_all_moved();
}

/// A worker of a slot that closes leaves when it has given everything away.
void Scaling::close_what_is_empty() {
  for (std::uint16_t number = after_; number < before_; ++number) {
    Worker* worker = cluster_.slots().tenant(number);
    const auto first = pairs_.lower_bound({number, 0});
    if (worker == nullptr || (first != pairs_.end() && first->first.first == number)) continue;
    say_(fmt::format("slot {}: pid {} leaves", number, worker->pid()));
    cluster_.drain(*worker, "its slot closes");
  }
}

void Scaling::on_gone(const Worker& worker, Cause cause, const std::string& obituary) {
  const std::uint16_t slot = worker.who().slot;
  if (over_ || ipc::is_bridge(slot)) return;
  if (!buckets_are_dealt_ && slot >= before_ && cause != Cause::Left) return fail(obituary);
  if (cause != Cause::Left) {
    say_(obituary);
    // Gauges are what it had when it died.
    if (worker.counters) lost_ += worker.counters->get(ipc::Counter::SessionsOpen);
    std::erase_if(pairs_, [&](const auto& each) { return each.first.first == slot; });
    for (auto& [pair, told] : pairs_)
      if (pair.second == slot) told = false;
  }
  finish_if_all_moved();
}

void Scaling::finish_if_all_moved() {
  if (over_ || !buckets_are_dealt_ || !pairs_.empty()) return;
  if (after_ < before_ && cluster_.slots().is_closing()) return;
  over_ = true;
  deadline_.cancel();
  done_(true, fmt::format("scale done: {} -> {} workers; {} sessions moved, {} drained{} ({:.1f} s)", before_,
                          after_, moved_, drained_, lost_ > 0 ? fmt::format(", {} lost", lost_) : "",
                          std::chrono::duration<double>(steady_clock::now() - began_).count()));
}

void Scaling::abandon() {
  if (over_) return;
  over_ = true;
  deadline_.cancel();
  done_(false, "scale failed: everything stops");
}

void Scaling::fail(const std::string& why) {
  over_ = true;
  deadline_.cancel();
  if (!buckets_are_dealt_) {
    cluster_.close_slots(before_);
    return done_(false, fmt::format("scale failed: {}; {} workers go on", why, before_));
  }
  // The buckets have moved: there is no way back that would not move everything again.
  for (std::uint16_t number = after_; number < before_; ++number) {
    if (Worker* worker = cluster_.slots().tenant(number)) cluster_.drain(*worker, "its slot closes");
  }
  done_(false, fmt::format("scale failed: {}; {} workers go on, what has not moved is drained", why, after_));
}

}  // namespace limpet::supervisor
