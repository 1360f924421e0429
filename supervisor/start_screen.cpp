#include "supervisor/start_screen.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "base/descriptor_limit.h"
#include "base/log.h"
#include "base/machine_memory.h"
#include "supervisor/cluster/cluster.h"
#include "supervisor/system/descriptor_needs.h"
#include "supervisor/system/running_file.h"
#include "supervisor/system/runtime_dir.h"
#include "supervisor/system/version.h"

namespace limpet::supervisor {
namespace {

std::uint64_t memory_of_worker(const Options& options, std::uint64_t workers) {
  return options.memory != 0 ? options.memory : base::default_memory_of_worker(workers);
}

/// What each process may have open, and what that makes of the limit of connections.
std::string descriptors(const Cluster& cluster) {
  const std::uint64_t limit = base::descriptor_limit();
  const std::uint64_t connections = cluster.program().options.connections;
  const std::uint64_t clients =
      clients_of_worker(descriptor_needs(cluster.listener_count(), cluster.capacity()), limit, connections);
  return fmt::format("{} a process: about {} clients a worker{}", limit, clients,
                     clients < connections ? ", fewer than limits.connections" : "");
}

}  // namespace

void show_start_screen(const Cluster& cluster, const StartPlace& place, const std::string& runtime_dir) {
  const std::string prefix = ctl_command(place.command(), runtime_dir);
  const Options& options = cluster.program().options;
  base::say(
      STDOUT_FILENO,
      fmt::format("Limpet {} (pid {})\n"
                  "  limpet       {}\n"
                  "  application  {}\n"
                  "  listening    {}\n"
                  "  workers      {}, one in each slot\n"
                  "  limits       {} connections, {} sessions, {} MiB held for clients\n"
                  "  descriptors  {}\n"
                  "  runtime dir  {}\n\n"
                  "  inspect      {} status    {} stats\n"
                  "  reload       {} reload    (or kill -HUP {})\n"
                  "  stop         {} stop      (or Ctrl-C; a second later again: at once)\n\n",
                  kVersion, ::getpid(), to_text(running_limpet(place)), to_text(cluster.program()),
                  fmt::join(cluster.addresses(), ", "), cluster.slots().open(),
                  cluster.slots().open() * options.connections, cluster.slots().open() * options.sessions,
                  cluster.slots().open() * memory_of_worker(options, cluster.slots().open()) >> 20,
                  descriptors(cluster), runtime_dir, prefix, prefix, prefix, ::getpid(), prefix));
}

void say_serving(const Cluster& cluster) {
  base::say(STDOUT_FILENO, fmt::format("limpet: serving on {} with {} workers\n",
                                       fmt::join(cluster.addresses(), ", "), cluster.slots().open()));
}

}  // namespace limpet::supervisor
