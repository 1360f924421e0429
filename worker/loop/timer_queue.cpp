#include "worker/loop/timer_queue.h"

#include <algorithm>

namespace limpet::loop {

TimerQueue::Id TimerQueue::add(TimePoint due, std::chrono::nanoseconds period, std::function<void()> task) {
  const Id id = ++last_id_;
  timers_.emplace(Key(due, id), Timer{period, std::move(task)});
  due_.emplace(id, due);
  return id;
}

bool TimerQueue::cancel(Id id) {
  const auto found = due_.find(id);
  if (found == due_.end()) return false;
  timers_.erase(Key(found->second, id));  // nothing there while its own task runs
  due_.erase(found);
  return true;
}

std::optional<TimePoint> TimerQueue::next_deadline() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first.first;
}

void TimerQueue::run_due(TimePoint now, Allowance& allowance,
                         const std::function<void(const std::function<void()>&)>& door) {
  // What a task adds waits for the next call, due or not: a task that re-arms itself with no delay must not
  // hold the loop.
  const Id newest = last_id_;
  for (auto next = timers_.begin(); next != timers_.end() && next->first.first <= now;
       next = timers_.begin()) {
    const auto [due, id] = next->first;
    if (id > newest || !allowance.take()) break;
    auto node = timers_.extract(next);
    door(node.mapped().task);
    const auto entry = due_.find(id);
    if (entry == due_.end()) continue;  // cancelled by its own task
    if (node.mapped().period.count() == 0) {
      due_.erase(entry);
      continue;
    }
    // A loop that was late does not make up for the rounds it missed.
    entry->second = std::max(due + node.mapped().period, now + std::chrono::nanoseconds(1));
    node.key() = Key(entry->second, id);
    timers_.insert(std::move(node));
  }
}

}  // namespace limpet::loop
