#include "supervisor/cluster/control_messages.h"

#include <fmt/format.h>

#include <tuple>

#include "ipc/messages/control.h"
#include "supervisor/cluster/rules.h"
#include "supervisor/system/log.h"

namespace limpet::supervisor {
namespace {

/// Messages of one worker per wake-up, so that one that floods its channel cannot starve the others.
constexpr int kMessagesPerTurn = 64;

void introduce(const Worker& known, Worker& to) {
  to.tell(ipc::PeerJoined{known.who()},
          {known.memory->ring.get(), known.memory->reader_page.get(), known.memory->doorbell.get()});
}

}  // namespace

ControlMessages::ControlMessages(const Slots& slots, Seats& seats, Starts& starts, Endings& endings,
                                 Routes& routes, ClusterEvents& events)
    : slots_(slots), seats_(seats), starts_(starts), endings_(endings), routes_(routes), events_(events) {}

void ControlMessages::read(Worker& worker) {
  ipc::Datagram datagram;
  for (int count = 0; count < kMessagesPerTurn && worker.on_message; ++count) {
    switch (worker.channel.receive(&datagram)) {
      case ipc::ReceiveStatus::Message:
        take_message(worker, datagram);
        break;
      case ipc::ReceiveStatus::Empty:
        return;
      case ipc::ReceiveStatus::Closed:
        return channel_closed(worker, "closed its control channel");
      case ipc::ReceiveStatus::DescriptorsLost:
        return endings_.put_down(worker, Ending::ByMessage, Cause::NotStarted,
                                 "this supervisor has no descriptor left for what it sent (RLIMIT_NOFILE)");
      case ipc::ReceiveStatus::Truncated:
        return channel_closed(worker, "sent a datagram that did not fit");
      case ipc::ReceiveStatus::Failed:
        return channel_closed(worker, "its control channel failed");
    }
  }
}

/// A message of a worker: its name in the log, when it may come, and who takes it.
template <class Message>
struct ControlMessages::Row {
  std::string_view name;
  RulesByState rules;
  void (ControlMessages::*take)(Worker& worker, const Message& message, ipc::Datagram& datagram);
};

struct ControlMessages::Rows {
  static constexpr Rule kA = Rule::Allowed;
  static constexpr Rule kI = Rule::Ignored;
  static constexpr Rule kD = Rule::Drop;

