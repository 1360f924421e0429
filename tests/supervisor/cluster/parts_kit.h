// The parts of a cluster put together as Cluster does, for tests of one of them: real listening sockets and
// shared memory, workers without a process (tests/supervisor/cluster/workers_kit.h). Of the program no
// process can be started.
#pragma once

#include <string>
#include <vector>

#include "supervisor/cluster/buckets.h"
#include "supervisor/cluster/control_messages.h"
#include "supervisor/cluster/deaths.h"
#include "supervisor/cluster/heartbeats.h"
#include "tests/supervisor/cluster/workers_kit.h"

namespace limpet::supervisor {

/// Writes down what it hears.
class EventsHeard final : public ClusterEvents {
 public:
  bool on_ready(Worker& worker) override {
    note("ready", worker);
    return takes_the_ready;
  }
  void on_seated(const Worker& worker) override { note("seated", worker); }
  void on_progress(const Worker& worker) override { note("progress", worker); }
  void on_buckets_moved(const Worker& worker, const ipc::BucketsMoved&) override { note("moved", worker); }
  void on_gone(const Worker& worker, Cause cause, const std::string& its_obituary) override {
    note("gone", worker);
    last_cause = cause;
    obituary = its_obituary;
  }
  void on_signalled(const Worker& worker) override { note("signalled", worker); }
  void on_held(const std::string&) override { heard.emplace_back("held"); }
  void on_all_seated() override { heard.emplace_back("all seated"); }
  void on_empty() override { heard.emplace_back("empty"); }

  std::vector<std::string> heard;
  bool takes_the_ready = false;
  Cause last_cause = Cause::Left;
  std::string obituary;

 private:
  void note(const std::string& what, const Worker& worker) {
    heard.push_back(what + " " + std::to_string(worker.who().generation));
  }
};

class PartsKit : private Watcher {
 public:
  static constexpr std::uint16_t kCapacity = 4;

  explicit PartsKit(std::uint16_t open, const Options& its_options = {})
      : program(program_of(its_options)), totals(open), slots(loop, open) {
    buckets.assign_all();
    routes.begin();
  }

  /// With the next generation; the first is 1. What it says can be read.
  Worker& add(std::uint16_t slot, WorkerState state = WorkerState::Serving) {
    Worker& worker = workers.add(slots, slot, program, state);
    watch(worker);
    return worker;
  }
  std::vector<std::string> told(const Worker& worker) { return workers.told(worker); }

  Loop loop;  ///< can run once
  WorkersKit workers{loop};
  EventsHeard events;
  Listeners listeners{{loopback()}, kCapacity, std::chrono::milliseconds(0), 1};
  Births births{loop, listeners, kCapacity, {}};
  SharedProgram program;
  Totals totals;
  Slots slots;
  Routes routes{slots, listeners, births.board()};
  Lending lending{slots, births, listeners};
  Endings endings{*this, routes, events};
  Starts starts{slots, births, totals, routes, endings, *this, program};
  Seats seats{slots, lending, routes, endings, events, program};
  Buckets buckets{slots, births, lending, routes, program};
  Deaths deaths{slots, births, totals, starts, routes, endings, events};
  ControlMessages messages{slots, seats, starts, endings, routes, events};

 private:
  static ListenAddress loopback() {
    std::string why;
    return {.address = base::parse_address("tcp://127.0.0.1:0", &why).value()};
  }
  void watch(Worker& worker) override {
    worker.on_message = std::make_unique<Readiness>(loop, worker.channel.descriptor(), Readiness::Kind::Read,
                                                    [this, &worker] { messages.read(worker); });
  }
  void read_messages(Worker& worker) override { messages.read(worker); }
};

}  // namespace limpet::supervisor
