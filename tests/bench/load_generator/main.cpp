// load_generator: puts one workload on one running server and prints what it cost the server as one line of
// JSON.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "tests/bench/load_generator/workloads.h"

namespace limpet::bench {
namespace {

struct Options {
  std::string workload;
  pid_t server = 0;
  Endpoint endpoint;
  std::size_t clients = 1000;
  unsigned batch = 1;
  double warm_up_seconds = 0.2;
  double counted_seconds = 1.0;
};

std::chrono::nanoseconds seconds(double value) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(value));
}

void print_figure(const Figure& figure, const ServerTree& tree, const Crowd& crowd) {
  const double cpu_us = static_cast<double>(figure.cpu.count()) / 1e3;
  std::printf(R"({"units":%llu,"cpu_us":%.3f,"us_per_unit":%.5f,"wall_s":%.3f,"processes":%zu,"retried":%zu})"
              "\n",
              static_cast<unsigned long long>(figure.units), cpu_us,
              cpu_us / static_cast<double>(figure.units), static_cast<double>(figure.wall.count()) / 1e9,
              tree.size(), crowd.retried());
}

void print_growth(const MemoryGrowth& growth, const ServerTree& tree, const Crowd& crowd) {
  const double before = static_cast<double>(growth.before_bytes) / 1024;
  const double after = static_cast<double>(growth.after_bytes) / 1024;
  std::printf(
      R"({"units":%zu,"before_kib":%.0f,"after_kib":%.0f,"kib_per_unit":%.4f,"processes":%zu,"retried":%zu})"
      "\n",
      crowd.size(), before, after, (after - before) / static_cast<double>(crowd.size()), tree.size(),
      crowd.retried());
}

Figure measure(const Options& options, Crowd& crowd, const ServerTree& tree) {
  if (options.workload != "connect") crowd.connect_all();
  Meter meter(tree, {seconds(options.warm_up_seconds), seconds(options.counted_seconds)});
  if (options.workload == "broadcast") return measure_broadcast(crowd, options.batch, meter);
  if (options.workload == "echo") return measure_echo(crowd, options.batch, meter);
  return measure_connect(crowd, meter);
}

void run(const Options& options) {
  const ServerTree tree(options.server);
  Crowd crowd(options.endpoint, options.clients);
  if (options.workload == "idle") {
    print_growth(measure_idle(crowd, tree), tree, crowd);
  } else {
    print_figure(measure(options, crowd, tree), tree, crowd);
  }
  if (!tree.unchanged()) throw std::runtime_error("the server's processes changed during the measurement");
}

}  // namespace
}  // namespace limpet::bench

int main(int argc, char** argv) {
  limpet::bench::Options options;
  CLI::App app(
      "Puts one workload on a running server and prints what it cost the server as one line of JSON.");
  app.add_option("workload", options.workload, "broadcast, echo, connect or idle")
      ->required()
      ->check(CLI::IsMember({"broadcast", "echo", "connect", "idle"}));
  app.add_option("--server", options.server, "process id of the server's first process")->required();
  app.add_option("--port", options.endpoint.port, "where it listens on 127.0.0.1")->required();
  app.add_option("--addresses", options.endpoint.source_addresses, "number of source addresses")
      ->check(CLI::Range(1, 60000));
  app.add_option("--clients", options.clients, "number of clients at once")->check(CLI::Range(1, 100000));
  app.add_option("--batch", options.batch, "events in one write: queued at once, or in flight")
      ->check(CLI::Range(1, 64));
  app.add_option("--warm-up", options.warm_up_seconds, "server CPU seconds before counting");
  app.add_option("--seconds", options.counted_seconds, "server CPU seconds to count over");
  CLI11_PARSE(app, argc, argv);
  try {
    limpet::bench::run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "load_generator: %s: %s\n", options.workload.c_str(), error.what());
    return 1;
  }
  return 0;
}