  // Columns: spawned, attaching, ready, serving, draining, stopping, dead. A message without a row does not
  // compile.
  static constexpr std::tuple kRows = {
      Row<ipc::Hello>{"hello", kHelloRules, &ControlMessages::welcome},
      Row<ipc::Ready>{"ready", kReadyRules, &ControlMessages::take_ready},
      // In every state: for the obituary of one that ends itself.
      Row<ipc::Failed>{"failed", {kA, kA, kA, kA, kA, kA, kA}, &ControlMessages::take_failure},
      // While it serves: nobody has answered its Signalled in time.
      Row<ipc::DrainProgress>{
          "drain progress", {kD, kD, kA, kA, kA, kI, kI}, &ControlMessages::take_progress},
      Row<ipc::Leaving>{"leaving", {kA, kA, kA, kA, kA, kA, kA}, &ControlMessages::take_leaving},
      Row<ipc::BucketsMoved>{
          "buckets moved", {kD, kD, kD, kA, kA, kI, kI}, &ControlMessages::take_buckets_moved},
      Row<ipc::Signalled>{"signalled", {kD, kA, kA, kA, kI, kI, kI}, &ControlMessages::take_signalled},
  };
};

void ControlMessages::take_message(Worker& worker, ipc::Datagram& datagram) {
  std::string why;
  const auto message = ipc::decode_worker_message(datagram, &why);
  if (!message)
    return endings_.put_down(worker, Ending::Aborted, Cause::Misbehaved,
                             fmt::format("sent an invalid message: {}", why));
  std::visit([&]<class Message>(const Message& body) { take(worker, body, datagram); }, *message);
}

template <class Message>
void ControlMessages::take(Worker& worker, const Message& message, ipc::Datagram& datagram) {
  const Row<Message>& row = std::get<Row<Message>>(Rows::kRows);
  switch (row.rules.in(worker.state())) {
    case Rule::Allowed:
      return (this->*row.take)(worker, message, datagram);
    case Rule::Ignored:
      return;
    case Rule::Drop:
      return endings_.put_down(worker, Ending::Aborted, Cause::Misbehaved,
                               fmt::format("said '{}' while {}", row.name, to_text(worker.state())));
  }
}

void ControlMessages::take_failure(Worker& worker, const ipc::Failed& failed, ipc::Datagram&) {
  worker.last_words = failed.reason;
  if (worker.is_booting()) channel_closed(worker, "said that it cannot start");
}

void ControlMessages::take_leaving(Worker& worker, const ipc::Leaving& leaving, ipc::Datagram&) {
  worker.progress = ipc::DrainProgress{0, leaving.moved, leaving.drained};
}

void ControlMessages::take_buckets_moved(Worker& worker, const ipc::BucketsMoved& moved, ipc::Datagram&) {
  events_.on_buckets_moved(worker, moved);
}

void ControlMessages::welcome(Worker& worker, const ipc::Hello& hello, ipc::Datagram& datagram) {
  if (hello.protocol_version != ipc::kProtocolVersion || hello.who != worker.who()) {
    return endings_.put_down(worker, Ending::ByMessage, Cause::Misbehaved,
                             fmt::format("says hello with protocol {} of build {} as {} lane {} gen {}; this "
                                         "supervisor speaks protocol {}",
                                         hello.protocol_version, hello.build, ipc::seat_name(hello.who.slot),
                                         hello.who.lane, hello.who.generation, ipc::kProtocolVersion));
  }
  std::string why;
  worker.counters = ipc::CounterView::map(datagram.descriptors[2], worker.who(), &why);
  if (!worker.counters)
    return endings_.put_down(worker, Ending::ByMessage, Cause::Misbehaved,
                             fmt::format("its counters: {}", why));
  worker.memory = Worker::Memory{std::move(datagram.descriptors[0]), std::move(datagram.descriptors[1]),
                                 std::move(datagram.descriptors[2]), std::move(datagram.descriptors[3])};
  worker.build = hello.build;
  worker.level = hello.level;
  worker.happen(WorkerEvent::SaysHello, fmt::format("build {}", hello.build));
  introduce_to_peers(worker);
}

void ControlMessages::introduce_to_peers(Worker& worker) {
  // Welcome ends the list of peers. The others hear of it after that, so that nobody writes to the newcomer's
  // ring of readers before the newcomer knows everybody.
  slots_.each_worker([&](Worker& peer) {
    if (&peer != &worker && peer.memory) introduce(peer, worker);
  });
  worker.tell(ipc::Welcome{});
  slots_.each_worker([&](Worker& peer) {
    if (&peer != &worker && peer.memory) introduce(worker, peer);
  });
}

void ControlMessages::take_ready(Worker& worker, const ipc::Ready&, ipc::Datagram&) {
  using std::chrono::milliseconds;
  worker.ready_since = std::chrono::steady_clock::now();
  worker.deadline.cancel();
  worker.happen(
      WorkerEvent::SaysReady,
      fmt::format("after {} ms",
                  std::chrono::duration_cast<milliseconds>(worker.ready_since - worker.born).count()));
  if (slots_.stopping()) return seats_.drain(worker, "stop");
  if (events_.on_ready(worker)) return;
  seats_.seat(worker);
}

void ControlMessages::take_signalled(Worker& worker, const ipc::Signalled&, ipc::Datagram&) {
  log(Level::Info, fmt::format("{}: somebody has sent it SIGTERM", worker.name()));
  worker.tell(ipc::GoOn{});
  events_.on_signalled(worker);
}

void ControlMessages::take_progress(Worker& worker, const ipc::DrainProgress& progress, ipc::Datagram&) {
  if (worker.state() != WorkerState::Draining) note_own_drain(worker);
  worker.progress = progress;
  events_.on_progress(worker);
}

/// Somebody has sent it SIGTERM, and nobody answered it in time: it drains.
void ControlMessages::note_own_drain(Worker& worker) {
  seats_.note_drain(worker, "by itself: SIGTERM, and no answer of ours");
  const Slot& slot = slots_.at(worker.who().slot);
  if (slots_.wants_worker(slot)) starts_.start(slot);
  routes_.update();
}

void ControlMessages::channel_closed(Worker& worker, std::string_view why) {
  worker.on_message.reset();
  endings_.limit_exit(worker, std::string(why));
}

}  // namespace limpet::supervisor
