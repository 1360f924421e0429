// What the workers of a cluster have of each other, as one of them holds it: the table of buckets, the slot
// board, everybody's rings and inboxes. Owns all of it; knows neither sessions nor the supervisor: what
// arrives goes to the callbacks.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/descriptor.h"
#include "ipc/birth/heritage.h"
#include "ipc/shared/bucket_table.h"
#include "ipc/shared/slot_board.h"
#include "worker/adapter/ring_adapter.h"
#include "worker/loop/allowance.h"
#include "worker/loop/watch.h"
#include "worker/process/settings.h"
#include "worker/slot/handovers.h"
#include "worker/slot/placement.h"

namespace limpet::process {

/// What a worker is born with for it (ipc/birth/heritage.h).
struct PeerDescriptors {
  base::Descriptor cluster_page;
  base::Descriptor slot_board;  ///< may be none: of a supervisor that has none
  base::Descriptor inbox;
  std::vector<base::Descriptor> inbox_senders;  ///< in slot order
};

/// Those that this process has inherited.
[[nodiscard]] PeerDescriptors inherited_peers(const ipc::Heritage& heritage);

class Peers {
 public:
  struct Callbacks {
    adapter::RingAdapter::Deliver deliver;
    adapter::RingAdapter::OnGap on_gap;
    slot::Handovers::OnArrival on_arrival;
  };

  /// Throws std::system_error, or std::runtime_error in words.
  Peers(boost::asio::io_context& context, const ipc::Heritage& heritage, PeerDescriptors descriptors,
        const Settings& settings, ipc::CounterBlock& counters, Callbacks callbacks);

  [[nodiscard]] const ipc::BucketTable& buckets() const noexcept { return buckets_; }
  [[nodiscard]] adapter::RingAdapter& rings() noexcept { return rings_; }
  [[nodiscard]] slot::Handovers& handovers() noexcept { return handovers_; }
  [[nodiscard]] slot::Placement& placement() noexcept { return placement_; }
  /// As the board says; 0 without one, and without a slot.
  [[nodiscard]] std::uint64_t sessions_of_own_slot() const noexcept;

  // Once per turn, in this order.
  /// Before the wait, in any case.
  void arm() { doorbell_.arm(); }
  /// False: a ring has something, do not wait.
  [[nodiscard]] bool fall_asleep() { return rings_.fall_asleep(); }
  void wake_up() { rings_.wake_up(); }
  void take_handovers() { more_handovers_ = handovers_.turn(); }
  void take_broadcasts(loop::Allowance& allowance) { more_broadcasts_ = rings_.poll(allowance); }
  void flush(loop::TimePoint now) { rings_.flush(now); }

  /// More has arrived than the last turn took.
  [[nodiscard]] bool has_work() const noexcept { return more_handovers_ || more_broadcasts_; }
  /// Something waits for room in a ring or an inbox: another turn within a millisecond or so.
  [[nodiscard]] bool deferred() const noexcept { return rings_.deferred() || handovers_.deferred(); }

 private:
  std::uint16_t own_slot_;
  ipc::BucketTable buckets_;
  std::optional<ipc::SlotBoard> board_;
  adapter::RingAdapter rings_;
  loop::Watch doorbell_;
  slot::Handovers handovers_;
  slot::Placement placement_;
  bool more_handovers_ = false;
  bool more_broadcasts_ = false;
};

}  // namespace limpet::process
