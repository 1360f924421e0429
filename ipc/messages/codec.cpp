#include "ipc/messages/codec.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <fmt/format.h>
#include <kj/exception.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/overloaded.h"
#include "limpet.capnp.h"

// A body is written by an overload of `put` and read by an overload of `read`; envelopes choose between them.
// Every value of a peer goes through the Door, which knows the limits that schema/limpet.capnp promises.
namespace limpet::ipc {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kTextLimitBytes = 64u << 10;
constexpr std::size_t kWorkersOfSlotLimit = 64;
constexpr std::size_t kListenersLimit = 1024;
constexpr std::size_t kCountersLimit = 4096;
constexpr std::size_t kClientsLimit = 64;
constexpr std::size_t kProgramsLimit = 1024;
constexpr std::size_t kOptionsLimit = 1024;
constexpr std::size_t kArgumentsLimit = 4096;
constexpr int kNestingLimit = 16;

// ---- writing ----

/// Cut at the limit: a long exception text becomes a shorter line, not a refused message.
class Text {
 public:
  explicit Text(const std::string& whole) : cut_(whole, 0, kTextLimitBytes) {}
  operator capnp::Text::Reader() const { return {cut_.c_str(), cut_.size()}; }

 private:
  std::string cut_;
};

/// A list of our own making: the reader would refuse a longer one.
template <class Items>
unsigned int length(const Items& items, std::size_t limit) {
  CHECK(items.size() <= limit, fmt::format("{} items in a list that takes {}", items.size(), limit));
  return static_cast<unsigned int>(items.size());
}

std::vector<std::byte> bytes_of(capnp::MessageBuilder& builder) {
  const auto words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asBytes();
  std::vector<std::byte> copy(bytes.size());
  std::memcpy(copy.data(), bytes.begin(), bytes.size());
  return copy;
}

void put(wire::Incarnation::Builder to, const Incarnation& who) {
  to.setSlot(who.slot);
  to.setLane(who.lane);
  to.setGeneration(who.generation);
}

void put(wire::Hello::Builder to, const Hello& hello) {
  to.setProtocolVersion(hello.protocol_version);
  to.setBuild(Text(hello.build));
  put(to.initWho(), hello.who);
  to.setLevel(hello.level);
}

void put(wire::Welcome::Builder to, const Welcome& welcome) {
  to.setProtocolVersion(welcome.protocol_version);
  to.setLevel(welcome.level);
}

void put(wire::Drain::Builder to, const Drain& drain) {
  to.setWindow(drain.window.count());
  to.setDeadline(drain.deadline.count());
}

void put(wire::Migrate::Builder to, const Migrate& migrate) {
  to.setWindow(migrate.window.count());
  to.setDeadline(migrate.deadline.count());
}

void put(wire::DrainProgress::Builder to, const DrainProgress& progress) {
  to.setSessionsLeft(progress.sessions_left);
  to.setMoved(progress.moved);
  to.setDrained(progress.drained);
}

void put(wire::Leaving::Builder to, const Leaving& leaving) {
  to.setMoved(leaving.moved);
  to.setDrained(leaving.drained);
}

void put(wire::BucketsMoved::Builder to, const BucketsMoved& moved) {
  to.setToSlot(moved.to_slot);
  to.setMoved(moved.moved);
  to.setDrained(moved.drained);
}

void put(wire::MoveBuckets::Builder to, const MoveBuckets& move) {
  to.setToSlot(move.to_slot);
  to.setWindow(move.window.count());
  to.setDeadline(move.deadline.count());
}

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
  auto workers = to.initWorkers(length(slot.workers, kWorkersOfSlotLimit));
  for (unsigned int i = 0; i < workers.size(); ++i) put(workers[i], slot.workers[i]);
}

void put(wire::StatusReply::Builder to, const StatusReply& status) {
  to.setVersion(Text(status.version));
  to.setPid(status.pid);
  to.setUptime(status.uptime.count());
  to.setApplication(Text(status.application));
  to.setRuntimeDir(Text(status.runtime_dir));
  to.setOperation(Text(status.operation));
  auto listeners = to.initListeners(length(status.listeners, kListenersLimit));
  for (unsigned int i = 0; i < listeners.size(); ++i) listeners.set(i, Text(status.listeners[i]));
  auto slots = to.initSlots(length(status.slots, base::kSlotLimit));
  for (unsigned int i = 0; i < slots.size(); ++i) put(slots[i], status.slots[i]);
  to.setBinary(Text(status.binary));
}

