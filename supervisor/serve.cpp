#include "supervisor/serve.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "base/descriptor_limit.h"
#include "base/limits.h"
#include "base/signals.h"
#include "supervisor/cluster/cluster.h"
#include "supervisor/cluster/objection.h"
#include "supervisor/cluster/saved_program.h"
#include "supervisor/options/table.h"
#include "supervisor/start_screen.h"
#include "supervisor/supervisor.h"
#include "supervisor/system/cpus.h"
#include "supervisor/system/descriptor_needs.h"
#include "supervisor/system/log.h"
#include "supervisor/system/runtime_dir.h"
#include "supervisor/system/system_check.h"
#include "supervisor/upgrade/descriptors.h"
#include "supervisor/upgrade/upgrade.h"

namespace limpet::supervisor {
namespace {

/// How long the workers of a supervisor that was killed may hold its addresses: they close them on its death,
/// but for one that is stuck, which its parent-death signal ends.
constexpr std::chrono::milliseconds kWaitForOldWorkers{10'000};

void tell(const std::vector<std::string>& mistakes) {
  for (const std::string& each : mistakes) base::say(STDERR_FILENO, fmt::format("limpet: {}\n", each));
}

/// Each slot that there can be costs a listening socket at every address and a place in every ring.
std::uint16_t capacity_for(const Options& options, std::uint16_t workers) {
  if (options.max_workers != 0) return static_cast<std::uint16_t>(options.max_workers);
  return static_cast<std::uint16_t>(std::clamp<int>(2 * workers, 8, base::kMostSlots));
}

ClusterSize size_of(const Options& options) {
  const auto wanted = static_cast<std::uint16_t>(options.workers == 0 ? granted_cpus() : options.workers);
  const std::uint16_t capacity = capacity_for(options, wanted);
  return {std::min(wanted, capacity), capacity};
}

/// Before anything is opened, and before a worker of ours is born. Throws std::runtime_error in words if this
/// cluster cannot run here.
void settle_with_system(const Options& options, const ClusterSize& size) {
  require_kernel_interfaces();
  const std::string objection = objection_to(process_limits(), size.slots, options.ring_capacity);
  if (!objection.empty()) throw std::runtime_error(objection);
  base::raise_descriptor_limit();
  const auto needs = descriptor_needs(options.listen.size(), size.capacity);
  const std::string shortage = descriptor_shortage(needs, base::descriptor_limit());
  if (!shortage.empty()) throw std::runtime_error(shortage);
}

/// Not 0, which stands for none.
std::uint64_t new_placement_seed() {
  std::uint64_t seed = 0;
  while (seed == 0) base::require(static_cast<int>(::getrandom(&seed, sizeof seed, 0)), "read random bytes");
  return seed;
}

int check(const Options& options, const StartPlace& place) {
  settle_with_system(options, size_of(options));
  (void)make_program(options, options.listen, 0, place);
  std::printf("limpet: the configuration is good\n");
  return 0;
}

/// Absolute: whoever talks to it may be somewhere else.
std::string runtime_dir_of(const Options& options, const CommandLine& command_line) {
  return options.runtime_dir.empty() ? default_runtime_dir() : command_line.place.at(options.runtime_dir);
}

void serve(const Options& options, const CommandLine& command_line) {
  const ClusterSize size = size_of(options);
  settle_with_system(options, size);
  Program found = find_program(options, command_line.place);  // first: what is wrong with it needs no wait
  open_log(options.log_level);
  if (std::error_code failure; command_line.file.empty() && std::filesystem::exists("limpet.toml", failure))
    log(Level::Warning, "options: limpet.toml is here, and is not read without -c limpet.toml");
  RuntimeDir runtime_dir(runtime_dir_of(options, command_line), trust_of(options.runtime_dir),
                         command_line.place.command());
  const auto patience = runtime_dir.previous_was_killed() ? kWaitForOldWorkers : std::chrono::milliseconds(0);
  if (patience.count() > 0)
    log(Level::Warning,
        fmt::format("supervisor: the one before was killed; waiting up to {} s for its workers to leave",
                    patience.count() / 1000));
  Listeners listeners(addresses_of(options), size.capacity, patience, new_placement_seed());
  auto program = std::make_shared<const Program>(
      with_settings(std::move(found), listeners.names(), listeners.placement_seed()));

  Loop loop;
  Supervisor supervisor(loop, std::move(listeners), size, std::move(program), command_line, runtime_dir);
  hear_signals();
  show_start_screen(supervisor.cluster(), command_line.place, runtime_dir.path());
  supervisor.run();
}

/// In place of the image before, with all its descriptors; signals are still blocked.
void take_over(const upgrade::SupervisorState& state, const CommandLine& command_line) {
  // The image before may have raised it: of an older build it is as it was.
  base::remember_descriptor_limit(state.descriptor_limit);
  base::raise_descriptor_limit();
  const Options options = restore_options(state.programs.front());
  open_log(options.log_level);
  RuntimeDir runtime_dir(command_line.place.at(state.runtime_dir), trust_of(options.runtime_dir),
                         command_line.place.command(), adopt(state.lock));
  Loop loop;
  Supervisor supervisor(loop, Listeners(state.listeners, state.placement_seed), state, command_line,
                        runtime_dir);
  hear_signals();
  supervisor.go_on();
}

/// The reasons against a takeover, one line each.
std::vector<std::string> objections(const upgrade::SupervisorState& state, const LoadedOptions& loaded,
                                    const StartPlace& place) {
  if (const std::string why = objection_to(state); !why.empty()) return {why};
  if (!loaded.mistakes.empty()) return loaded.mistakes;
  std::vector<std::string> result;
  const Options before = restore_options(state.programs.front());
  for (const std::string& each :
       changes_that_need_a_restart(before, loaded.options, static_cast<std::uint16_t>(state.slots.size())))
    result.push_back(each + " has changed, which needs a restart");
  if (result.empty()) (void)make_program(loaded.options, loaded.options.listen, state.placement_seed, place);
  return result;
}

int obey(const TakeoverOrder& order, CommandLine command_line) {
  std::string why;
  const auto state = read_state(order, &why);
  if (!state) {
    tell({why});
    return 1;
  }
  // An older build has told none: then it is what this process can find out.
  if (!state->start_directory.empty()) command_line.place = {state->start_directory, state->binary};
  if (!order.is_trial) {
    take_over(*state, command_line);
    return 0;
  }
  const auto reasons = objections(*state, load_options(command_line), command_line.place);
  tell(reasons);
  if (reasons.empty()) say_can_take_over();
  return reasons.empty() ? 0 : 1;
}

int run(const CommandLine& command_line) {
  // As process 1 a signal without a handler is lost, as any other process it would end us without a word.
  if (!command_line.check_only) base::block_signals();
  try {
    if (const auto order = takeover_order()) return obey(*order, command_line);
  } catch (const std::exception& failure) {
    tell({failure.what()});
    return 1;
  }
  const LoadedOptions loaded = load_options(command_line);
  if (!loaded.mistakes.empty()) {
    tell(loaded.mistakes);
    return 1;
  }
  try {
    if (command_line.check_only) return check(loaded.options, command_line.place);
    serve(loaded.options, command_line);
    return 0;
  } catch (const std::exception& failure) {
    tell({failure.what()});
    return 1;
  }
}

}  // namespace

int run_serve(const CommandLine& command_line) {
  const int code = run(command_line);
  base::finish_log();
  return code;
}

}  // namespace limpet::supervisor
