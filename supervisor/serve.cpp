#include "supervisor/serve.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>

#include "base/signals.h"
#include "supervisor/cluster.h"
#include "supervisor/cpus.h"
#include "supervisor/log.h"
#include "supervisor/option_table.h"
#include "supervisor/runtime_dir.h"
#include "supervisor/start_screen.h"
#include "supervisor/state.h"
#include "supervisor/supervisor.h"
#include "supervisor/upgrade.h"

namespace limpet::supervisor {
namespace {

/// How long the workers of a supervisor that was killed may hold its addresses: they close them on its death,
/// but for one that is stuck, which its parent-death signal ends.
constexpr std::chrono::milliseconds kPatienceWithOrphans{10'000};

constexpr int kMostSlots = 256;  // as the option table allows

std::vector<ListenAddress> addresses_of(const Options& options) {
  std::vector<ListenAddress> result;
  std::string why;
  const std::vector<Options> all = options_of_listeners(options);
  for (std::size_t index = 0; index < options.listen.size(); ++index) {
    const Options& its = all[index];
    result.push_back({.address = ipc::parse_address(options.listen[index], &why).value(),
                      .backlog = static_cast<int>(its.backlog),
                      .unix_mode = static_cast<mode_t>(its.unix_mode)});
  }
  return result;
}

void tell(const std::vector<std::string>& mistakes) {
  for (const std::string& each : mistakes) base::say(STDERR_FILENO, fmt::format("limpet: {}\n", each));
}

int check(const Options& options) {
  (void)make_program(options, options.listen);
  std::printf("limpet: the configuration is good\n");
  return 0;
}

/// Each slot that there can be costs a listening socket at every address and a place in every ring.
std::uint16_t capacity_for(const Options& options, std::uint16_t workers) {
  if (options.max_workers != 0) return static_cast<std::uint16_t>(options.max_workers);
  return static_cast<std::uint16_t>(std::clamp(2 * workers, 8, kMostSlots));
}

void serve(const Options& options, const CommandLine& command_line) {
  open_log(options.log_level);
  const RuntimeDir runtime_dir(options.runtime_dir.empty() ? default_runtime_dir() : options.runtime_dir);
  const auto wanted = static_cast<std::uint16_t>(options.workers == 0 ? granted_cpus() : options.workers);
  const auto patience = runtime_dir.was_left_in_haste() ? kPatienceWithOrphans : std::chrono::milliseconds(0);
  if (patience.count() > 0)
    log(Level::Warning, "supervisor: the one before was killed; waiting for its workers to leave");
  const std::uint16_t capacity = capacity_for(options, wanted);
  const std::uint16_t slots = std::min(wanted, capacity);
  Listeners listeners(addresses_of(options), capacity, patience);
  auto program = std::make_shared<const Program>(make_program(options, listeners.names()));

  Loop loop;
  Cluster cluster(loop, std::move(listeners), slots, capacity,
                  options.pin ? allowed_cpus() : std::vector<int>(), std::move(program));
  Supervisor supervisor(loop, cluster, command_line, runtime_dir);
  hear_signals();
  show_start_screen(cluster, runtime_dir.path());
  cluster.on_all_seated = [&cluster] { say_serving(cluster); };
  supervisor.run();
}

/// In place of the image before, with all its descriptors; signals are still blocked.
void take_over(const ipc::SupervisorState& state, const CommandLine& command_line) {
  const Options options = restore_options(state.programs.front());
  open_log(options.log_level);
  const RuntimeDir runtime_dir(state.runtime_dir, adopt(state.lock));
  Loop loop;
  Cluster cluster(loop, Listeners(state.listeners), options.pin ? allowed_cpus() : std::vector<int>(), state);
  Supervisor supervisor(loop, cluster, command_line, runtime_dir, state);
  hear_signals();
  cluster.on_all_seated = [&cluster] { say_serving(cluster); };
  supervisor.go_on();
}

/// The reasons against a takeover, one line each.
std::vector<std::string> objections(const ipc::SupervisorState& state, const LoadedOptions& loaded) {
  if (const std::string why = objection_to(state); !why.empty()) return {why};
  if (!loaded.mistakes.empty()) return loaded.mistakes;
  std::vector<std::string> result;
  const Options before = restore_options(state.programs.front());
  for (const std::string& each : changes_that_need_a_restart(before, loaded.options))
    result.push_back(each + " has changed, which needs a restart");
  if (result.empty()) (void)make_program(loaded.options, loaded.options.listen);
  return result;
}

int obey(const TakeoverOrder& order, const CommandLine& command_line) {
  std::string why;
  const auto state = read_state(order, &why);
  if (!state) {
    tell({why});
    return 1;
  }
  if (!order.is_trial) {
    take_over(*state, command_line);
    return 0;
  }
  const auto reasons = objections(*state, load_options(command_line));
  tell(reasons);
  if (reasons.empty()) say_can_take_over();
  return reasons.empty() ? 0 : 1;
}

}  // namespace

int run_serve(const CommandLine& command_line) {
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
    if (command_line.check_only) return check(loaded.options);
    serve(loaded.options, command_line);
    return 0;
  } catch (const std::exception& failure) {
    tell({failure.what()});
    return 1;
  }
}

}  // namespace limpet::supervisor