void put(wire::CounterReport::Builder to, const CounterReport& counter) {
  to.setName(Text(counter.name));
  to.setUnit(Text(counter.unit));
  to.setHelp(Text(counter.help));
  to.setIsGauge(counter.is_gauge);
  to.setTotal(counter.total);
  auto by_slot = to.initBySlot(length(counter.by_slot, base::kSlotLimit));
  for (unsigned int i = 0; i < by_slot.size(); ++i) by_slot.set(i, counter.by_slot[i]);
}

void put(wire::StatsReply::Builder to, const StatsReply& stats) {
  auto counters = to.initCounters(length(stats.counters, kCountersLimit));
  for (unsigned int i = 0; i < counters.size(); ++i) put(counters[i], stats.counters[i]);
}

void put(wire::Done::Builder to, const Done& done) {
  to.setExitCode(done.exit_code);
  to.setLine(Text(done.line));
}

// ---- writing: the supervisor's state ----

void put(wire::NamedNumber::Builder to, const NamedNumber& from);
void put(wire::NamedValues::Builder to, const NamedValues& from);
void put(wire::ProgramState::Builder to, const ProgramState& from);
void put(wire::ListenerState::Builder to, const ListenerState& from);
void put(wire::SlotState::Builder to, const SlotState& from);
void put(wire::WorkerState::Builder to, const WorkerState& from);

void put(wire::NamedNumber::Builder to, const NamedNumber& from) {
  to.setName(Text(from.name));
  to.setNumber(from.number);
}

template <class Builder, class Items>
void put_texts(Builder to, const Items& from) {
  for (unsigned int i = 0; i < to.size(); ++i) to.set(i, Text(from[i]));
}
template <class Builder, class Items>
void put_numbers(Builder to, const Items& from) {
  for (unsigned int i = 0; i < to.size(); ++i) to.set(i, from[i]);
}
template <class Builder, class Items>
void put_each(Builder to, const Items& from) {
  for (unsigned int i = 0; i < to.size(); ++i) put(to[i], from[i]);
}

void put(wire::NamedValues::Builder to, const NamedValues& from) {
  to.setName(Text(from.name));
  put_texts(to.initValues(length(from.values, kListenersLimit)), from.values);
}

void put(wire::FileMark::Builder to, const FileMark& from) {
  to.setDevice(from.device);
  to.setInode(from.inode);
  to.setSize(from.size);
  to.setModifiedNs(from.modified_ns);
}

void put(wire::ProgramState::Builder to, const ProgramState& from) {
  put_each(to.initOptions(length(from.options, kOptionsLimit)), from.options);
  put_texts(to.initApplication(length(from.application, kArgumentsLimit)), from.application);
  to.setExecutable(Text(from.executable));
  put_texts(to.initArguments(length(from.arguments, kArgumentsLimit)), from.arguments);
  to.setImage(from.image);
  to.setSettings(from.settings);
  to.setDirectory(from.directory);
  put(to.initMark(), from.mark);
}

void put(wire::ListenerState::Builder to, const ListenerState& from) {
  to.setAddress(Text(from.address));
  put_numbers(to.initSockets(length(from.sockets, base::kSlotLimit)), from.sockets);
}

void put(wire::SlotState::Builder to, const SlotState& from) {
  to.setInboxReceiving(from.inbox_receiving);
  to.setInboxSending(from.inbox_sending);
  to.setDeathsInARow(from.deaths_in_a_row);
  to.setNextStart(from.next_start.count());
  to.setVacantSince(from.vacant_since.count());
  to.setDeaths(from.deaths);
  to.setLastObituary(Text(from.last_obituary));
  to.setStarts(from.starts);
  put_each(to.initEnds(length(from.ends, kCountersLimit)), from.ends);
  put_each(to.initRetired(length(from.retired, kCountersLimit)), from.retired);
}

