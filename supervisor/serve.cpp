#include "supervisor/serve.h"

#include <fmt/format.h>
#include <signal.h>

#include <cstdio>
#include <exception>

#include "supervisor/cluster.h"
#include "supervisor/cpus.h"
#include "supervisor/log.h"
#include "supervisor/runtime_dir.h"
#include "supervisor/start_screen.h"
#include "supervisor/supervisor.h"

namespace limpet::supervisor {
namespace {

/// How long the workers of a supervisor that was killed may hold its addresses: they close them on its death,
/// but for one that is stuck, which its parent-death signal ends.
constexpr std::chrono::milliseconds kPatienceWithOrphans{10'000};

std::vector<ListenAddress> addresses_of(const Options& options) {
  std::vector<ListenAddress> result;
  std::string why;
  for (std::size_t index = 0; index < options.listen.size(); ++index) {
    const Options its = options_of_listener(options, index);
    result.push_back({.address = ipc::parse_address(options.listen[index], &why).value(),
                      .backlog = static_cast<int>(its.backlog),
                      .unix_mode = static_cast<mode_t>(its.unix_mode)});
  }
  return result;
}

void tell(const std::vector<std::string>& mistakes) {
  for (const std::string& each : mistakes) std::fprintf(stderr, "limpet: %s\n", each.c_str());
}

int check(const Options& options) {
  (void)make_program(options, options.listen);
  std::printf("limpet: the configuration is good\n");
  return 0;
}

void serve(const Options& options, const CommandLine& command_line) {
  open_log(options.log_level);
  // Told by the failing write instead.
  ::signal(SIGPIPE, SIG_IGN);
  const RuntimeDir runtime_dir(options.runtime_dir.empty() ? default_runtime_dir() : options.runtime_dir);
  const auto slots = static_cast<std::uint16_t>(options.workers == 0 ? granted_cpus() : options.workers);
  const auto patience = runtime_dir.was_left_in_haste() ? kPatienceWithOrphans : std::chrono::milliseconds(0);
  if (patience.count() > 0)
    log(Level::Warning, "supervisor: the one before was killed; waiting for its workers to leave");
  Listeners listeners(addresses_of(options), slots, patience);
  Program program = make_program(options, listeners.names());

  Loop loop;
  Cluster cluster(loop, std::move(listeners), slots, options.pin ? allowed_cpus() : std::vector<int>(),
                  std::move(program));
  Supervisor supervisor(loop, cluster, command_line, runtime_dir.path());
  show_start_screen(cluster, runtime_dir.path());
  cluster.on_all_seated = [&cluster] { say_serving(cluster); };
  supervisor.run();
}

}  // namespace

int run_serve(const CommandLine& command_line) {
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
