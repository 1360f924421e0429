// Connections and requests that travel between slots (law 4): sends to the inbox of the slot that owns a
// session, takes what arrives in the own one. A handover that an inbox has no room for is refused, and
// counted: its connection is closed, and the client comes back.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "ipc/bucket_table.h"
#include "ipc/channel.h"
#include "ipc/counters.h"
#include "ipc/inbox.h"
#include "ipc/messages.h"
#include "worker/process/client_connection.h"
#include "worker/process/watch.h"

namespace limpet::process {

class Handovers {
 public:
  using OnArrival = std::function<void(ipc::ReceivedHandover arrival)>;

  /// `senders`: the sending ends of all inboxes, in slot order. `table` is borrowed for life.
  Handovers(boost::asio::io_context& context, const ipc::BucketTable& table, std::uint16_t own_slot,
            ipc::Descriptor inbox, std::vector<ipc::Descriptor> senders, ipc::CounterBlock& counters,
            OnArrival on_arrival);

  /// The slot that owns `sid` (of a sid's form), if that is another one.
  [[nodiscard]] std::optional<std::uint16_t> other_owner_of(std::string_view sid) const;
  /// Sends the socket with what was read from it; `placed`: it opens a session there. The caller's copy of
  /// the socket is closed in any case. False if the inbox has no room: the socket goes nowhere.
  bool send(ipc::HandoverKind kind, const ipc::Descriptor& socket, const ClientConnection& from,
            std::uint16_t to_slot, std::string_view unread, bool placed = false);

  void start_reading() { reading_ = true; }
  void stop_reading() { reading_ = false; }
  /// Takes a bounded number of arrivals, sends what waits for room, asks for the next readiness. Once per
  /// turn. True if more may be waiting.
  bool turn();
  /// Something waits for room in another slot's inbox: turn() again within a millisecond or so.
  [[nodiscard]] bool deferred() const noexcept;

 private:
  std::uint16_t own_slot_;
  const ipc::BucketTable& table_;
  ipc::Channel inbox_;
  std::vector<ipc::Channel> senders_;
  ipc::CounterBlock& counters_;
  OnArrival on_arrival_;
  Watch watch_;
  bool reading_ = false;
  bool readable_ = true;
};

}  // namespace limpet::process