void put(wire::WorkerState::Builder to, const WorkerState& from) {
  put(to.initWho(), from.who);
  to.setPid(from.pid);
  to.setState(Text(from.state));
  to.setProgram(from.program);
  to.setPidfd(from.pidfd);
  to.setControl(from.control);
  to.setRing(from.ring);
  to.setReaderPage(from.reader_page);
  to.setCounters(from.counters);
  to.setDoorbell(from.doorbell);
  to.setGiverEnd(from.giver_end);
  to.setBorn(from.born.count());
  to.setReadySince(from.ready_since.count());
  to.setDrainedBy(from.drained_by.count());
  to.setIsMoving(from.is_moving);
  to.setHasProgress(from.has_progress);
  put(to.initProgress(), from.progress);
  to.setCause(Text(from.cause));
  to.setCauseText(Text(from.cause_text));
  to.setEndedWhile(Text(from.ended_while));
  to.setLastWords(Text(from.last_words));
  to.setLevel(from.level);
}

void put(wire::SupervisorState::Builder to, const SupervisorState& from) {
  to.setVersion(from.version);
  to.setProtocolVersion(from.protocol_version);
  to.setBuild(Text(from.build));
  to.setBinary(Text(from.binary));
  to.setRuntimeDir(Text(from.runtime_dir));
  to.setStarted(from.started.count());
  to.setAnnounced(from.announced);
  to.setReloadAgain(from.reload_again);
  to.setLastGeneration(from.last_generation);
  put_numbers(to.initFreeLanes(length(from.free_lanes, base::kLaneLimit)), from.free_lanes);
  put_numbers(to.initBucketOwners(length(from.bucket_owners, base::kSlotLimit)), from.bucket_owners);
  to.setLock(from.lock);
  to.setControlSocket(from.control_socket);
  put_numbers(to.initClients(length(from.clients, kClientsLimit)), from.clients);
  put_each(to.initPrograms(length(from.programs, kProgramsLimit)), from.programs);
  put_each(to.initListeners(length(from.listeners, kListenersLimit)), from.listeners);
  put_each(to.initSlots(length(from.slots, base::kSlotLimit)), from.slots);
  put_each(to.initWorkers(length(from.workers, base::kLaneLimit)), from.workers);
  to.setOpenSlots(from.open_slots);
  to.setUsedSlots(from.used_slots);
  to.setDescriptorLimit(from.descriptor_limit);
  to.setPlacementSeed(from.placement_seed);
  to.setStartDirectory(Text(from.start_directory));
  put(to.initImage(), from.image);
}

// ---- reading ----

/// A message beyond the limits of the schema. Never leaves this file.
class Refusal : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What one message has to pass; `name` is that of its body, and begins every reason.
class Door {
 public:
  Door(const char* name, bool has_body, const Datagram& datagram, std::size_t wants_descriptors)
      : name_(name) {
    if (!has_body) refuse("has no body");
    const std::size_t got = datagram.descriptors.size();
    const bool some_were_lost = datagram.descriptors_lost && got < wants_descriptors;
    if (got != wants_descriptors && !some_were_lost)
      refuse(fmt::format("wants {} descriptors, got {}", wants_descriptors, got));
  }

  [[nodiscard]] std::string text(capnp::Text::Reader from, const char* field) const {
    check_limit(from.size(), kTextLimitBytes, field, "bytes");
    return {from.begin(), from.size()};
  }
  [[nodiscard]] std::string bytes(capnp::Data::Reader from, std::size_t limit, const char* field) const {
    check_limit(from.size(), limit, field, "bytes");
    return {reinterpret_cast<const char*>(from.begin()), from.size()};
  }
  [[nodiscard]] milliseconds duration(std::int64_t from, const char* field) const {
    if (from < 0) refuse(fmt::format("{} is negative: {} ms", field, from));
    if (from > base::kLongestAge.count()) refuse(fmt::format("{} is over 100 years: {} ms", field, from));
    return milliseconds(from);
  }
  [[nodiscard]] std::uint16_t slot(std::uint16_t from) const {
    return number_below(from, base::kSlotLimit, "slot");
  }
  [[nodiscard]] std::uint16_t lane(std::uint16_t from) const {
    return number_below(from, base::kLaneLimit, "lane");
  }
  [[nodiscard]] Incarnation incarnation(wire::Incarnation::Reader from) const {
    return {.slot = slot(from.getSlot()), .lane = lane(from.getLane()), .generation = from.getGeneration()};
  }
  template <class List>
  [[nodiscard]] List list(List from, std::size_t limit, const char* field) const {
    check_limit(from.size(), limit, field, "items");
    return from;
  }
  /// A body whose values need no check.
  template <class Body>
  [[nodiscard]] Body admit(Body body) const {
    return body;
  }
  [[noreturn]] void refuse(std::string_view reason) const {
    throw Refusal(fmt::format("{}: {}", name_, reason));
  }

