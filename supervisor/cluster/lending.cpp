#include "supervisor/cluster/lending.h"

#include <span>
#include <utility>
#include <vector>

namespace limpet::supervisor {

Lending::Lending(const Slots& slots, const Births& births, const Listeners& listeners)
    : slots_(slots), births_(births), listeners_(listeners) {}

void Lending::update() {
  for (std::uint16_t slot = 0; slot < slots_.open(); ++slot) {
    if (const auto found = lent_.find(slot); found != lent_.end()) {
      take_back(slot, found->second);
      lent_.erase(found);
    }
  }
  for (std::uint16_t slot = slots_.open(); slot < slots_.used(); ++slot) {
    // While a slot opens it is used, and not open yet: nothing has arrived there.
    const Slot* const its = slots_.find(slot);
    if (its != nullptr && !its->closing && !lent_.contains(slot)) continue;
    Worker* const heir = slots_.tenant(slot % slots_.open());
    if (heir != nullptr && lent_[slot] != heir->who().generation) lend(slot, *heir);
  }
}

void Lending::lend(std::uint16_t slot, Worker& heir) {
  std::vector<int> sockets = {births_.inbox(slot)};
  for (const int listener : listeners_.of_slot(slot)) sockets.push_back(listener);
  // The new heir first: between the two lines both serve; the other way round, nobody would.
  heir.tell(ipc::BorrowSlot{slot}, std::span<const int>(sockets));
  take_back(slot, std::exchange(lent_[slot], heir.who().generation));
}

void Lending::take_back(std::uint16_t slot, std::uint64_t generation) {
  slots_.each_worker([&](Worker& worker) {
    if (worker.who().generation == generation && worker.is_seated()) worker.tell(ipc::ReturnSlot{slot});
  });
}

}  // namespace limpet::supervisor
