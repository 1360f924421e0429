// limpet::run: a worker of a supervisor if there is a heritage, else an application on its own.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "base/descriptor_limit.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/standard_descriptors.h"
#include "worker/limpet/app.h"
#include "worker/process/settings.h"
#include "worker/process/worker.h"

/// What jemalloc is told when the process starts (jemalloc(3), "TUNING"). One arena, for there is one thread
/// that allocates. What was freed, large blocks as well, goes back to the system after two seconds, by a
/// thread of jemalloc's own: no turn of the loop waits for it. MALLOC_CONF in the environment overrides these
/// words.
extern "C" const char* malloc_conf;
const char* malloc_conf =
    "narenas:1,background_thread:true,dirty_decay_ms:2000,muzzy_decay_ms:0,oversize_threshold:0";

namespace limpet {
namespace {

void set_up_log(const std::string& who) { base::open_log("limpet[%P] " + who + "%l: %v", "info"); }

/// Who was executed by descriptor has a number for a name, before Linux 6.14.
void take_name(std::string_view path) {
  const std::string name(path.substr(path.rfind('/') + 1));
  ::prctl(PR_SET_NAME, name.c_str());
}

/// What a program that the application starts must not hold: with a listening socket of ours it would keep
/// the address in use after our end. Not earlier, for a script may stand between supervisor and application.
/// Throws std::runtime_error in words if the heritage is not here.
void keep_heritage_from_children(const ipc::Heritage& heritage) {
  const auto keep = [](int number) {
    if (::fcntl(number, F_SETFD, FD_CLOEXEC) == 0) return;
    throw std::runtime_error(
        std::string(ipc::kHeritageVariable) + " is set, but descriptor " + std::to_string(number) +
        " is closed: whatever stands between the supervisor and the application (sudo, a "
        "script) has to pass on all descriptors, or must not pass on the variable");
  };
  for (const int number : {ipc::kControlChannel, ipc::kClusterPage, ipc::kSettings, ipc::kInbox})
    keep(number);
  // Not of a supervisor that has none yet.
  (void)::fcntl(ipc::kSlotBoard, F_SETFD, FD_CLOEXEC);
  for (int number = ipc::kFirstListener; number < heritage.inbox_sender(heritage.slots); ++number)
    keep(number);
}

int run_in_cluster(const char* inherited, process::Worker::Setup setup) {
  std::string why;
  const auto heritage = ipc::heritage_from_environment(inherited, &why);
  if (!heritage) throw std::runtime_error(std::string(ipc::kHeritageVariable) + ": " + why);
  set_up_log(ipc::seat_name(heritage->slot) + " gen " + std::to_string(heritage->generation) + " ");
  // A child of the application must not take itself for a worker.
  ::unsetenv(ipc::kHeritageVariable);
  keep_heritage_from_children(*heritage);
  base::set_aside_descriptors();
  auto settings = process::parse_settings(process::read_settings(base::Descriptor(ipc::kSettings)));
  return process::Worker(*heritage, std::move(settings), std::move(setup)).run();
}

int run_alone(int argc, char** argv, process::Worker::Setup setup) {
  process::Settings settings;
  CLI::App options(
      "A Limpet application, alone: one worker without a supervisor. `limpet serve` runs it as a cluster.");
  options.add_option("--listen", settings.listen,
                     "address to listen on, tcp://ADDR:PORT (default tcp://127.0.0.1:3000)");
  options.allow_extras();  // the application's own words
  try {
    options.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return options.exit(error) == 0 ? 0 : 2;
  }
  if (settings.listen.empty()) settings.listen = {"tcp://127.0.0.1:3000"};
  set_up_log("");
  return process::Worker(std::move(settings), std::move(setup)).run();
}

int run_to_the_end(int argc, char** argv, process::Worker::Setup setup) {
  try {
    const char* inherited = std::getenv(ipc::kHeritageVariable);
    return inherited != nullptr ? run_in_cluster(inherited, std::move(setup))
                                : run_alone(argc, argv, std::move(setup));
  } catch (const std::exception& error) {
    // Whoever reads stderr must not keep the supervisor from learning of this.
    base::say(STDERR_FILENO, "limpet: start: " + std::string(error.what()) + "\n");
    return 1;
  }
}

}  // namespace

int run(int argc, char** argv, std::function<void(Io&)> setup) {
  base::fill_standard_descriptors();
  base::do_nothing_at({SIGPIPE});
  base::raise_descriptor_limit();
  if (argc > 0) take_name(argv[0]);
  const int code = run_to_the_end(argc, argv, std::move(setup));
  base::finish_log();
  return code;
}

}  // namespace limpet