 private:
  void check_limit(std::size_t size, std::size_t limit, const char* field, const char* unit) const {
    if (size > limit) refuse(fmt::format("{} has {} {}, the limit is {}", field, size, unit, limit));
  }
  [[nodiscard]] std::uint16_t number_below(std::uint16_t value, std::uint16_t limit,
                                           const char* field) const {
    if (value >= limit) refuse(fmt::format("{} is {}, must be below {}", field, value, limit));
    return value;
  }

  const char* name_;
};

Hello read(const Door& door, wire::Hello::Reader from) {
  return {.protocol_version = from.getProtocolVersion(),
          .build = door.text(from.getBuild(), "build"),
          .who = door.incarnation(from.getWho()),
          .level = from.getLevel()};
}

Drain read(const Door& door, wire::Drain::Reader from) {
  return {.window = door.duration(from.getWindow(), "window"),
          .deadline = door.duration(from.getDeadline(), "deadline")};
}

Migrate read(const Door& door, wire::Migrate::Reader from) {
  return {.window = door.duration(from.getWindow(), "window"),
          .deadline = door.duration(from.getDeadline(), "deadline")};
}

DrainProgress read(const Door&, wire::DrainProgress::Reader from) {
  return {.sessions_left = from.getSessionsLeft(), .moved = from.getMoved(), .drained = from.getDrained()};
}

Leaving read(const Door&, wire::Leaving::Reader from) {
  return {.moved = from.getMoved(), .drained = from.getDrained()};
}

BucketsMoved read(const Door& door, wire::BucketsMoved::Reader from) {
  return {.to_slot = door.slot(from.getToSlot()), .moved = from.getMoved(), .drained = from.getDrained()};
}

MoveBuckets read(const Door& door, wire::MoveBuckets::Reader from) {
  return {.to_slot = door.slot(from.getToSlot()),
          .window = door.duration(from.getWindow(), "window"),
          .deadline = door.duration(from.getDeadline(), "deadline")};
}

HandoverKind read(const Door& door, wire::Handover::Kind from) {
  switch (from) {
    case wire::Handover::Kind::CONNECTION:
      return HandoverKind::Connection;
    case wire::Handover::Kind::REQUEST:
      return HandoverKind::Request;
  }
  door.refuse(fmt::format("unknown kind {}", static_cast<unsigned>(from)));
}

Handover read(const Door& door, wire::Handover::Reader from) {
  return {.kind = read(door, from.getKind()),
          .client_address = door.text(from.getClientAddress(), "client address"),
          .client_port = from.getClientPort(),
          .listener = from.getListener(),
          .bytes = door.bytes(from.getBytes(), kHandoverLimitBytes, "bytes"),
          .placed = from.getPlaced(),
          .by_proxy = from.getByProxy()};
}

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

// ---- reading: the supervisor's state ----

NamedNumber read(const Door& door, wire::NamedNumber::Reader from);
NamedValues read(const Door& door, wire::NamedValues::Reader from);
ProgramState read(const Door& door, wire::ProgramState::Reader from);
ListenerState read(const Door& door, wire::ListenerState::Reader from);
SlotState read(const Door& door, wire::SlotState::Reader from);
WorkerState read(const Door& door, wire::WorkerState::Reader from);

int descriptor(const Door& door, std::int32_t from) {
  if (from < -1) door.refuse(fmt::format("{} is no descriptor", from));
  return from;
}

