// Every message between processes, byte by byte as builds before this one send them (tests/golden.h).
#include <gtest/gtest.h>

#include "ipc/messages/control.h"
#include "ipc/messages/ctl.h"
#include "ipc/messages/handover.h"
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
  golden.expect_all_seen();
}

}  // namespace
}  // namespace limpet::ipc
