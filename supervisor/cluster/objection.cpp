#include "supervisor/cluster/objection.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/address.h"
#include "ipc/messages/version.h"
#include "ipc/shared/bucket_table.h"
#include "supervisor/cluster/causes.h"
#include "supervisor/cluster/lifecycle.h"
#include "supervisor/cluster/saved_program.h"

namespace limpet::supervisor {
namespace {

std::string objection_to(const upgrade::WorkerState& worker, const upgrade::SupervisorState& state) {
  const std::string name = fmt::format("slot {} gen {}", worker.who.slot, worker.who.generation);
  if (worker.who.slot >= state.open_slots || worker.program >= state.programs.size() || worker.pid == 0)
    return fmt::format("{}: of no such slot, program or pid", name);
  const auto phase = state_named(worker.state);
  if (!phase || *phase == WorkerState::Dead) return fmt::format("{}: state '{}'", name, worker.state);
  if (!worker.cause.empty() && !cause_named(worker.cause))
    return fmt::format("{}: cause '{}'", name, worker.cause);
  const bool said_hello = *phase != WorkerState::Spawned && *phase != WorkerState::Stopping;
  if (said_hello && worker.ring == -1) return fmt::format("{}: {} without a ring", name, worker.state);
  return "";
}

}  // namespace

std::string objection_to(const upgrade::SupervisorState& state) {
  if (state.protocol_version != ipc::kProtocolVersion)
    return fmt::format("its workers speak protocol {}, this build speaks {}", state.protocol_version,
                       ipc::kProtocolVersion);
  const std::size_t slots = state.slots.size();
  if (state.open_slots == 0 || state.used_slots < state.open_slots || slots < state.used_slots ||
      slots > ipc::kBuckets || state.programs.empty())
    return "it has no slot or no program";
  if (state.bucket_owners.size() != ipc::kBuckets ||
      std::any_of(state.bucket_owners.begin(), state.bucket_owners.end(),
                  [&](std::uint16_t owner) { return owner >= state.open_slots; }))
    return "its table of buckets names a slot that there is not";
  std::string why;
  for (const upgrade::ListenerState& each : state.listeners) {
    const auto address = base::parse_address(each.address, &why);
    if (!address) return why;
    // Of a Unix address: the socket of all, and its lock.
    if (each.sockets.size() != (address->is_unix() ? 2 : slots))
      return fmt::format("{} has not one socket for each slot", each.address);
  }
  for (const upgrade::ProgramState& each : state.programs)
    if (why = objection_to(each); !why.empty()) return why;
  for (const upgrade::WorkerState& each : state.workers)
    if (why = objection_to(each, state); !why.empty()) return why;
  return "";
}

}  // namespace limpet::supervisor
