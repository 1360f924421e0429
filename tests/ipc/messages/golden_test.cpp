// Every message between processes, and the state that an upgrade carries, byte by byte as builds before this
// one send them (tests/golden.h).
#include <gtest/gtest.h>

#include "ipc/messages/codec.h"
#include "tests/golden.h"

namespace limpet::ipc {
namespace {

using namespace std::chrono_literals;

const Incarnation kWho{.slot = 3, .lane = 5, .generation = 7};

// Each alternative of its variant once at least, with every field set.
const std::vector<WorkerMessage> kWorkerMessages = {
    Hello{.protocol_version = 1, .build = "0.1.0", .who = kWho, .level = 2},
    Ready{},
    Failed{.reason = "why"},
    DrainProgress{.sessions_left = 1, .moved = 2, .drained = 3},
    Leaving{.moved = 4, .drained = 5},
    BucketsMoved{.to_slot = 6, .moved = 7, .drained = 8},
    Signalled{},
};

const std::vector<SupervisorMessage> kSupervisorMessages = {
    Welcome{.protocol_version = 1, .level = 2},
    PeerJoined{.who = kWho},
    PeerLeft{.who = kWho},
    TakeSeat{},
    GiveUpSeat{},
    Drain{.window = 1s, .deadline = 2s},
    Succeed{},
    Migrate{.window = 3s, .deadline = 4s},
    ExpectSessions{.from_slot = 9},
    MoveBuckets{.to_slot = 10, .window = 5s, .deadline = 6s},
    BorrowSlot{.slot = 11},
    ReturnSlot{.slot = 12},
    Knows{.level = 2},
    GoOn{},
    Leave{},
};

const std::vector<CtlRequest> kCtlRequests = {
    CtlHello{.protocol_version = 1},
    StatusRequest{},
    StatsRequest{},
    ReloadRequest{},
    StopRequest{true},
    UpgradeRequest{},
    ScaleRequest{.workers = 13},
};

StatusReply status() {
  const WorkerStatus worker{.slot = 1,
                            .lane = 2,
                            .generation = 3,
                            .pid = 4,
                            .state = "serving",
                            .seated = true,
                            .age = 5s,
                            .since_beat = 6ms,
                            .sessions = 7};
  const SlotStatus slot{.slot = 1,
                        .state = "serving",
                        .deaths = 8,
                        .next_start = 9ms,
                        .last_obituary = "obituary",
                        .workers = {worker}};
  return {.version = "0.1.0",
          .pid = 10,
          .uptime = 11s,
          .application = "./app",
          .runtime_dir = "/run/limpet",
          .operation = "reload",
          .listeners = {"tcp://*:3000"},
          .slots = {slot},
          .binary = "/bin/limpet"};
}

const std::vector<CtlReply> kCtlReplies = {
    CtlHello{.protocol_version = 1},
    status(),
    StatsReply{.counters = {{.name = "name",
                             .unit = "ms",
                             .help = "help",
                             .is_gauge = true,
                             .total = 12,
                             .by_slot = {13, 14}}}},
    Progress{.line = "slot 0"},
    Done{.exit_code = 1, .line = "done"},
};

Handover handover(HandoverKind kind) {
  return {.kind = kind,
          .client_address = "192.0.2.1",
          .client_port = 4711,
          .listener = 2,
          .bytes = "GET / HTTP/1.1\r\n\r\n",
          .placed = true};
}

SupervisorState state() {
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
  worker.who = kWho;
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

template <class Message>
void expect_each(test::Golden& golden, const std::string& kind, const std::vector<Message>& messages) {
  std::set<std::size_t> alternatives;
  for (const Message& message : messages) {
    alternatives.insert(message.index());
    golden.expect(kind + "." + std::to_string(message.index()), encode(message));
  }
  EXPECT_EQ(alternatives.size(), std::variant_size_v<Message>) << kind << ": one has no row";
}

TEST(GoldenBytes, EveryMessageIsSentAsBuildsBeforeSendIt) {
  test::Golden golden("tests/ipc/messages/golden.txt");
  expect_each(golden, "worker", kWorkerMessages);
  expect_each(golden, "supervisor", kSupervisorMessages);
  expect_each(golden, "ctl_request", kCtlRequests);
  expect_each(golden, "ctl_reply", kCtlReplies);
  golden.expect("handover.connection", encode(handover(HandoverKind::Connection)));
  golden.expect("handover.request", encode(handover(HandoverKind::Request)));
  golden.expect("state", encode(state()));
  golden.expect_all_seen();
}

}  // namespace
}  // namespace limpet::ipc
