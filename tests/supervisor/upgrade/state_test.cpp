// The state that an upgrade carries comes out as it went in, or not at all and with a reason; its bytes are
// those that builds before this one write (tests/golden.h).
#include "supervisor/upgrade/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/golden.h"

namespace limpet::supervisor::upgrade {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr auto kMost32 = std::numeric_limits<std::uint32_t>::max();
constexpr auto kMost64 = std::numeric_limits<std::uint64_t>::max();
constexpr milliseconds kLongest{std::int64_t{100} * 366 * 24 * 3600 * 1000};

ipc::Datagram file_of(const SupervisorState& state) { return {.bytes = encode(state), .descriptors = {}}; }

std::string refusal(const SupervisorState& state) {
  std::string why;
  EXPECT_FALSE(decode_supervisor_state(file_of(state), &why).has_value());
  return why;
}

/// With every field set.
SupervisorState full_state() {
  SupervisorState state;
  state.build = "0.1.0";
  state.binary = "/bin/limpet";
  state.runtime_dir = "/run/limpet";
  state.started = 1s;
  state.announced = true;
  state.reload_again = true;
  state.last_generation = 2;
  state.free_lanes = {3, 4};
  state.bucket_owners = {5, 6, 7};
  state.descriptor_limit = 8;
  state.placement_seed = 9;
  state.start_directory = "/srv/app/current";
  state.image = {10, 11, 12, 13};
  state.lock = 3;
  state.control_socket = 4;
  state.clients = {5, 6};
  state.programs = {{.options = {{"reload.move", {"true"}}},
                     .application = {"./app", "x"},
                     .executable = "/app",
                     .arguments = {"x"},
                     .image = -1,
                     .settings = 7,
                     .directory = 31,
                     .mark = {14, 15, 16, -17}}};
  state.listeners = {{.address = "tcp://127.0.0.1:1", .sockets = {8, 9}}};
  state.slots = {{.inbox_receiving = 10,
                  .inbox_sending = 11,
                  .deaths_in_a_row = 12,
                  .next_start = 13ms,
                  .vacant_since = 14ms,
                  .deaths = 15,
                  .last_obituary = "died",
                  .starts = 16,
                  .ends = {{"deaths_exit", 17}},
                  .retired = {{"http_requests", 18}}}};
  WorkerState worker;
  worker.who = {.slot = 3, .lane = 5, .generation = 7};
  worker.pid = 19;
  worker.state = "draining";
  worker.program = 0;
  worker.pidfd = 18;
  worker.control = 19;
  worker.ring = 20;
  worker.reader_page = 21;
  worker.counters = 22;
  worker.doorbell = 23;
  worker.giver_end = 24;
  worker.born = 25ms;
  worker.ready_since = 26ms;
  worker.drained_by = 27ms;
  worker.is_moving = true;
  worker.has_progress = true;
  worker.progress = {28, 29, 30};
  worker.cause = "deaths_hung";
  worker.cause_text = "hung";
  worker.ended_while = "serving";
  worker.last_words = "no";
  state.workers = {worker};
  return state;
}

TEST(StateCodec, TheStateOfASupervisorArrives) {
  SupervisorState state = full_state();
  state.started = kLongest;
  state.last_generation = kMost64;
  state.free_lanes = {8192, 0};
  state.bucket_owners.assign(4096, 4095);
  state.descriptor_limit = kMost64;
  state.placement_seed = kMost64 - 1;
  state.image = {kMost64, 1, 2, 3};
  state.programs[0].mark = {1, kMost64, 3, -4};
  state.slots[0].retired[0].number = kMost64;
  state.workers[0].who = {.slot = 4095, .lane = 8192, .generation = kMost64};
  state.workers[0].pid = kMost32;
  state.workers[0].program = 1;
  state.workers.emplace_back();
  std::string why;
  const auto arrived_state = decode_supervisor_state(file_of(state), &why);
  ASSERT_TRUE(arrived_state) << why;
  // Every field, by the bytes that it becomes again.
  EXPECT_EQ(encode(*arrived_state), encode(state));
  EXPECT_EQ(arrived_state->programs[0].mark.modified_ns, -4);
  EXPECT_EQ(arrived_state->start_directory, "/srv/app/current");
  EXPECT_EQ(arrived_state->workers[0].progress.drained, 30U);
  EXPECT_EQ(arrived_state->slots[0].retired[0].number, kMost64);
  EXPECT_EQ(arrived_state->programs[0].options[0].values[0], "true");
}

TEST(StateCodec, AStateOfAnotherVersionIsRefused) {
  SupervisorState state;
  state.version = kStateVersion + 1;
  EXPECT_THAT(refusal(state), HasSubstr("SupervisorState: version 2, this build reads 1"));
  state.version = kStateVersion;
  state.lock = -2;
  EXPECT_THAT(refusal(state), HasSubstr("-2 is no descriptor"));
}

TEST(StateCodec, TheStateIsWrittenAsBuildsBeforeWriteIt) {
  test::Golden golden("tests/supervisor/upgrade/golden.txt");
  golden.expect("state", encode(full_state()));
  golden.expect_all_seen();
}

}  // namespace
}  // namespace limpet::supervisor::upgrade
