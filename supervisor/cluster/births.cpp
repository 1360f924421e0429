#include "supervisor/cluster/births.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include "base/file_id.h"
#include "ipc/birth/heritage.h"
#include "supervisor/upgrade/descriptors.h"

namespace limpet::supervisor {
std::pair<base::Descriptor, base::Descriptor> migration_stream() {
  int ends[2];
  base::require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
                "migration stream");
  return {base::Descriptor(ends[0]), base::Descriptor(ends[1])};
}

namespace {

std::vector<std::uint16_t> lanes_of(const std::vector<upgrade::WorkerState>& workers) {
  std::vector<std::uint16_t> lanes;
  for (const upgrade::WorkerState& worker : workers) lanes.push_back(worker.who.lane);
  return lanes;
}

}  // namespace

Births::Births(Loop& loop, const Listeners& listeners, std::uint16_t capacity, std::vector<int> cpus)
    : loop_(loop),
      listeners_(listeners),
      buckets_(ipc::BucketTable::create(capacity)),
      board_(ipc::SlotBoard::create(capacity)),
      lanes_(capacity),
      cpus_(std::move(cpus)) {
  for (std::uint16_t slot = 0; slot < capacity; ++slot) inboxes_.push_back(ipc::make_inbox());
}

Births::Births(Loop& loop, const Listeners& listeners, std::vector<int> cpus,
               const upgrade::SupervisorState& state)
    : loop_(loop),
      listeners_(listeners),
      buckets_(ipc::BucketTable::create(static_cast<std::uint16_t>(state.slots.size()))),
      board_(ipc::SlotBoard::create(static_cast<std::uint16_t>(state.slots.size()))),
      lanes_(static_cast<std::uint16_t>(state.slots.size()), state.free_lanes, lanes_of(state.workers)),
      cpus_(std::move(cpus)),
      last_generation_(state.last_generation) {
  for (const upgrade::SlotState& each : state.slots)
    inboxes_.push_back({adopt(each.inbox_receiving), adopt(each.inbox_sending)});
  assign(state.bucket_owners);
}

void Births::assign(const std::vector<std::uint16_t>& owners) {
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket) buckets_.assign(bucket, owners.at(bucket));
}

void Births::save(upgrade::SupervisorState* into) const {
  into->last_generation = last_generation_;
  into->free_lanes = lanes_.free();
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket)
    into->bucket_owners.push_back(buckets_.owner(bucket));
  for (std::size_t slot = 0; slot < inboxes_.size(); ++slot) {
    into->slots.at(slot).inbox_receiving = inboxes_[slot].receiving.get();
    into->slots.at(slot).inbox_sending = inboxes_[slot].sending.get();
  }
}

std::unique_ptr<Worker> Births::start(std::uint16_t seat, const SharedProgram& program, bool succeeds,
                                      std::string* why) {
  const auto lane = lanes_.take();
  if (!lane) {
    *why = "every lane is taken by a worker that still drains";
    return nullptr;
  }
  const ipc::Incarnation who{seat, *lane, ++last_generation_};
  try {
    auto [ours, theirs] = ipc::Channel::pair();
    // Opened anew, for each worker a read position of its own.
    const std::string path = fmt::format("/proc/self/fd/{}", program->settings.get());
    const base::Descriptor settings(
        base::require(::open(path.c_str(), O_RDONLY | O_CLOEXEC), "open the settings"));
    auto [giver_end, taker_end] =
        succeeds ? migration_stream() : std::pair<base::Descriptor, base::Descriptor>();
    ipc::SpawnResult result = ipc::spawn(request_for(who, *program, theirs.get(), settings.get()));
    if (result.child) {
      auto worker = std::make_unique<Worker>(loop_, who, program, *std::move(result.child), std::move(ours));
      // Its first message: it keeps what it reads in the rings from the first record on.
      if (succeeds) worker->tell(ipc::Succeed{}, {taker_end.get()});
      worker->giver_end = std::move(giver_end);
      return worker;
    }
    *why = result.why;
  } catch (const std::system_error& failure) {
    *why = failure.what();
  }
  lanes_.give_back(*lane);
  return nullptr;
}

ipc::SpawnRequest Births::request_for(const ipc::Incarnation& who, const Program& program, int control,
                                      int settings) const {
  const bool has_slot = !ipc::is_bridge(who.slot);
  const ipc::Heritage heritage{.slot = who.slot,
                               .slots = capacity(),
                               .lane = who.lane,
                               .lanes = lanes_.count(),
                               .listeners = has_slot ? listeners_.count() : std::uint16_t{0},
                               .generation = who.generation};
  ipc::SpawnRequest request;
  request.executable = program.file.name;
  request.image = program.image.get();
  // Whoever is in it already need not be allowed to enter it, or to look at "." in it.
  if (base::file_of(program.directory) != base::file_behind("/proc/self/cwd"))
    request.directory = program.directory.get();
  request.arguments = program.arguments;
  request.environment = {fmt::format("{}={}", ipc::kHeritageVariable, ipc::to_environment(heritage))};
  request.descriptors = {{control, ipc::kControlChannel},
                         {buckets_.descriptor(), ipc::kClusterPage},
                         {settings, ipc::kSettings},
                         {(has_slot ? inboxes_[who.slot] : bridge_inbox_).receiving.get(), ipc::kInbox},
                         {board_.descriptor(), ipc::kSlotBoard}};
  if (has_slot) {
    int target = ipc::kFirstListener;
    for (const int listener : listeners_.of_slot(who.slot))
      request.descriptors.push_back({listener, target++});
  }
  for (std::uint16_t slot = 0; slot < capacity(); ++slot) {
    request.descriptors.push_back({inboxes_[slot].sending.get(), heritage.inbox_sender(slot)});
  }
  if (has_slot && !cpus_.empty()) request.cpu = cpus_[who.slot % cpus_.size()];
  return request;
}

}  // namespace limpet::supervisor
