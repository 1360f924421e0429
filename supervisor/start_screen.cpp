#include "supervisor/start_screen.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/machine_memory.h"
#include "supervisor/cluster.h"
#include "supervisor/runtime_dir.h"
#include "supervisor/version.h"

namespace limpet::supervisor {
namespace {

std::string ctl(const std::string& runtime_dir) {
  return runtime_dir == default_runtime_dir() ? "limpet ctl"
                                              : fmt::format("limpet ctl --runtime-dir {}", runtime_dir);
}

std::uint64_t memory_of_worker(const Options& options, std::uint64_t workers) {
  return options.memory != 0 ? options.memory : ipc::default_memory_of_worker(workers);
}

}  // namespace

void show_start_screen(const Cluster& cluster, const std::string& runtime_dir) {
  const std::string prefix = ctl(runtime_dir);
  const Options& options = cluster.program().options;
  base::say(
      STDOUT_FILENO,
      fmt::format("Limpet {} (pid {})\n"
                  "  application  {}\n"
                  "  listening    {}\n"
                  "  workers      {}, one in each slot\n"
                  "  limits       {} connections, {} sessions, {} MiB held for clients\n"
                  "  runtime dir  {}\n\n"
                  "  inspect      {} status    {} stats\n"
                  "  reload       {} reload    (or kill -HUP {})\n"
                  "  stop         {} stop      (or Ctrl-C; a second later again: at once)\n\n",
                  kVersion, ::getpid(), to_text(cluster.program()), fmt::join(cluster.addresses(), ", "),
                  cluster.slots(), cluster.slots() * options.connections, cluster.slots() * options.sessions,
                  cluster.slots() * memory_of_worker(options, cluster.slots()) >> 20, runtime_dir, prefix,
                  prefix, prefix, ::getpid(), prefix));
}

void say_serving(const Cluster& cluster) {
  base::say(STDOUT_FILENO, fmt::format("limpet: serving on {} with {} workers\n",
                                       fmt::join(cluster.addresses(), ", "), cluster.slots()));
}

}  // namespace limpet::supervisor
