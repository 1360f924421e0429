// What workers say on their control channels, and what follows from it. A worker is not trusted: each message
// is decoded, and may come in some states only (supervisor/cluster/rules.h); one that says anything else is
// ended.
#pragma once

#include <string_view>

#include "ipc/messages/channel.h"
#include "supervisor/cluster/endings.h"
#include "supervisor/cluster/events.h"
#include "supervisor/cluster/routes.h"
#include "supervisor/cluster/seats.h"
#include "supervisor/cluster/slots.h"
#include "supervisor/cluster/starts.h"

namespace limpet::supervisor {

class ControlMessages {
 public:
  /// All are borrowed for life.
  ControlMessages(const Slots& slots, Seats& seats, Starts& starts, Endings& endings, Routes& routes,
                  ClusterEvents& events);

  /// What has arrived from it, up to a number of messages. The worker is still there when this returns.
  void read(Worker& worker);

 private:
  template <class Message>
  struct Row;
  struct Rows;
  void take_message(Worker& worker, ipc::Datagram& datagram);
  template <class Message>
  void take(Worker& worker, const Message& message, ipc::Datagram& datagram);
  void welcome(Worker& worker, const ipc::Hello& hello, ipc::Datagram& datagram);
  void introduce_to_peers(Worker& worker);
  void take_ready(Worker& worker, const ipc::Ready& ready, ipc::Datagram& datagram);
  void take_failure(Worker& worker, const ipc::Failed& failed, ipc::Datagram& datagram);
  void take_progress(Worker& worker, const ipc::DrainProgress& progress, ipc::Datagram& datagram);
  void take_leaving(Worker& worker, const ipc::Leaving& leaving, ipc::Datagram& datagram);
  void take_buckets_moved(Worker& worker, const ipc::BucketsMoved& moved, ipc::Datagram& datagram);
  void take_signalled(Worker& worker, const ipc::Signalled& signalled, ipc::Datagram& datagram);
  void note_own_drain(Worker& worker);
  void channel_closed(Worker& worker, std::string_view why);

  const Slots& slots_;
  Seats& seats_;
  Starts& starts_;
  Endings& endings_;
  Routes& routes_;
  ClusterEvents& events_;
};

}  // namespace limpet::supervisor
