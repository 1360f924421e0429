#include "worker/client/admission.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace limpet::client {
namespace {

/// Addresses whose rates are remembered at the most: whoever comes from more at a time is not held back by
/// this cap. About 100 bytes each.
constexpr std::size_t kMostRates = 65'536;
/// A rate that is older is as good as new: all has come back.
constexpr std::chrono::seconds kRateLife{1};
/// Looked at for each new one: more than comes in, so that the old ones go.
constexpr int kForgottenAtOnce = 2;

}  // namespace

bool Admission::refuse(ipc::Counter cause) {
  counters_.add(cause);
  base::log_at_most(refusals_, clock_.now(), base::LogLevel::Warning, [&] {
    const ipc::CounterRow& row = ipc::kCounters[static_cast<std::size_t>(cause)];
    return fmt::format("clients: {}: {}", row.name, row.help);
  });
  return false;
}

bool Admission::admits_connection(std::size_t open) {
  if (open >= limits_.connections) return refuse(ipc::Counter::RefusedConnections);
  if (short_of_memory_) return refuse(ipc::Counter::RefusedForMemory);
  return true;
}

bool Admission::admits_one_more_of(const PeerAddress& client) {
  if (!counts_addresses()) return true;
  std::uint32_t& count = connections_[client.network_key()];
  if (count >= limits_.connections_per_address) return refuse(ipc::Counter::RefusedAddresses);
  ++count;
  return true;
}

void Admission::leave(const PeerAddress& client) {
  const auto found = connections_.find(client.network_key());
  if (found != connections_.end() && --found->second == 0) connections_.erase(found);
}

bool Admission::admits_handshake(std::size_t open, const PeerAddress& client) {
  if (open >= limits_.sessions) return refuse(ipc::Counter::RefusedSessions);
  if (short_of_memory_) return refuse(ipc::Counter::RefusedForMemory);
  if (limits_.handshakes_per_second == 0 || admits_rate_of(client.network_key())) return true;
  return refuse(ipc::Counter::RefusedAddresses);
}

bool Admission::admits_rate_of(Address address) {
  constexpr std::uint64_t kOne = 1000;
  const std::uint64_t most = kOne * limits_.handshakes_per_second;
  auto found = rates_.find(address);
  if (found == rates_.end()) {
    forget_old_rates();
    if (rates_.size() >= kMostRates) return true;
    rates_by_age_.push_back(address);
    found = rates_.emplace(address, Rate{most, clock_.now()}).first;
  }
  Rate& rate = found->second;
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - rate.at);
  const auto back = static_cast<std::uint64_t>(passed.count()) * limits_.handshakes_per_second;
  rate.millis = std::min(most, rate.millis + back);
  if (back > 0) rate.at += passed;
  if (rate.millis < kOne) return false;
  rate.millis -= kOne;
  return true;
}

void Admission::forget_old_rates() {
  for (int i = 0; i < kForgottenAtOnce && !rates_by_age_.empty(); ++i) {
    const Address oldest = rates_by_age_.pop_front();
    const auto found = rates_.find(oldest);
    if (clock_.now() - found->second.at < kRateLife) {
      rates_by_age_.push_back(oldest);
    } else {
      rates_.erase(found);
    }
  }
}

}  // namespace limpet::client
