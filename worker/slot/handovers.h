// Connections and requests that travel between slots (law 4): sends to the inbox of the slot that owns a
// session, takes what arrives in the own one, and in those of closed slots that this one is the heir of. A
// handover that an inbox has no room for is refused, and counted: its connection is closed, and the client
// comes back.
#pragma once

#include <bitset>
#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "base/log_gate.h"
#include "ipc/messages/channel.h"
#include "ipc/messages/inbox.h"
#include "ipc/shared/bucket_table.h"
#include "ipc/shared/counters.h"
#include "worker/client/connection_image.h"
#include "worker/client/destination.h"
#include "worker/loop/watch.h"

namespace limpet::slot {

class Handovers {
 public:
  using OnArrival = std::function<void(ipc::ReceivedHandover arrival)>;

  /// `senders`: the sending ends of all inboxes, in slot order. `table` is borrowed for life.
  Handovers(boost::asio::io_context& context, const ipc::BucketTable& table, std::uint16_t own_slot,
            base::Descriptor inbox, std::vector<base::Descriptor> senders, ipc::CounterBlock& counters,
            OnArrival on_arrival);

  /// The slot that owns `sid` (of a sid's form), if that is another one.
  [[nodiscard]] std::optional<std::uint16_t> other_owner_of(std::string_view sid) const;
  /// The slot that owns `sid`.
  [[nodiscard]] std::uint16_t owner_of(std::string_view sid) const;
  /// False in a slot that closes, until the next turn() at least.
  [[nodiscard]] bool owns_a_bucket() const;
  /// The table has given the bucket of `sid` to this slot since learn_own_buckets(): who owned it may still
  /// have its sessions, even if nobody has said so yet.
  [[nodiscard]] bool is_new_owner_of(std::string_view sid) const;
  /// Whoever gives sessions of them is known.
  void learn_own_buckets();
  /// Sends the socket with what was read from it, which has at most ipc::kHandoverLimitBytes, to a slot; a
  /// relayed request if its image says so. The caller's copy of the socket is closed in any case. False if
  /// the inbox has no room: the socket goes nowhere.
  [[nodiscard]] bool send(const base::Descriptor& socket, const client::ConnectionImage& image,
                          const client::Destination& to);

  void start_reading() { reading_ = true; }
  /// The borrowed inboxes are forgotten.
  void stop_reading();
  /// Reads the inbox of a closed slot as well. Again: the new one takes the place of the old.
  void borrow(std::uint16_t slot, base::Descriptor inbox);
  void give_back(std::uint16_t slot) { borrowed_.erase(slot); }
  /// Takes a bounded number of arrivals from each inbox, sends what waits for room, asks for the next
  /// readiness. Once per turn. True if more may be waiting.
  bool turn();
  /// Something waits for room in another slot's inbox: turn() again within a millisecond or so.
  [[nodiscard]] bool deferred() const noexcept;

 private:
  struct Inbox {
    Inbox(boost::asio::io_context& context, base::Descriptor descriptor);
    ipc::Channel channel;
    loop::Watch watch;
    bool readable = true;
    bool failed = false;
  };
  bool read(Inbox& inbox);

  boost::asio::io_context& context_;
  std::uint16_t own_slot_;
  const ipc::BucketTable& table_;
  std::bitset<ipc::kBuckets> own_buckets_;  ///< as of learn_own_buckets()
  mutable std::uint16_t own_bucket_ = 0;    ///< was this slot's at the last look, if any was
  mutable bool owned_none_ = false;         ///< as of a look at all of them in this turn
  Inbox inbox_;
  std::map<std::uint16_t, Inbox> borrowed_;  ///< by slot
  std::vector<ipc::Channel> senders_;
  ipc::CounterBlock& counters_;
  OnArrival on_arrival_;
  base::LogGate bad_arrivals_;
  bool reading_ = false;
};

}  // namespace limpet::slot
