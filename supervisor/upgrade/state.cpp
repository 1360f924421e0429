#include "supervisor/upgrade/state.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/address.h"
#include "ipc/shared/bucket_table.h"
#include "supervisor/options/table.h"

namespace limpet::supervisor {
namespace {

/// What the [[listen]] table of one address says goes by the name listen[2].backlog.
std::string name_in_state(std::size_t listener, const OptionRow& row) {
  return fmt::format("listen[{}].{}", listener, name_in_file(row));
}

/// "" or what is wrong with one option. Those of listeners come behind `listen`, of which there may be a few.
std::string restore_option(const ipc::NamedValues& from, Options* into) {
  const auto table = option_table();
  for (std::size_t number = 0; number < table.size(); ++number) {
    const OptionRow& row = table[number];
    std::string why;
    if (name_in_file(row) == from.name) {
      why = assign(row, from.values, into);
      return why.empty() ? "" : fmt::format("option {}: {}", from.name, why);
    }
    for (std::size_t listener = 0; listener < into->listen.size(); ++listener) {
      if (name_in_state(listener, row) != from.name) continue;
      Options scratch;
      why = assign(row, from.values, &scratch);
      if (!why.empty()) return fmt::format("option {}: {}", from.name, why);
      into->listen_tables.resize(into->listen.size());
      into->listen_tables[listener].push_back({number, from.values});
      return "";
    }
  }
  return fmt::format("option {}: there is none of that name", from.name);
}

std::string objection_to(const ipc::ProgramState& program) {
  Options ignored;
  for (const ipc::NamedValues& each : program.options) {
    if (std::string why = restore_option(each, &ignored); !why.empty()) return why;
  }
  return "";
}

std::string objection_to(const ipc::WorkerState& worker, const ipc::SupervisorState& state) {
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

base::Descriptor adopt(int number) {
  if (number == -1) return {};
  base::require(::fcntl(number, F_SETFD, FD_CLOEXEC), fmt::format("adopt descriptor {}", number));
  return base::Descriptor(number);
}

std::vector<int> descriptors_of(const ipc::SupervisorState& state) {
  std::vector<int> result = {state.lock, state.control_socket};
  result.insert(result.end(), state.clients.begin(), state.clients.end());
  for (const auto& each : state.programs)
    result.insert(result.end(), {each.image, each.settings, each.directory});
  for (const auto& each : state.listeners)
    result.insert(result.end(), each.sockets.begin(), each.sockets.end());
  for (const auto& each : state.slots)
    result.insert(result.end(), {each.inbox_receiving, each.inbox_sending});
  for (const auto& each : state.workers) {
    result.insert(result.end(), {each.pidfd, each.control, each.ring, each.reader_page, each.counters,
                                 each.doorbell, each.giver_end});
  }
  std::erase(result, -1);
  return result;
}

std::optional<WorkerState> state_named(std::string_view name) {
  for (std::size_t index = 0; index < kWorkerStates; ++index)
    if (to_text(static_cast<WorkerState>(index)) == name) return static_cast<WorkerState>(index);
  return std::nullopt;
}

std::optional<Cause> cause_named(std::string_view name) {
  for (std::size_t index = 0; index < kCauses; ++index)
    if (kCauseTable[index].name == name) return static_cast<Cause>(index);
  return std::nullopt;
}

ipc::ProgramState save(const Program& program) {
  ipc::ProgramState state;
  // Not what stands at its default: an image of an older build may not know that there is such an option.
  const Options defaults = load_options(CommandLine{}).options;
  for (const OptionRow& row : option_table()) {
    std::vector<std::string> values = values_of(row, program.options);
    if (values != values_of(row, defaults)) state.options.push_back({name_in_file(row), std::move(values)});
  }
  for (std::size_t listener = 0; listener < program.options.listen_tables.size(); ++listener) {
    for (const GivenFlag& given : program.options.listen_tables[listener])
      state.options.push_back({name_in_state(listener, option_table()[given.row]), given.values});
  }
  state.application = program.options.application;
  state.executable = program.file.name;
  state.arguments = program.arguments;
  state.image = program.image.get();
  state.settings = program.settings.get();
  state.directory = program.directory.get();
  state.mark = program.file.mark;
  return state;
}

Options restore_options(const ipc::ProgramState& state) {
  // Defaults for what the image before did not know.
  Options options = load_options(CommandLine{}).options;
  for (const ipc::NamedValues& each : state.options) (void)restore_option(each, &options);
  options.application = state.application;
  return options;
}

namespace {

RunningFile restore_file(const ipc::ProgramState& state, const base::Descriptor& image) {
  // Of a script nothing is open, and an older build has told no mark.
  RunningFile file =
      image ? running_file(state.executable, image) : RunningFile{state.executable, state.executable, {}};
  if (state.mark != ipc::FileMark{}) file.mark = state.mark;
  return file;
}

}  // namespace

std::vector<SharedProgram> restore_programs(const ipc::SupervisorState& state) {
  std::vector<SharedProgram> result;
  for (const ipc::ProgramState& each : state.programs) {
    auto program = std::make_shared<Program>();
    program->options = restore_options(each);
    program->arguments = each.arguments;
    program->image = adopt(each.image);
    program->directory = adopt(each.directory);
    program->file = restore_file(each, program->image);
    program->settings = adopt(each.settings);
    result.push_back(std::move(program));
  }
  return result;
}

std::string objection_to(const ipc::SupervisorState& state) {
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
  for (const ipc::ListenerState& each : state.listeners) {
    const auto address = base::parse_address(each.address, &why);
    if (!address) return why;
    // Of a Unix address: the socket of all, and its lock.
    if (each.sockets.size() != (address->is_unix() ? 2 : slots))
      return fmt::format("{} has not one socket for each slot", each.address);
  }
  for (const ipc::ProgramState& each : state.programs)
    if (why = objection_to(each); !why.empty()) return why;
  for (const ipc::WorkerState& each : state.workers)
    if (why = objection_to(each, state); !why.empty()) return why;
  return "";
}

}  // namespace limpet::supervisor
