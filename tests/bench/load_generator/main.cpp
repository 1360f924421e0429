// load_generator: puts one workload on one running server and prints what it cost the server as one line of
// JSON.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "tests/bench/load_generator/files.h"
#include "tests/bench/load_generator/requests.h"
#include "tests/bench/load_generator/scout.h"
#include "tests/bench/load_generator/workloads.h"

namespace limpet::bench {
namespace {

struct Options {
  std::string workload;
  pid_t server = 0;
  std::uint16_t port = 0;
  std::uint32_t source_addresses = 1;
  std::string named;
  RequestPattern requests;
  Fetch fetch;
  std::size_t clients = 1000;
  unsigned batch = 1;
  double warm_up_seconds = 0.2;
  double counted_seconds = 1.0;
};

std::chrono::nanoseconds seconds(double value) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(value));
}

void print_figure(const Figure& figure, const ServerTree& tree, std::size_t retried) {
  const double cpu_us = static_cast<double>(figure.cpu.count()) / 1e3;
  std::printf(R"({"units":%llu,"cpu_us":%.3f,"us_per_unit":%.5f,"wall_s":%.3f,"processes":%zu,"retried":%zu})"
              "\n",
              static_cast<unsigned long long>(figure.units), cpu_us,
              cpu_us / static_cast<double>(figure.units), static_cast<double>(figure.wall.count()) / 1e9,
              tree.size(), retried);
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

PhaseLengths phases_of(const Options& options) {
  return {seconds(options.warm_up_seconds), seconds(options.counted_seconds)};
}

Figure measure(const Options& options, Crowd& crowd, const ServerTree& tree) {
  if (options.workload != "connect") crowd.connect_all();
  Meter meter(tree, phases_of(options));
  if (options.workload == "broadcast") return measure_broadcast(crowd, options.batch, meter);
  if (options.workload == "echo") return measure_echo(crowd, options.batch, meter);
  return measure_connect(crowd, meter);
}

std::vector<Caller> callers_of(const Options& options) {
  if (options.named.empty()) return plain_callers(options.source_addresses);
  return Scout(options.port).named_callers(options.clients, options.named == "home");
}

void run_crowd(const Options& options, const ServerTree& tree) {
  Crowd crowd(options.port, callers_of(options), options.clients);
  if (options.workload == "idle") return print_growth(measure_idle(crowd, tree), tree, crowd);
  print_figure(measure(options, crowd, tree), tree, crowd.retried());
}

void run(const Options& options) {
  const ServerTree tree(options.server);
  if (options.workload == "requests") {
    Requesters requesters(options.port, options.clients, options.requests);
    Meter meter(tree, phases_of(options));
    print_figure(requesters.measure(meter), tree, 0);
  } else if (options.workload == "files") {
    Fetchers fetchers(options.port, plain_callers(options.source_addresses), options.clients, options.fetch);
    Meter meter(tree, phases_of(options));
    print_figure(fetchers.measure(meter), tree, 0);
  } else {
    run_crowd(options, tree);
  }
  if (!tree.unchanged()) throw std::runtime_error("the server's processes changed during the measurement");
}

}  // namespace
}  // namespace limpet::bench

int main(int argc, char** argv) {
  limpet::bench::Options options;
  CLI::App app(
      "Puts one workload on a running server and prints what it cost the server as one line of JSON.");
  app.add_option("workload", options.workload, "broadcast, echo, connect, idle, requests or files")
      ->required()
      ->check(CLI::IsMember({"broadcast", "echo", "connect", "idle", "requests", "files"}));
  app.add_option("--server", options.server, "process id of the server's first process")->required();
  app.add_option("--port", options.port, "where it listens on 127.0.0.1")->required();
  app.add_option("--addresses", options.source_addresses, "number of source addresses")
      ->check(CLI::Range(1, 60000));
  app.add_option("--clients", options.clients, "number of clients at once")->check(CLI::Range(1, 100000));
  app.add_option("--batch", options.batch, "events in one write: queued at once, or in flight")
      ->check(CLI::Range(1, 64));
  app.add_option("--named", options.named,
                 "a PROXY header names the clients: placed where accepted, or never")
      ->check(CLI::IsMember({"home", "other"}));
  app.add_option("--write", options.requests.writes,
                 "requests: letters h and o (requests.h); may be repeated")
      ->check([](const std::string& letters) {
        const bool good = !letters.empty() && letters.find_first_not_of("ho") == std::string::npos;
        return good ? std::string() : "'" + letters + "': only h (home) and o (other) are known";
      });
  app.add_flag("--fresh", options.requests.fresh, "requests: a connection for each write");
  app.add_option("--path", options.fetch.path, "files: what is asked for");
  app.add_option("--content", options.fetch.content_of,
                 "files: the file that it is; without it the server must answer 404");
  app.add_option("--warm-up", options.warm_up_seconds, "server CPU seconds before counting");
  app.add_option("--seconds", options.counted_seconds, "server CPU seconds to count over");
  CLI11_PARSE(app, argc, argv);
  if (options.workload == "requests" && options.requests.writes.empty()) options.requests.writes = {"h"};
  try {
    limpet::bench::run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "load_generator: %s: %s\n", options.workload.c_str(), error.what());
    return 1;
  }
  return 0;
}