template <class List>
std::vector<std::string> texts(const Door& door, List from, std::size_t limit, const char* field) {
  std::vector<std::string> result;
  for (const auto each : door.list(from, limit, field)) result.push_back(door.text(each, field));
  return result;
}
template <class List>
std::vector<int> descriptors(const Door& door, List from, std::size_t limit, const char* field) {
  std::vector<int> result;
  for (const auto each : door.list(from, limit, field)) result.push_back(descriptor(door, each));
  return result;
}
template <class List>
std::vector<std::uint16_t> numbers(const Door& door, List from, std::size_t limit, const char* field) {
  std::vector<std::uint16_t> result;
  for (const auto each : door.list(from, limit, field)) result.push_back(each);
  return result;
}

NamedNumber read(const Door& door, wire::NamedNumber::Reader from) {
  return {.name = door.text(from.getName(), "name"), .number = from.getNumber()};
}

NamedValues read(const Door& door, wire::NamedValues::Reader from) {
  return {.name = door.text(from.getName(), "name"),
          .values = texts(door, from.getValues(), kListenersLimit, "values")};
}

/// The structs of a list.
template <class Item, class List>
std::vector<Item> each_of(const Door& door, List from, std::size_t limit, const char* field) {
  std::vector<Item> result;
  for (const auto each : door.list(from, limit, field)) result.push_back(read(door, each));
  return result;
}

FileMark read(wire::FileMark::Reader from) {
  return {.device = from.getDevice(),
          .inode = from.getInode(),
          .size = from.getSize(),
          .modified_ns = from.getModifiedNs()};
}

ProgramState read(const Door& door, wire::ProgramState::Reader from) {
  return {.options = each_of<NamedValues>(door, from.getOptions(), kOptionsLimit, "options"),
          .application = texts(door, from.getApplication(), kArgumentsLimit, "application"),
          .executable = door.text(from.getExecutable(), "executable"),
          .arguments = texts(door, from.getArguments(), kArgumentsLimit, "arguments"),
          .image = descriptor(door, from.getImage()),
          .settings = descriptor(door, from.getSettings()),
          .directory = descriptor(door, from.getDirectory()),
          .mark = read(from.getMark())};
}

ListenerState read(const Door& door, wire::ListenerState::Reader from) {
  return {.address = door.text(from.getAddress(), "address"),
          .sockets = descriptors(door, from.getSockets(), base::kSlotLimit, "sockets")};
}

SlotState read(const Door& door, wire::SlotState::Reader from) {
  return {.inbox_receiving = descriptor(door, from.getInboxReceiving()),
          .inbox_sending = descriptor(door, from.getInboxSending()),
          .deaths_in_a_row = from.getDeathsInARow(),
          .next_start = door.duration(from.getNextStart(), "next start"),
          .vacant_since = door.duration(from.getVacantSince(), "vacant since"),
          .deaths = from.getDeaths(),
          .last_obituary = door.text(from.getLastObituary(), "last obituary"),
          .starts = from.getStarts(),
          .ends = each_of<NamedNumber>(door, from.getEnds(), kCountersLimit, "ends"),
          .retired = each_of<NamedNumber>(door, from.getRetired(), kCountersLimit, "retired")};
}

WorkerState read(const Door& door, wire::WorkerState::Reader from) {
  return {.who = door.incarnation(from.getWho()),
          .pid = from.getPid(),
          .state = door.text(from.getState(), "state"),
          .program = from.getProgram(),
          .pidfd = descriptor(door, from.getPidfd()),
          .control = descriptor(door, from.getControl()),
          .ring = descriptor(door, from.getRing()),
          .reader_page = descriptor(door, from.getReaderPage()),
          .counters = descriptor(door, from.getCounters()),
          .doorbell = descriptor(door, from.getDoorbell()),
          .giver_end = descriptor(door, from.getGiverEnd()),
          .born = door.duration(from.getBorn(), "born"),
          .ready_since = door.duration(from.getReadySince(), "ready since"),
          .drained_by = door.duration(from.getDrainedBy(), "drained by"),
          .is_moving = from.getIsMoving(),
          .has_progress = from.getHasProgress(),
          .progress = read(door, from.getProgress()),
          .cause = door.text(from.getCause(), "cause"),
          .cause_text = door.text(from.getCauseText(), "cause"),
          .ended_while = door.text(from.getEndedWhile(), "ended while"),
          .last_words = door.text(from.getLastWords(), "last words"),
          .level = from.getLevel()};
}

