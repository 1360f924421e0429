#include "worker/process/peers.h"

#include <fmt/format.h>
#include <unistd.h>

#include <stdexcept>
#include <utility>

#include "base/log.h"

namespace limpet::process {
namespace {

ipc::BucketTable map_buckets(const base::Descriptor& page) {
  std::string why;
  auto table = ipc::BucketTable::map(page, &why);
  if (!table) throw std::runtime_error("map the bucket table: " + why);
  return *std::move(table);
}

std::optional<ipc::SlotBoard> map_board(const base::Descriptor& page) {
  std::string why;
  auto board = ipc::SlotBoard::map(page, &why);
  if (!board)
    base::log(base::LogLevel::Warning,
              fmt::format("slot board: map: {}; every slot counts as one that takes part", why));
  return board;
}

ipc::RingOptions ring_options(const ipc::Heritage& heritage, const Settings& settings) {
  ipc::RingOptions options = settings.ring;
  options.lanes = heritage.lanes;
  return options;
}

/// Readiness is enough: what the counter holds is taken at once, or Asio would call for ever.
void empty(int doorbell) {
  std::uint64_t rings = 0;
  [[maybe_unused]] const ssize_t got = ::read(doorbell, &rings, sizeof rings);
}

}  // namespace

PeerDescriptors inherited_peers(const ipc::Heritage& heritage) {
  PeerDescriptors result{base::Descriptor(ipc::kClusterPage),
                         base::Descriptor(ipc::kSlotBoard),
                         base::Descriptor(ipc::kInbox),
                         {}};
  for (std::uint16_t slot = 0; slot < heritage.slots; ++slot)
    result.inbox_senders.emplace_back(heritage.inbox_sender(slot));
  return result;
}

Peers::Peers(boost::asio::io_context& context, const ipc::Heritage& heritage, PeerDescriptors descriptors,
             const Settings& settings, ipc::CounterBlock& counters, Callbacks callbacks)
    : own_slot_(heritage.slot),
      buckets_(map_buckets(descriptors.cluster_page)),
      board_(map_board(descriptors.slot_board)),
      rings_({heritage.slot, heritage.lane, heritage.generation}, ring_options(heritage, settings), counters,
             std::move(callbacks.deliver), std::move(callbacks.on_gap)),
      doorbell_(context, rings_.doorbell(), [this] { empty(rings_.doorbell()); }),
      handovers_(context, buckets_, heritage.slot, std::move(descriptors.inbox),
                 std::move(descriptors.inbox_senders), counters, std::move(callbacks.on_arrival)),
      placement_(board_ ? &*board_ : nullptr, heritage.slot, heritage.slots, settings.placement_seed,
                 settings.placement) {}

std::uint64_t Peers::sessions_of_own_slot() const noexcept {
  return board_ && own_slot_ < board_->slots() ? board_->sessions(own_slot_) : 0;
}

}  // namespace limpet::process
