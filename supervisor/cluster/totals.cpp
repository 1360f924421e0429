#include "supervisor/cluster/totals.h"

#include <algorithm>
#include <numeric>

namespace limpet::supervisor {
namespace {

ipc::CounterReport finished(ipc::CounterReport report) {
  report.total = std::accumulate(report.by_slot.begin(), report.by_slot.end(), std::uint64_t{0});
  return report;
}

ipc::CounterReport finished_peak(ipc::CounterReport report) {
  report.total = std::ranges::max(report.by_slot);
  return report;
}

}  // namespace

void Totals::retire(std::uint16_t seat, const ipc::CounterView& counters) {
  if (ipc::is_bridge(seat)) return;
  for (std::size_t index = 0; index < ipc::kCounterCount; ++index) {
    const std::uint64_t last = counters.get(static_cast<ipc::Counter>(index));
    std::uint64_t& retired = slots_.at(seat).retired[index];
    if (ipc::kCounters[index].kind == ipc::CounterKind::Total) retired += last;
    if (ipc::kCounters[index].kind == ipc::CounterKind::Peak) retired = std::max(retired, last);
  }
}

void Totals::save(std::uint16_t slot, upgrade::SlotState* into) const {
  const Slot& from = slots_.at(slot);
  into->starts = from.starts;
  for (std::size_t index = 0; index < ipc::kCounterCount; ++index)
    into->retired.push_back({std::string(ipc::kCounters[index].name), from.retired[index]});
  for (std::size_t cause = 0; cause < kCauses; ++cause)
    into->ends.push_back({std::string(kCauseTable[cause].name), from.ends[cause]});
}

void Totals::restore(std::uint16_t slot, const upgrade::SlotState& from) {
  Slot& into = slots_.at(slot);
  into.starts = from.starts;
  for (const upgrade::NamedNumber& each : from.retired) {
    for (std::size_t index = 0; index < ipc::kCounterCount; ++index)
      if (ipc::kCounters[index].name == each.name) into.retired[index] = each.number;
  }
  for (const upgrade::NamedNumber& each : from.ends) {
    for (std::size_t cause = 0; cause < kCauses; ++cause)
      if (kCauseTable[cause].name == each.name) into.ends[cause] = each.number;
  }
}

ipc::StatsReply Totals::report(const std::vector<Living>& living) const {
  ipc::StatsReply reply;
  for (std::size_t index = 0; index < ipc::kCounterCount; ++index) {
    const ipc::CounterRow& row = ipc::kCounters[index];
    ipc::CounterReport report{std::string(row.name),
                              std::string(row.unit),
                              std::string(row.help),
                              row.kind != ipc::CounterKind::Total,
                              0,
                              {}};
    for (const Slot& slot : slots_) report.by_slot.push_back(slot.retired[index]);
    const bool is_peak = row.kind == ipc::CounterKind::Peak;
    for (const Living& each : living) {
      std::uint64_t& number = report.by_slot.at(each.slot);
      const std::uint64_t its = each.counters->get(static_cast<ipc::Counter>(index));
      number = is_peak ? std::max(number, its) : number + its;
    }
    reply.counters.push_back(is_peak ? finished_peak(std::move(report)) : finished(std::move(report)));
  }
  ipc::CounterReport starts{
      "workers_started", "workers", "workers started, the first of each slot included", false, 0, {}};
  for (const Slot& slot : slots_) starts.by_slot.push_back(slot.starts);
  reply.counters.push_back(finished(std::move(starts)));
  for (std::size_t cause = 0; cause < kCauses; ++cause) {
    const CauseRow& row = kCauseTable[cause];
    ipc::CounterReport report{std::string(row.name), "workers", std::string(row.help), false, 0, {}};
    for (const Slot& slot : slots_) report.by_slot.push_back(slot.ends[cause]);
    reply.counters.push_back(finished(std::move(report)));
  }
  return reply;
}

}  // namespace limpet::supervisor