SupervisorState open(const Datagram& file, wire::SupervisorState::Reader from) {
  const Door door("SupervisorState", true, file, 0);
  // Before the rest: another version may mean something else by it.
  if (from.getVersion() != kStateVersion)
    door.refuse(fmt::format("version {}, this build reads {}", from.getVersion(), kStateVersion));
  return {.version = from.getVersion(),
          .protocol_version = from.getProtocolVersion(),
          .build = door.text(from.getBuild(), "build"),
          .binary = door.text(from.getBinary(), "binary"),
          .runtime_dir = door.text(from.getRuntimeDir(), "runtime dir"),
          .started = door.duration(from.getStarted(), "started"),
          .announced = from.getAnnounced(),
          .reload_again = from.getReloadAgain(),
          .last_generation = from.getLastGeneration(),
          .free_lanes = numbers(door, from.getFreeLanes(), base::kLaneLimit, "free lanes"),
          .bucket_owners = numbers(door, from.getBucketOwners(), base::kSlotLimit, "bucket owners"),
          .lock = descriptor(door, from.getLock()),
          .control_socket = descriptor(door, from.getControlSocket()),
          .clients = descriptors(door, from.getClients(), kClientsLimit, "clients"),
          .programs = each_of<ProgramState>(door, from.getPrograms(), kProgramsLimit, "programs"),
          .listeners = each_of<ListenerState>(door, from.getListeners(), kListenersLimit, "listeners"),
          .slots = each_of<SlotState>(door, from.getSlots(), base::kSlotLimit, "slots"),
          .workers = each_of<WorkerState>(door, from.getWorkers(), base::kLaneLimit, "workers"),
          .open_slots = from.getOpenSlots(),
          .used_slots = from.getUsedSlots(),
          .descriptor_limit = from.getDescriptorLimit(),
          .placement_seed = from.getPlacementSeed(),
          .start_directory = door.text(from.getStartDirectory(), "start directory"),
          .image = read(from.getImage())};
}

// ---- envelopes ----

template <class Which>
[[noreturn]] void refuse_unknown(Which which) {
  throw Refusal(fmt::format("unknown message {}", static_cast<unsigned>(which)));
}

WorkerMessage open(const Datagram& datagram, wire::WorkerMessage::Reader from) {
  switch (from.which()) {
    case wire::WorkerMessage::HELLO:
      return read(Door("Hello", from.hasHello(), datagram, 4), from.getHello());
    case wire::WorkerMessage::READY:
      return Door("Ready", from.hasReady(), datagram, 0).admit(Ready{});
    case wire::WorkerMessage::FAILED: {
      const Door door("Failed", from.hasFailed(), datagram, 0);
      return Failed{.reason = door.text(from.getFailed().getReason(), "reason")};
    }
    case wire::WorkerMessage::DRAIN_PROGRESS:
      return read(Door("DrainProgress", from.hasDrainProgress(), datagram, 0), from.getDrainProgress());
    case wire::WorkerMessage::LEAVING:
      return read(Door("Leaving", from.hasLeaving(), datagram, 0), from.getLeaving());
    case wire::WorkerMessage::BUCKETS_MOVED:
      return read(Door("BucketsMoved", from.hasBucketsMoved(), datagram, 0), from.getBucketsMoved());
    case wire::WorkerMessage::SIGNALLED:
      return Door("Signalled", from.hasSignalled(), datagram, 0).admit(Signalled{});
  }
  refuse_unknown(from.which());
}

