#include "supervisor/upgrade/state.h"

#include <fmt/format.h>

#include "base/limits.h"
#include "ipc/messages/wire.h"

namespace limpet::supervisor::upgrade {
namespace {

constexpr std::size_t kClientsLimit = 64;
constexpr std::size_t kProgramsLimit = 1024;
constexpr std::size_t kOptionsLimit = 1024;
constexpr std::size_t kArgumentsLimit = 4096;

// ---- writing ----

void put(wire::NamedNumber::Builder to, const NamedNumber& from);
void put(wire::NamedValues::Builder to, const NamedValues& from);
void put(wire::ProgramState::Builder to, const ProgramState& from);
void put(wire::ListenerState::Builder to, const ListenerState& from);
void put(wire::SlotState::Builder to, const SlotState& from);
void put(wire::WorkerState::Builder to, const WorkerState& from);

void put(wire::NamedNumber::Builder to, const NamedNumber& from) {
  to.setName(ipc::Text(from.name));
  to.setNumber(from.number);
}

template <class Builder, class Items>
void put_texts(Builder to, const Items& from) {
  for (unsigned int i = 0; i < to.size(); ++i) to.set(i, ipc::Text(from[i]));
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
  to.setName(ipc::Text(from.name));
  put_texts(to.initValues(ipc::length(from.values.size(), ipc::kListenersLimit)), from.values);
}

void put(wire::FileMark::Builder to, const FileMark& from) {
  to.setDevice(from.device);
  to.setInode(from.inode);
  to.setSize(from.size);
  to.setModifiedNs(from.modified_ns);
}

void put(wire::ProgramState::Builder to, const ProgramState& from) {
  put_each(to.initOptions(ipc::length(from.options.size(), kOptionsLimit)), from.options);
  put_texts(to.initApplication(ipc::length(from.application.size(), kArgumentsLimit)), from.application);
  to.setExecutable(ipc::Text(from.executable));
  put_texts(to.initArguments(ipc::length(from.arguments.size(), kArgumentsLimit)), from.arguments);
  to.setImage(from.image);
  to.setSettings(from.settings);
  to.setDirectory(from.directory);
  put(to.initMark(), from.mark);
}

void put(wire::ListenerState::Builder to, const ListenerState& from) {
  to.setAddress(ipc::Text(from.address));
  put_numbers(to.initSockets(ipc::length(from.sockets.size(), base::kSlotLimit)), from.sockets);
}

void put(wire::SlotState::Builder to, const SlotState& from) {
  to.setInboxReceiving(from.inbox_receiving);
  to.setInboxSending(from.inbox_sending);
  to.setDeathsInARow(from.deaths_in_a_row);
  to.setNextStart(from.next_start.count());
  to.setVacantSince(from.vacant_since.count());
  to.setDeaths(from.deaths);
  to.setLastObituary(ipc::Text(from.last_obituary));
  to.setStarts(from.starts);
  put_each(to.initEnds(ipc::length(from.ends.size(), ipc::kCountersLimit)), from.ends);
  put_each(to.initRetired(ipc::length(from.retired.size(), ipc::kCountersLimit)), from.retired);
}

void put(wire::WorkerState::Builder to, const WorkerState& from) {
  put(to.initWho(), from.who);
  to.setPid(from.pid);
  to.setState(ipc::Text(from.state));
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
  to.setCause(ipc::Text(from.cause));
  to.setCauseText(ipc::Text(from.cause_text));
  to.setEndedWhile(ipc::Text(from.ended_while));
  to.setLastWords(ipc::Text(from.last_words));
  to.setLevel(from.level);
}

void put(wire::SupervisorState::Builder to, const SupervisorState& from) {
  to.setVersion(from.version);
  to.setProtocolVersion(from.protocol_version);
  to.setBuild(ipc::Text(from.build));
  to.setBinary(ipc::Text(from.binary));
  to.setRuntimeDir(ipc::Text(from.runtime_dir));
  to.setStarted(from.started.count());
  to.setAnnounced(from.announced);
  to.setReloadAgain(from.reload_again);
  to.setLastGeneration(from.last_generation);
  put_numbers(to.initFreeLanes(ipc::length(from.free_lanes.size(), base::kLaneLimit)), from.free_lanes);
  put_numbers(to.initBucketOwners(ipc::length(from.bucket_owners.size(), base::kSlotLimit)),
              from.bucket_owners);
  to.setLock(from.lock);
  to.setControlSocket(from.control_socket);
  put_numbers(to.initClients(ipc::length(from.clients.size(), kClientsLimit)), from.clients);
  put_each(to.initPrograms(ipc::length(from.programs.size(), kProgramsLimit)), from.programs);
  put_each(to.initListeners(ipc::length(from.listeners.size(), ipc::kListenersLimit)), from.listeners);
  put_each(to.initSlots(ipc::length(from.slots.size(), base::kSlotLimit)), from.slots);
  put_each(to.initWorkers(ipc::length(from.workers.size(), base::kLaneLimit)), from.workers);
  to.setOpenSlots(from.open_slots);
  to.setUsedSlots(from.used_slots);
  to.setDescriptorLimit(from.descriptor_limit);
  to.setPlacementSeed(from.placement_seed);
  to.setStartDirectory(ipc::Text(from.start_directory));
  put(to.initImage(), from.image);
}

// ---- reading ----

NamedNumber read(const ipc::Door& door, wire::NamedNumber::Reader from);
NamedValues read(const ipc::Door& door, wire::NamedValues::Reader from);
ProgramState read(const ipc::Door& door, wire::ProgramState::Reader from);
ListenerState read(const ipc::Door& door, wire::ListenerState::Reader from);
SlotState read(const ipc::Door& door, wire::SlotState::Reader from);
WorkerState read(const ipc::Door& door, wire::WorkerState::Reader from);

int descriptor(const ipc::Door& door, std::int32_t from) {
  if (from < -1) door.refuse(fmt::format("{} is no descriptor", from));
  return from;
}

template <class List>
std::vector<std::string> texts(const ipc::Door& door, List from, std::size_t limit, const char* field) {
  std::vector<std::string> result;
  for (const auto each : door.list(from, limit, field)) result.push_back(door.text(each, field));
  return result;
}
template <class List>
std::vector<int> descriptors(const ipc::Door& door, List from, std::size_t limit, const char* field) {
  std::vector<int> result;
  for (const auto each : door.list(from, limit, field)) result.push_back(descriptor(door, each));
  return result;
}
template <class List>
std::vector<std::uint16_t> numbers(const ipc::Door& door, List from, std::size_t limit, const char* field) {
  std::vector<std::uint16_t> result;
  for (const auto each : door.list(from, limit, field)) result.push_back(each);
  return result;
}

NamedNumber read(const ipc::Door& door, wire::NamedNumber::Reader from) {
  return {.name = door.text(from.getName(), "name"), .number = from.getNumber()};
}

NamedValues read(const ipc::Door& door, wire::NamedValues::Reader from) {
  return {.name = door.text(from.getName(), "name"),
          .values = texts(door, from.getValues(), ipc::kListenersLimit, "values")};
}

/// The structs of a list.
template <class Item, class List>
std::vector<Item> each_of(const ipc::Door& door, List from, std::size_t limit, const char* field) {
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

ProgramState read(const ipc::Door& door, wire::ProgramState::Reader from) {
  return {.options = each_of<NamedValues>(door, from.getOptions(), kOptionsLimit, "options"),
          .application = texts(door, from.getApplication(), kArgumentsLimit, "application"),
          .executable = door.text(from.getExecutable(), "executable"),
          .arguments = texts(door, from.getArguments(), kArgumentsLimit, "arguments"),
          .image = descriptor(door, from.getImage()),
          .settings = descriptor(door, from.getSettings()),
          .directory = descriptor(door, from.getDirectory()),
          .mark = read(from.getMark())};
}

ListenerState read(const ipc::Door& door, wire::ListenerState::Reader from) {
  return {.address = door.text(from.getAddress(), "address"),
          .sockets = descriptors(door, from.getSockets(), base::kSlotLimit, "sockets")};
}

SlotState read(const ipc::Door& door, wire::SlotState::Reader from) {
  return {.inbox_receiving = descriptor(door, from.getInboxReceiving()),
          .inbox_sending = descriptor(door, from.getInboxSending()),
          .deaths_in_a_row = from.getDeathsInARow(),
          .next_start = door.duration(from.getNextStart(), "next start"),
          .vacant_since = door.duration(from.getVacantSince(), "vacant since"),
          .deaths = from.getDeaths(),
          .last_obituary = door.text(from.getLastObituary(), "last obituary"),
          .starts = from.getStarts(),
          .ends = each_of<NamedNumber>(door, from.getEnds(), ipc::kCountersLimit, "ends"),
          .retired = each_of<NamedNumber>(door, from.getRetired(), ipc::kCountersLimit, "retired")};
}

WorkerState read(const ipc::Door& door, wire::WorkerState::Reader from) {
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

SupervisorState open(const ipc::Datagram& file, wire::SupervisorState::Reader from) {
  const ipc::Door door("SupervisorState", true, file, 0);
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
          .listeners = each_of<ListenerState>(door, from.getListeners(), ipc::kListenersLimit, "listeners"),
          .slots = each_of<SlotState>(door, from.getSlots(), base::kSlotLimit, "slots"),
          .workers = each_of<WorkerState>(door, from.getWorkers(), base::kLaneLimit, "workers"),
          .open_slots = from.getOpenSlots(),
          .used_slots = from.getUsedSlots(),
          .descriptor_limit = from.getDescriptorLimit(),
          .placement_seed = from.getPlacementSeed(),
          .start_directory = door.text(from.getStartDirectory(), "start directory"),
          .image = read(from.getImage())};
}

}  // namespace

std::vector<std::byte> encode(const SupervisorState& state) {
  capnp::MallocMessageBuilder builder;
  put(builder.initRoot<wire::SupervisorState>(), state);
  return ipc::bytes_of(builder);
}

std::optional<SupervisorState> decode_supervisor_state(const ipc::Datagram& file, std::string* why) {
  return ipc::decode<wire::SupervisorState>(
      file, why, [&](wire::SupervisorState::Reader from) { return open(file, from); });
}

}  // namespace limpet::supervisor::upgrade
