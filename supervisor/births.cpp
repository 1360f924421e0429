#include "supervisor/births.h"

#include <fcntl.h>
#include <fmt/format.h>

#include "ipc/heritage.h"

namespace limpet::supervisor {

Births::Births(Loop& loop, const Listeners& listeners, std::uint16_t slots, std::vector<int> cpus)
    : loop_(loop),
      listeners_(listeners),
      buckets_(ipc::BucketTable::create(slots)),
      board_(ipc::SlotBoard::create(slots)),
      lanes_(slots),
      cpus_(std::move(cpus)) {
  for (std::uint16_t slot = 0; slot < slots; ++slot) inboxes_.push_back(ipc::make_inbox());
}

std::unique_ptr<Worker> Births::start(std::uint16_t slot, const Program& program, std::string* why) {
  const auto lane = lanes_.take();
  if (!lane) {
    *why = "every lane is taken by a worker that still drains";
    return nullptr;
  }
  const ipc::Incarnation who{slot, *lane, ++last_generation_};
  try {
    auto [ours, theirs] = ipc::Channel::pair();
    // Opened anew, for each worker a read position of its own.
    const std::string path = fmt::format("/proc/self/fd/{}", program.settings.get());
    const ipc::Descriptor settings(
        ipc::require(::open(path.c_str(), O_RDONLY | O_CLOEXEC), "open the settings"));
    ipc::SpawnResult result = ipc::spawn(request_for(who, program, theirs.get(), settings.get()));
    if (result.child) return std::make_unique<Worker>(loop_, who, *std::move(result.child), std::move(ours));
    *why = result.why;
  } catch (const std::system_error& failure) {
    *why = failure.what();
  }
  lanes_.give_back(*lane);
  return nullptr;
}

ipc::SpawnRequest Births::request_for(const ipc::Incarnation& who, const Program& program, int control,
                                      int settings) const {
  const ipc::Heritage heritage{.slot = who.slot,
                               .slots = slots(),
                               .lane = who.lane,
                               .lanes = static_cast<std::uint16_t>(2 * slots() + 1),
                               .listeners = listeners_.count(),
                               .generation = who.generation};
  ipc::SpawnRequest request;
  request.executable = program.executable;
  request.arguments = program.arguments;
  request.environment = {fmt::format("{}={}", ipc::kHeritageVariable, ipc::to_environment(heritage))};
  request.descriptors = {{control, ipc::kControlChannel},
                         {buckets_.descriptor(), ipc::kClusterPage},
                         {settings, ipc::kSettings},
                         {inboxes_[who.slot].receiving.get(), ipc::kInbox},
                         {board_.descriptor(), ipc::kSlotBoard}};
  int target = ipc::kFirstListener;
  for (const int listener : listeners_.of_slot(who.slot)) request.descriptors.push_back({listener, target++});
  for (std::uint16_t slot = 0; slot < slots(); ++slot) {
    request.descriptors.push_back({inboxes_[slot].sending.get(), heritage.inbox_sender(slot)});
  }
  if (!cpus_.empty()) request.cpu = cpus_[who.slot % cpus_.size()];
  return request;
}

}  // namespace limpet::supervisor
