#include "ipc/messages/ctl.h"

#include "base/limits.h"
#include "base/overloaded.h"
#include "ipc/messages/wire.h"

namespace limpet::ipc {
namespace {

constexpr std::size_t kWorkersOfSlotLimit = 64;

// ---- writing ----

void put(wire::WorkerStatus::Builder to, const WorkerStatus& worker) {
  to.setSlot(worker.slot);
  to.setLane(worker.lane);
  to.setGeneration(worker.generation);
  to.setPid(worker.pid);
  to.setState(Text(worker.state));
  to.setSeated(worker.seated);
  to.setAge(worker.age.count());
  to.setSinceBeat(worker.since_beat.count());
  to.setSessions(worker.sessions);
}

void put(wire::SlotStatus::Builder to, const SlotStatus& slot) {
  to.setSlot(slot.slot);
  to.setState(Text(slot.state));
  to.setDeaths(slot.deaths);
  to.setNextStart(slot.next_start.count());
  to.setLastObituary(Text(slot.last_obituary));
  auto workers = to.initWorkers(length(slot.workers.size(), kWorkersOfSlotLimit));
  for (unsigned int i = 0; i < workers.size(); ++i) put(workers[i], slot.workers[i]);
}

void put(wire::StatusReply::Builder to, const StatusReply& status) {
  to.setVersion(Text(status.version));
  to.setPid(status.pid);
  to.setUptime(status.uptime.count());
  to.setApplication(Text(status.application));
  to.setRuntimeDir(Text(status.runtime_dir));
  to.setOperation(Text(status.operation));
  auto listeners = to.initListeners(length(status.listeners.size(), kListenersLimit));
  for (unsigned int i = 0; i < listeners.size(); ++i) listeners.set(i, Text(status.listeners[i]));
  auto slots = to.initSlots(length(status.slots.size(), base::kSlotLimit));
  for (unsigned int i = 0; i < slots.size(); ++i) put(slots[i], status.slots[i]);
  to.setBinary(Text(status.binary));
}

void put(wire::CounterReport::Builder to, const CounterReport& counter) {
  to.setName(Text(counter.name));
  to.setUnit(Text(counter.unit));
  to.setHelp(Text(counter.help));
  to.setIsGauge(counter.is_gauge);
  to.setTotal(counter.total);
  auto by_slot = to.initBySlot(length(counter.by_slot.size(), base::kSlotLimit));
  for (unsigned int i = 0; i < by_slot.size(); ++i) by_slot.set(i, counter.by_slot[i]);
}

void put(wire::StatsReply::Builder to, const StatsReply& stats) {
  auto counters = to.initCounters(length(stats.counters.size(), kCountersLimit));
  for (unsigned int i = 0; i < counters.size(); ++i) put(counters[i], stats.counters[i]);
}

void put(wire::Done::Builder to, const Done& done) {
  to.setExitCode(done.exit_code);
  to.setLine(Text(done.line));
}

// ---- reading ----

WorkerStatus read(const Door& door, wire::WorkerStatus::Reader from) {
  return {.slot = door.slot(from.getSlot()),
          .lane = door.lane(from.getLane()),
          .generation = from.getGeneration(),
          .pid = from.getPid(),
          .state = door.text(from.getState(), "state of a worker"),
          .seated = from.getSeated(),
          .age = door.duration(from.getAge(), "age"),
          .since_beat = door.duration(from.getSinceBeat(), "time since the last beat"),
          .sessions = from.getSessions()};
}

SlotStatus read(const Door& door, wire::SlotStatus::Reader from) {
  SlotStatus slot{.slot = door.slot(from.getSlot()),
                  .state = door.text(from.getState(), "state of a slot"),
                  .deaths = from.getDeaths(),
                  .next_start = door.duration(from.getNextStart(), "time to the next start"),
                  .last_obituary = door.text(from.getLastObituary(), "last obituary"),
                  .workers = {}};
  for (const auto worker : door.list(from.getWorkers(), kWorkersOfSlotLimit, "workers"))
    slot.workers.push_back(read(door, worker));
  return slot;
}

StatusReply read(const Door& door, wire::StatusReply::Reader from) {
  StatusReply status{.version = door.text(from.getVersion(), "version"),
                     .pid = from.getPid(),
                     .uptime = door.duration(from.getUptime(), "uptime"),
                     .application = door.text(from.getApplication(), "application"),
                     .runtime_dir = door.text(from.getRuntimeDir(), "runtime dir"),
                     .operation = door.text(from.getOperation(), "operation"),
                     .listeners = {},
                     .slots = {},
                     .binary = door.text(from.getBinary(), "binary")};
  for (const auto listener : door.list(from.getListeners(), kListenersLimit, "listeners"))
    status.listeners.push_back(door.text(listener, "listener"));
  for (const auto slot : door.list(from.getSlots(), base::kSlotLimit, "slots"))
    status.slots.push_back(read(door, slot));
  return status;
}

CounterReport read(const Door& door, wire::CounterReport::Reader from) {
  CounterReport counter{.name = door.text(from.getName(), "name of a counter"),
                        .unit = door.text(from.getUnit(), "unit of a counter"),
                        .help = door.text(from.getHelp(), "help of a counter"),
                        .is_gauge = from.getIsGauge(),
                        .total = from.getTotal(),
                        .by_slot = {}};
  for (const auto value : door.list(from.getBySlot(), base::kSlotLimit, "values by slot"))
    counter.by_slot.push_back(value);
  return counter;
}

StatsReply read(const Door& door, wire::StatsReply::Reader from) {
  StatsReply stats;
  for (const auto counter : door.list(from.getCounters(), kCountersLimit, "counters"))
    stats.counters.push_back(read(door, counter));
  return stats;
}

Done read(const Door& door, wire::Done::Reader from) {
  return {.exit_code = from.getExitCode(), .line = door.text(from.getLine(), "line")};
}

// ---- envelopes ----

CtlRequest open(const Datagram& datagram, wire::CtlRequest::Reader from) {
  switch (from.which()) {
    case wire::CtlRequest::HELLO:
      return Door("CtlHello", from.hasHello(), datagram, 0)
          .admit(CtlHello{.protocol_version = from.getHello().getProtocolVersion()});
    case wire::CtlRequest::STATUS:
      return Door("StatusRequest", from.hasStatus(), datagram, 0).admit(StatusRequest{});
    case wire::CtlRequest::STATS:
      return Door("StatsRequest", from.hasStats(), datagram, 0).admit(StatsRequest{});
    case wire::CtlRequest::RELOAD:
      return Door("ReloadRequest", from.hasReload(), datagram, 0).admit(ReloadRequest{});
    case wire::CtlRequest::STOP:
      return Door("StopRequest", from.hasStop(), datagram, 0)
          .admit(StopRequest{.at_once = from.getStop().getAtOnce()});
    case wire::CtlRequest::UPGRADE:
      return Door("UpgradeRequest", from.hasUpgrade(), datagram, 0).admit(UpgradeRequest{});
    case wire::CtlRequest::SCALE:
      return Door("ScaleRequest", from.hasScale(), datagram, 0)
          .admit(ScaleRequest{.workers = from.getScale().getWorkers()});
  }
  refuse_unknown(from.which());
}

CtlReply open(const Datagram& datagram, wire::CtlReply::Reader from) {
  switch (from.which()) {
    case wire::CtlReply::HELLO:
      return Door("CtlHello", from.hasHello(), datagram, 0)
          .admit(CtlHello{.protocol_version = from.getHello().getProtocolVersion()});
    case wire::CtlReply::STATUS:
      return read(Door("StatusReply", from.hasStatus(), datagram, 0), from.getStatus());
    case wire::CtlReply::STATS:
      return read(Door("StatsReply", from.hasStats(), datagram, 0), from.getStats());
    case wire::CtlReply::PROGRESS: {
      const Door door("Progress", from.hasProgress(), datagram, 0);
      return Progress{.line = door.text(from.getProgress().getLine(), "line")};
    }
    case wire::CtlReply::DONE:
      return read(Door("Done", from.hasDone(), datagram, 0), from.getDone());
  }
  refuse_unknown(from.which());
}

}  // namespace

// ---- the door ----

std::vector<std::byte> encode(const CtlRequest& message) {
  capnp::MallocMessageBuilder builder;
  auto to = builder.initRoot<wire::CtlRequest>();
  std::visit(base::Overloaded{
                 [&](const CtlHello& hello) { to.initHello().setProtocolVersion(hello.protocol_version); },
                 [&](const StatusRequest&) { to.initStatus(); }, [&](const StatsRequest&) { to.initStats(); },
                 [&](const ReloadRequest&) { to.initReload(); },
                 [&](const StopRequest& stop) { to.initStop().setAtOnce(stop.at_once); },
                 [&](const UpgradeRequest&) { to.initUpgrade(); },
                 [&](const ScaleRequest& scale) { to.initScale().setWorkers(scale.workers); }},
             message);
  return bytes_of(builder);
}

std::vector<std::byte> encode(const CtlReply& message) {
  capnp::MallocMessageBuilder builder;
  auto to = builder.initRoot<wire::CtlReply>();
  std::visit(base::Overloaded{
                 [&](const CtlHello& hello) { to.initHello().setProtocolVersion(hello.protocol_version); },
                 [&](const StatusReply& status) { put(to.initStatus(), status); },
                 [&](const StatsReply& stats) { put(to.initStats(), stats); },
                 [&](const Progress& progress) { to.initProgress().setLine(Text(progress.line)); },
                 [&](const Done& done) { put(to.initDone(), done); }},
             message);
  return bytes_of(builder);
}

std::optional<CtlRequest> decode_ctl_request(const Datagram& datagram, std::string* why) {
  return decode<wire::CtlRequest>(datagram, why,
                                  [&](wire::CtlRequest::Reader from) { return open(datagram, from); });
}

std::optional<CtlReply> decode_ctl_reply(const Datagram& datagram, std::string* why) {
  return decode<wire::CtlReply>(datagram, why,
                                [&](wire::CtlReply::Reader from) { return open(datagram, from); });
}

}  // namespace limpet::ipc