SupervisorMessage open(const Datagram& datagram, wire::SupervisorMessage::Reader from) {
  switch (from.which()) {
    case wire::SupervisorMessage::WELCOME:
      return Door("Welcome", from.hasWelcome(), datagram, 0)
          .admit(Welcome{.protocol_version = from.getWelcome().getProtocolVersion(),
                         .level = from.getWelcome().getLevel()});
    case wire::SupervisorMessage::PEER_JOINED: {
      const Door door("PeerJoined", from.hasPeerJoined(), datagram, 3);
      return PeerJoined{.who = door.incarnation(from.getPeerJoined().getWho())};
    }
    case wire::SupervisorMessage::PEER_LEFT: {
      const Door door("PeerLeft", from.hasPeerLeft(), datagram, 0);
      return PeerLeft{.who = door.incarnation(from.getPeerLeft().getWho())};
    }
    case wire::SupervisorMessage::TAKE_SEAT:
      return Door("TakeSeat", from.hasTakeSeat(), datagram, 0).admit(TakeSeat{});
    case wire::SupervisorMessage::GIVE_UP_SEAT:
      return Door("GiveUpSeat", from.hasGiveUpSeat(), datagram, 0).admit(GiveUpSeat{});
    case wire::SupervisorMessage::DRAIN:
      return read(Door("Drain", from.hasDrain(), datagram, 0), from.getDrain());
    case wire::SupervisorMessage::SUCCEED:
      return Door("Succeed", from.hasSucceed(), datagram, 1).admit(Succeed{});
    case wire::SupervisorMessage::MIGRATE:
      return read(Door("Migrate", from.hasMigrate(), datagram, 1), from.getMigrate());
    case wire::SupervisorMessage::EXPECT_SESSIONS: {
      const Door door("ExpectSessions", from.hasExpectSessions(), datagram, 1);
      return ExpectSessions{.from_slot = door.slot(from.getExpectSessions().getFromSlot())};
    }
    case wire::SupervisorMessage::MOVE_BUCKETS:
      return read(Door("MoveBuckets", from.hasMoveBuckets(), datagram, 1), from.getMoveBuckets());
    case wire::SupervisorMessage::BORROW_SLOT: {
      // An inbox and one listening socket at least.
      const std::size_t wanted = std::clamp<std::size_t>(datagram.descriptors.size(), 2, kDescriptorsLimit);
      const Door door("BorrowSlot", from.hasBorrowSlot(), datagram, wanted);
      return BorrowSlot{.slot = door.slot(from.getBorrowSlot().getSlot())};
    }
    case wire::SupervisorMessage::RETURN_SLOT: {
      const Door door("ReturnSlot", from.hasReturnSlot(), datagram, 0);
      return ReturnSlot{.slot = door.slot(from.getReturnSlot().getSlot())};
    }
    case wire::SupervisorMessage::KNOWS:
      return Door("Knows", from.hasKnows(), datagram, 0).admit(Knows{.level = from.getKnows().getLevel()});
    case wire::SupervisorMessage::GO_ON:
      return Door("GoOn", from.hasGoOn(), datagram, 0).admit(GoOn{});
    case wire::SupervisorMessage::LEAVE:
      return Door("Leave", from.hasLeave(), datagram, 0).admit(Leave{});
  }
  refuse_unknown(from.which());
}

Handover open(const Datagram& datagram, wire::Handover::Reader from) {
  return read(Door("Handover", true, datagram, 1), from);
}

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

/// The words of a datagram. Cap'n Proto reads in place, so they have to be whole and aligned.
kj::ArrayPtr<const capnp::word> words_of(const Datagram& datagram) {
  const auto& bytes = datagram.bytes;
  if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0)
    throw Refusal(fmt::format("malformed: {} bytes are not a whole number of words", bytes.size()));
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(capnp::word) != 0)
    throw Refusal("malformed: the bytes are not aligned");
  return {reinterpret_cast<const capnp::word*>(bytes.data()), bytes.size() / sizeof(capnp::word)};
}

template <class Wire, class Message>
Message read_envelope(const Datagram& datagram) {
  const auto words = words_of(datagram);
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 8 * words.size() + 64;
  options.nestingLimit = kNestingLimit;
  capnp::FlatArrayMessageReader reader(words, options);
  if (reader.getEnd() != words.end()) throw Refusal("malformed: bytes behind the message");
  return open(datagram, reader.getRoot<Wire>());
}

