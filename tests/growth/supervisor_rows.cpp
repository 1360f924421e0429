// What an operator can make large: slots, listening addresses, option files, and what `ctl` says of them.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/descriptor.h"
#include "ipc/messages/ctl.h"
#include "supervisor/cluster/objection.h"
#include "supervisor/cluster/totals.h"
#include "supervisor/ctl/ctl_output.h"
#include "supervisor/listen/routing_program.h"
#include "supervisor/options/options.h"
#include "supervisor/options/settings.h"
#include "supervisor/upgrade/state.h"
#include "tests/growth/growth.h"

namespace limpet::growth {
namespace {

using namespace supervisor;

/// A file in memory, and its name.
struct File {
  explicit File(const std::string& text) : descriptor(::memfd_create("limpet.toml", MFD_CLOEXEC)) {
    EXPECT_EQ(::write(descriptor.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  [[nodiscard]] std::string name() const { return "/proc/self/fd/" + std::to_string(descriptor.get()); }
  base::Descriptor descriptor;
};

LoadedOptions load(const File& file) { return load_options({file.name(), {}, {}, false}); }

void listen_tables(std::size_t n) {
  std::string text;
  for (std::size_t i = 0; i < n; ++i)
    text += "[[listen]]\naddress = \"tcp://127.0.0.1:" + std::to_string(10'000 + i) +
            "\"\nproxy_protocol = true\nidle_timeout = \"5s\"\n";
  const File file(text);
  LoadedOptions loaded;
  std::string settings;
  counted([&] {
    loaded = load(file);
    settings = settings_json(loaded.options, loaded.options.listen, 7);
  });
  EXPECT_EQ(loaded.mistakes, std::vector<std::string>());
  EXPECT_EQ(loaded.options.listen.size(), n);
}

void wrong_keys(std::size_t n) {
  std::string text;
  for (std::size_t i = 0; i < n; ++i) text += "pong_interval" + std::to_string(i) + " = 1\n";
  const File file(text);
  LoadedOptions loaded;
  counted([&] { loaded = load(file); });
  EXPECT_EQ(loaded.mistakes.size(), 21U) << "twenty, and how many more there are";
}

void trusted_networks(std::size_t n) {
  std::string text = "trusted = [";
  for (std::size_t i = 0; i < n; ++i)
    text += "\"10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".0/24\",";
  const File file(text + "]\n");
  LoadedOptions loaded;
  counted([&] { loaded = load(file); });
  EXPECT_EQ(loaded.mistakes, std::vector<std::string>());
  EXPECT_EQ(loaded.options.trusted.size(), n);
}

void routing_of_slots(std::size_t n) {
  std::vector<bool> takes_part(n, true);
  takes_part[n / 2] = false;
  std::size_t instructions = 0;
  counted([&] { instructions = routing_program(takes_part, 7).size(); });
  EXPECT_GT(instructions, n);
}

ipc::StatusReply status_of(std::size_t slots) {
  ipc::StatusReply status;
  status.version = "0.1.0";
  status.application = "./app";
  for (std::size_t i = 0; i < slots; ++i) {
    ipc::SlotStatus slot;
    slot.slot = static_cast<std::uint16_t>(i);
    slot.state = "serving";
    slot.last_obituary = "slot 3 gen 7 pid 4711: killed by signal 9";
    ipc::WorkerStatus worker;
    worker.slot = slot.slot;
    worker.generation = i;
    worker.state = "serving";
    slot.workers.push_back(worker);
    status.slots.push_back(slot);
  }
  return status;
}

void status_of_slots(std::size_t n) {
  const ipc::StatusReply status = status_of(n);
  std::string table, json;
  counted([&] {
    ipc::Datagram datagram;
    datagram.bytes = ipc::encode(ipc::CtlReply(status));
    std::string why;
    const auto decoded = ipc::decode_ctl_reply(datagram, &why);
    ASSERT_TRUE(decoded) << why;
    table = status_table(std::get<ipc::StatusReply>(*decoded));
    json = status_json(std::get<ipc::StatusReply>(*decoded));
  });
  EXPECT_GT(table.size(), n * 10);
  EXPECT_GT(json.size(), n * 10);
}

void stats_of_slots(std::size_t n) {
  Totals totals(static_cast<std::uint16_t>(n));
  const auto counters = ipc::CounterBlock::create({0, 0, 1});
  std::string table, json;
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) totals.count_start(static_cast<std::uint16_t>(i));
    const ipc::StatsReply stats = totals.report({});
    table = stats_table(stats);
    json = stats_json(stats);
  });
  EXPECT_GT(table.size() + json.size(), n);
}

/// What an upgrade carries over.
void state_of_slots(std::size_t n) {
  upgrade::SupervisorState state;
  for (std::size_t i = 0; i < n; ++i) {
    upgrade::SlotState slot;
    slot.ends = {{"crashed", 3}};
    slot.retired = {{"sessions_opened", 4}};
    state.slots.push_back(slot);
    upgrade::WorkerState worker;
    worker.who.slot = static_cast<std::uint16_t>(i);
    worker.who.generation = i;
    worker.pid = static_cast<std::uint32_t>(1000 + i);
    worker.state = "serving";
    state.workers.push_back(worker);
  }
  std::string objection;
  std::size_t slots = 0;
  counted([&] {
    ipc::Datagram file;
    file.bytes = encode(state);
    const auto decoded = upgrade::decode_supervisor_state(file, &objection);
    ASSERT_TRUE(decoded) << objection;
    objection = objection_to(*decoded);
    slots = decoded->slots.size();
  });
  EXPECT_EQ(slots, n);
}

}  // namespace

Rows supervisor_rows() {
  return {
      {"listen_tables", 32, listen_tables},        {"option_mistakes", 64, wrong_keys},
      {"trusted_networks", 256, trusted_networks}, {"routing_program_of_slots", 32, routing_of_slots},
      {"status_of_slots", 32, status_of_slots},    {"stats_of_slots", 32, stats_of_slots},
      {"state_of_slots", 32, state_of_slots},
  };
}

}  // namespace limpet::growth
