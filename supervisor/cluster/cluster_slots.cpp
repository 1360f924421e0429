// Another number of slots: what is opened, closed, dealt and lent.
#include <fmt/format.h>

#include <algorithm>

#include "ipc/shared/bucket_table.h"
#include "supervisor/cluster/cluster.h"
#include "supervisor/system/log.h"

namespace limpet::supervisor {

using std::chrono::steady_clock;

void Cluster::open_slots(std::uint16_t slots) {
  totals_.grow(slots);
  used_ = std::max(used_, slots);
  for (auto number = static_cast<std::uint16_t>(slots_.size()); number < slots; ++number) {
    slots_.push_back(std::make_unique<Slot>(loop_, number));
    slots_.back()->vacant_since = steady_clock::now();
  }
  std::string why;
  for (std::uint16_t number = open_; number < slots; ++number) (void)start_worker(number, program_, &why);
}

void Cluster::close_slots(std::uint16_t slots) {
  for (std::size_t number = slots; number < slots_.size(); ++number) {
    Slot& slot = *slots_[number];
    slot.closing = true;
    slot.respawn.cancel();
    for (const auto& worker : slot.workers)
      put_down(*worker, Ending::ByMessage, Cause::Left, "withdrawn: its slot closes");
  }
  remove_closed_slots();
}

void Cluster::remove_closed_slots() {
  while (slots_.size() > open_ && slots_.back()->closing && slots_.back()->workers.empty()) slots_.pop_back();
}

std::map<std::pair<std::uint16_t, std::uint16_t>, bool> Cluster::deal_buckets(std::uint16_t slots) {
  const std::vector<std::uint16_t> owners = ipc::deal_buckets(slots);
  std::map<std::pair<std::uint16_t, std::uint16_t>, base::Descriptor> giver_ends;
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket) {
    const std::pair<std::uint16_t, std::uint16_t> pair(births_.owner(bucket), owners[bucket]);
    if (pair.first == pair.second || giver_ends.contains(pair)) continue;
    // Before the table changes: whoever asks the new owner then finds it prepared.
    giver_ends[pair] = expect_sessions(pair.first, pair.second);
  }
  // Also before: whom the table names and the board does not counts as one that does not answer.
  for (std::uint16_t slot = open_; slot < slots; ++slot)
    births_.board().set_takes_part(slot, slots_[slot]->takes_part(steady_clock::now()));
  births_.assign(owners);
  open_ = slots;
  log(Level::Info, fmt::format("buckets: dealt to {} slots", slots));
  for (std::size_t number = slots; number < slots_.size(); ++number) {
    slots_[number]->closing = true;
    slots_[number]->respawn.cancel();
  }
  // A slot that opens reads its own sockets by now; of one that closes the heir does before it stops.
  lend_closed_slots();
  update_routes();
  for (std::size_t number = slots; number < slots_.size(); ++number)
    if (Worker* worker = slots_[number]->seated()) worker->tell(ipc::GiveUpSeat{});
  std::map<std::pair<std::uint16_t, std::uint16_t>, bool> told;
  for (const auto& [pair, end] : giver_ends) told[pair] = tell_to_move(pair.first, pair.second, end);
  return told;
}

bool Cluster::move_buckets(std::uint16_t from, std::uint16_t to) {
  return tell_to_move(from, to, expect_sessions(from, to));
}

base::Descriptor Cluster::expect_sessions(std::uint16_t from, std::uint16_t to) {
  Worker* const taker = slots_.at(to)->seated();
  if (taker == nullptr || slots_.at(from)->seated() == nullptr) return {};
  try {
    auto [giver_end, taker_end] = migration_stream();
    taker->tell(ipc::ExpectSessions{from}, {taker_end.get()});
    return std::move(giver_end);
  } catch (const std::system_error& failure) {
    log(Level::Error,
        fmt::format("slot {} -> slot {}: {}; its sessions do not move", from, to, failure.what()));
    return {};
  }
}

bool Cluster::tell_to_move(std::uint16_t from, std::uint16_t to, const base::Descriptor& giver_end) {
  Worker* const giver = slots_.at(from)->seated();
  if (giver == nullptr || !giver_end) return false;
  const Options& options = program_->options;
  giver->tell(ipc::MoveBuckets{to, options.drain_window, options.drain_deadline}, {giver_end.get()});
  return true;
}

void Cluster::lend_closed_slots() {
  const auto take_back = [&](std::uint16_t slot, std::uint64_t generation) {
    each_worker([&](Worker& worker) {
      if (worker.who().generation == generation && worker.is_seated()) worker.tell(ipc::ReturnSlot{slot});
    });
  };
  for (std::uint16_t slot = 0; slot < open_; ++slot) {
    if (const auto found = lent_.find(slot); found != lent_.end()) {
      take_back(slot, found->second);
      lent_.erase(found);
    }
  }
  for (std::uint16_t slot = open_; slot < used_; ++slot) {
    // While a slot opens it is used, and not open yet: nothing has arrived there.
    if (slot < slots_.size() && !slots_[slot]->closing && !lent_.contains(slot)) continue;
    Worker* const heir = slots_[slot % open_]->seated();
    if (heir == nullptr || lent_[slot] == heir->who().generation) continue;
    std::vector<int> sockets = {births_.inbox(slot)};
    for (const int listener : listeners_.of_slot(slot)) sockets.push_back(listener);
    // The new heir first: between the two lines both serve; the other way round, nobody would.
    heir->tell(ipc::BorrowSlot{slot}, std::span<const int>(sockets));
    take_back(slot, std::exchange(lent_[slot], heir->who().generation));
  }
}

}  // namespace limpet::supervisor