/// The door itself: nothing that Cap'n Proto or the limits say gets past it but as a reason.
template <class Wire, class Message>
std::optional<Message> decode(const Datagram& datagram, std::string* why) {
  try {
    return read_envelope<Wire, Message>(datagram);
  } catch (const Refusal& refusal) {
    *why = refusal.what();
  } catch (const kj::Exception& exception) {
    *why = fmt::format("malformed: {}", exception.getDescription().cStr());
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::byte> encode(const WorkerMessage& message) {
  capnp::MallocMessageBuilder builder;
  auto to = builder.initRoot<wire::WorkerMessage>();
  std::visit(base::Overloaded{[&](const Hello& hello) { put(to.initHello(), hello); },
                              [&](const Ready&) { to.initReady(); },
                              [&](const Failed& failed) { to.initFailed().setReason(Text(failed.reason)); },
                              [&](const DrainProgress& progress) { put(to.initDrainProgress(), progress); },
                              [&](const Leaving& leaving) { put(to.initLeaving(), leaving); },
                              [&](const BucketsMoved& moved) { put(to.initBucketsMoved(), moved); },
                              [&](const Signalled&) { to.initSignalled(); }},
             message);
  return bytes_of(builder);
}

std::vector<std::byte> encode(const SupervisorMessage& message) {
  capnp::MallocMessageBuilder builder;
  auto to = builder.initRoot<wire::SupervisorMessage>();
  std::visit(
      base::Overloaded{
          [&](const Welcome& welcome) { put(to.initWelcome(), welcome); },
          [&](const PeerJoined& peer) { put(to.initPeerJoined().initWho(), peer.who); },
          [&](const PeerLeft& peer) { put(to.initPeerLeft().initWho(), peer.who); },
          [&](const TakeSeat&) { to.initTakeSeat(); }, [&](const GiveUpSeat&) { to.initGiveUpSeat(); },
          [&](const Drain& drain) { put(to.initDrain(), drain); }, [&](const Succeed&) { to.initSucceed(); },
          [&](const Migrate& migrate) { put(to.initMigrate(), migrate); },
          [&](const ExpectSessions& expect) { to.initExpectSessions().setFromSlot(expect.from_slot); },
          [&](const MoveBuckets& move) { put(to.initMoveBuckets(), move); },
          [&](const BorrowSlot& borrow) { to.initBorrowSlot().setSlot(borrow.slot); },
          [&](const ReturnSlot& back) { to.initReturnSlot().setSlot(back.slot); },
          [&](const Knows& knows) { to.initKnows().setLevel(knows.level); },
          [&](const GoOn&) { to.initGoOn(); }, [&](const Leave&) { to.initLeave(); }},
      message);
  return bytes_of(builder);
}

std::vector<std::byte> encode(const Handover& message) {
  CHECK(message.bytes.size() <= kHandoverLimitBytes,
        fmt::format("a handover of {} bytes, the limit is {}", message.bytes.size(), kHandoverLimitBytes));
  capnp::MallocMessageBuilder builder;
  auto to = builder.initRoot<wire::Handover>();
  to.setKind(message.kind == HandoverKind::Request ? wire::Handover::Kind::REQUEST
                                                   : wire::Handover::Kind::CONNECTION);
  to.setClientAddress(Text(message.client_address));
  to.setClientPort(message.client_port);
  to.setListener(message.listener);
  to.setPlaced(message.placed);
  to.setByProxy(message.by_proxy);
  to.setBytes({reinterpret_cast<const capnp::byte*>(message.bytes.data()), message.bytes.size()});
  return bytes_of(builder);
}

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

std::vector<std::byte> encode(const SupervisorState& state) {
  capnp::MallocMessageBuilder builder;
  put(builder.initRoot<wire::SupervisorState>(), state);
  return bytes_of(builder);
}

std::optional<WorkerMessage> decode_worker_message(const Datagram& datagram, std::string* why) {
  return decode<wire::WorkerMessage, WorkerMessage>(datagram, why);
}

std::optional<SupervisorMessage> decode_supervisor_message(const Datagram& datagram, std::string* why) {
  return decode<wire::SupervisorMessage, SupervisorMessage>(datagram, why);
}

std::optional<Handover> decode_handover(const Datagram& datagram, std::string* why) {
  return decode<wire::Handover, Handover>(datagram, why);
}

std::optional<CtlRequest> decode_ctl_request(const Datagram& datagram, std::string* why) {
  return decode<wire::CtlRequest, CtlRequest>(datagram, why);
}

std::optional<CtlReply> decode_ctl_reply(const Datagram& datagram, std::string* why) {
  return decode<wire::CtlReply, CtlReply>(datagram, why);
}

std::optional<SupervisorState> decode_supervisor_state(const Datagram& file, std::string* why) {
  return decode<wire::SupervisorState, SupervisorState>(file, why);
}

}  // namespace limpet::ipc
