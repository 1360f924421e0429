// What workers say on their control channels, and what follows from it.
#include <fmt/format.h>
#include <signal.h>

#include <tuple>

#include "ipc/messages/codec.h"
#include "supervisor/cluster/cluster.h"
#include "supervisor/cluster/rules.h"
#include "supervisor/system/log.h"

namespace limpet::supervisor {
namespace {

/// A worker that closed its channel, or says that it failed, is about to exit; one that does not is helped.
constexpr std::chrono::milliseconds kExitGrace{2000};
/// Messages of one worker per wake-up, so that one that floods its channel cannot starve the others.
constexpr int kMessagesPerTurn = 64;

}  // namespace

void Cluster::read_messages(Worker& worker) {
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
        return put_down(worker, Ending::ByMessage, Cause::NotStarted,
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
struct Cluster::Row {
  std::string_view name;
  RulesByState rules;
  void (Cluster::*take)(Worker& worker, const Message& message, ipc::Datagram& datagram);
};

struct Cluster::Messages {
  static constexpr Rule A = Rule::Allowed;
  static constexpr Rule I = Rule::Ignored;
  static constexpr Rule D = Rule::Drop;

  // Columns: spawned, attaching, ready, serving, draining, stopping, dead. A message without a row does not
  // compile.
  static constexpr std::tuple kRows = {
      Row<ipc::Hello>{"hello", kHelloRules, &Cluster::welcome},
      Row<ipc::Ready>{"ready", kReadyRules, &Cluster::take_ready},
      // In every state: for the obituary of one that ends itself.
      Row<ipc::Failed>{"failed", {A, A, A, A, A, A, A}, &Cluster::take_failure},
      // While it serves: nobody has answered its Signalled in time.
      Row<ipc::DrainProgress>{"drain progress", {D, D, A, A, A, I, I}, &Cluster::take_progress},
      Row<ipc::Leaving>{"leaving", {A, A, A, A, A, A, A}, &Cluster::take_leaving},
      Row<ipc::BucketsMoved>{"buckets moved", {D, D, D, A, A, I, I}, &Cluster::take_buckets_moved},
      Row<ipc::Signalled>{"signalled", {D, A, A, A, I, I, I}, &Cluster::take_signalled},
  };
};

void Cluster::take_message(Worker& worker, ipc::Datagram& datagram) {
  std::string why;
  const auto message = ipc::decode_worker_message(datagram, &why);
  if (!message)
    return put_down(worker, Ending::Aborted, Cause::Misbehaved,
                    fmt::format("sent an invalid message: {}", why));
  std::visit([&]<class Message>(const Message& body) { take(worker, body, datagram); }, *message);
}

template <class Message>
void Cluster::take(Worker& worker, const Message& message, ipc::Datagram& datagram) {
  const Row<Message>& row = std::get<Row<Message>>(Messages::kRows);
  switch (row.rules.in(worker.state())) {
    case Rule::Allowed:
      return (this->*row.take)(worker, message, datagram);
    case Rule::Ignored:
      return;
    case Rule::Drop:
      return put_down(worker, Ending::Aborted, Cause::Misbehaved,
                      fmt::format("said '{}' while {}", row.name, to_text(worker.state())));
  }
}

void Cluster::take_failure(Worker& worker, const ipc::Failed& failed, ipc::Datagram&) {
  worker.last_words = failed.reason;
  if (worker.is_booting()) channel_closed(worker, "said that it cannot start");
}

void Cluster::take_leaving(Worker& worker, const ipc::Leaving& leaving, ipc::Datagram&) {
  worker.progress = ipc::DrainProgress{0, leaving.moved, leaving.drained};
}

void Cluster::take_buckets_moved(Worker& worker, const ipc::BucketsMoved& moved, ipc::Datagram&) {
  if (on_buckets_moved) on_buckets_moved(worker, moved);
}

void Cluster::welcome(Worker& worker, const ipc::Hello& hello, ipc::Datagram& datagram) {
  if (hello.protocol_version != ipc::kProtocolVersion || hello.who != worker.who()) {
    return put_down(worker, Ending::ByMessage, Cause::Misbehaved,
                    fmt::format("says hello with protocol {} of build {} as slot {} lane {} gen {}; this "
                                "supervisor speaks protocol {}",
                                hello.protocol_version, hello.build, hello.who.slot, hello.who.lane,
                                hello.who.generation, ipc::kProtocolVersion));
  }
  std::string why;
  worker.counters = ipc::CounterView::map(datagram.descriptors[2], worker.who(), &why);
  if (!worker.counters)
    return put_down(worker, Ending::ByMessage, Cause::Misbehaved, fmt::format("its counters: {}", why));
  worker.memory = Worker::Memory{std::move(datagram.descriptors[0]), std::move(datagram.descriptors[1]),
                                 std::move(datagram.descriptors[2]), std::move(datagram.descriptors[3])};
  worker.build = hello.build;
  worker.level = hello.level;
  worker.happen(WorkerEvent::SaysHello, fmt::format("build {}", hello.build));
  // Welcome ends the list of peers. The others hear of it after that, so that nobody writes to the newcomer's
  // ring of readers before the newcomer knows everybody.
  each_worker([&](Worker& peer) {
    if (&peer != &worker && peer.memory) introduce(peer, worker);
  });
  worker.tell(ipc::Welcome{});
  each_worker([&](Worker& peer) {
    if (&peer != &worker && peer.memory) introduce(worker, peer);
  });
}

void Cluster::introduce(const Worker& known, Worker& to) {
  to.tell(ipc::PeerJoined{known.who()},
          {known.memory->ring.get(), known.memory->reader_page.get(), known.memory->doorbell.get()});
}

void Cluster::take_ready(Worker& worker, const ipc::Ready&, ipc::Datagram&) {
  using std::chrono::milliseconds;
  worker.ready_since = std::chrono::steady_clock::now();
  worker.deadline.cancel();
  worker.happen(
      WorkerEvent::SaysReady,
      fmt::format("after {} ms",
                  std::chrono::duration_cast<milliseconds>(worker.ready_since - worker.born).count()));
  if (stopping_) return drain(worker, "stop");
  if (on_ready && on_ready(worker)) return;
  seat(worker);
}

void Cluster::take_signalled(Worker& worker, const ipc::Signalled&, ipc::Datagram&) {
  log(Level::Info, fmt::format("{}: somebody has sent it SIGTERM", worker.name()));
  worker.tell(ipc::GoOn{});
  if (on_signalled) on_signalled(worker);
}

void Cluster::take_progress(Worker& worker, const ipc::DrainProgress& progress, ipc::Datagram&) {
  if (worker.state() != WorkerState::Draining) note_own_drain(worker);
  worker.progress = progress;
  if (on_drain_progress) on_drain_progress(worker);
}

/// Somebody has sent it SIGTERM, and nobody answered it in time: it drains.
void Cluster::note_own_drain(Worker& worker) {
  worker.happen(WorkerEvent::IsToDrain, "by itself: SIGTERM, and no answer of ours");
  limit_drain(worker, program_->options.drain_deadline);
  Slot& slot = *slots_.at(worker.who().slot);
  std::string why;
  if (!stopping_ && !slot.closing && !slot.has_prospect()) (void)start_worker(slot.number, program_, &why);
  update_routes();
}

void Cluster::channel_closed(Worker& worker, std::string_view why) {
  worker.on_message.reset();
  // One that drains keeps its own deadline.
  if (worker.state() == WorkerState::Draining || worker.state() == WorkerState::Stopping) return;
  worker.deadline.start(kExitGrace, [this, &worker, text = std::string(why)] {
    if (!worker.has_ended()) put_down(worker, Ending::Aborted, Cause::Misbehaved, text + " and did not exit");
  });
}

}  // namespace limpet::supervisor
