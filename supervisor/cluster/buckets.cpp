#include "supervisor/cluster/buckets.h"

#include <fmt/format.h>

#include "ipc/shared/bucket_table.h"
#include "supervisor/system/log.h"

namespace limpet::supervisor {

Buckets::Buckets(Slots& slots, Births& births, Lending& lending, Routes& routes, const SharedProgram& program)
    : slots_(slots), births_(births), lending_(lending), routes_(routes), program_(program) {}

void Buckets::assign_all() { births_.assign(ipc::deal_buckets(slots_.open())); }

std::map<SlotPair, bool> Buckets::deal(std::uint16_t slots) {
  const std::vector<std::uint16_t> owners = ipc::deal_buckets(slots);
  // Before the table changes: whoever asks the new owner then finds it prepared.
  const std::map<SlotPair, base::Descriptor> giver_ends = prepare(owners);
  // Also before: whom the table names and the board does not counts as one that does not answer.
  routes_.show_opening(slots);
  births_.assign(owners);
  slots_.set_open(slots);
  log(Level::Info, fmt::format("buckets: dealt to {} slots", slots));
  // A slot that opens reads its own sockets by now; of one that closes the heir does before it stops.
  lending_.update();
  routes_.update();
  for (const auto& slot : slots_) {
    if (!slot->closing) continue;
    if (Worker* worker = slot->seated()) worker->tell(ipc::GiveUpSeat{});
  }
  std::map<SlotPair, bool> told;
  for (const auto& [pair, end] : giver_ends) told[pair] = tell_to_move(pair.first, pair.second, end);
  return told;
}

/// The giver's end of a stream for each pair of slots, of which the taker has the other; invalid where one of
/// them has no worker.
std::map<SlotPair, base::Descriptor> Buckets::prepare(const std::vector<std::uint16_t>& owners) {
  std::map<SlotPair, base::Descriptor> giver_ends;
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket) {
    const SlotPair pair(births_.owner(bucket), owners[bucket]);
    if (pair.first == pair.second || giver_ends.contains(pair)) continue;
    giver_ends[pair] = expect_sessions(pair.first, pair.second);
  }
  return giver_ends;
}

bool Buckets::move(std::uint16_t from, std::uint16_t to) {
  return tell_to_move(from, to, expect_sessions(from, to));
}

base::Descriptor Buckets::expect_sessions(std::uint16_t from, std::uint16_t to) {
  Worker* const taker = slots_.at(to).seated();
  if (taker == nullptr || slots_.at(from).seated() == nullptr) return {};
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

bool Buckets::tell_to_move(std::uint16_t from, std::uint16_t to, const base::Descriptor& giver_end) {
  Worker* const giver = slots_.at(from).seated();
  if (giver == nullptr || !giver_end) return false;
  const Options& options = program_->options;
  giver->tell(ipc::MoveBuckets{to, options.drain_window, options.drain_deadline}, {giver_end.get()});
  return true;
}

}  // namespace limpet::supervisor
