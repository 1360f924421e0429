// What `limpet ctl` asks and is answered comes out as it went in, or not at all and with a reason.
#include "ipc/messages/ctl.h"

#include <gmock/gmock.h>

#include "ipc/messages/wire.h"
#include "tests/ipc/messages/codec_kit.h"

namespace limpet::ipc {
namespace {

using std::chrono::milliseconds;

template <class Body>
Body through_request(const Body& body) {
  return arrived<Body>(CtlRequest(body), 0, decode_ctl_request);
}
template <class Body>
Body through_reply(const Body& body) {
  return arrived<Body>(CtlReply(body), 0, decode_ctl_reply);
}

TEST(CtlCodec, RequestsOfCtlArrive) {
  EXPECT_EQ(through_request(CtlHello{.protocol_version = 3}).protocol_version, 3u);
  (void)through_request(StatusRequest{});
  (void)through_request(StatsRequest{});
  (void)through_request(ReloadRequest{});
  EXPECT_TRUE(through_request(StopRequest{.at_once = true}).at_once);
  EXPECT_FALSE(through_request(StopRequest{.at_once = false}).at_once);
  (void)through_request(UpgradeRequest{});
  EXPECT_EQ(through_request(ScaleRequest{.workers = kMost16}).workers, kMost16);
}

WorkerStatus some_worker() {
  return {.slot = 4095,
          .lane = 8192,
          .generation = kMost64,
          .pid = kMost32,
          .state = "serving",
          .seated = true,
          .age = kLongest,
          .since_beat = milliseconds(1),
          .sessions = kMost64};
}

SlotStatus some_slot() {
  return {.slot = 1,
          .state = "back-off",
          .deaths = kMost64,
          .next_start = milliseconds(30'000),
          .last_obituary = "slot 1 gen 7: killed by signal 9",
          .workers = {some_worker(), WorkerStatus{}}};
}

TEST(CtlCodec, AStatusArrives) {
  const StatusReply got = through_reply(StatusReply{.version = "0.1.0",
                                                    .pid = 1,
                                                    .uptime = kLongest,
                                                    .application = "./chat",
                                                    .runtime_dir = "/run/limpet",
                                                    .operation = "reload since 12.3 s",
                                                    .listeners = {"tcp://0.0.0.0:3000", ""},
                                                    .slots = {SlotStatus{}, some_slot()}});
  EXPECT_EQ(got.version, "0.1.0");
  EXPECT_EQ(got.pid, 1u);
  EXPECT_EQ(got.uptime, kLongest);
  EXPECT_EQ(got.application, "./chat");
  EXPECT_EQ(got.runtime_dir, "/run/limpet");
  EXPECT_EQ(got.operation, "reload since 12.3 s");
  EXPECT_THAT(got.listeners, testing::ElementsAre("tcp://0.0.0.0:3000", ""));
  ASSERT_EQ(got.slots.size(), 2u);
  EXPECT_TRUE(got.slots[0].workers.empty());
}

TEST(CtlCodec, ASlotOfAStatusArrives) {
  const StatusReply got = through_reply(StatusReply{.slots = {some_slot()}});
  ASSERT_EQ(got.slots.size(), 1u);
  const SlotStatus& slot = got.slots[0];
  EXPECT_EQ(slot.slot, 1);
  EXPECT_EQ(slot.state, "back-off");
  EXPECT_EQ(slot.deaths, kMost64);
  EXPECT_EQ(slot.next_start, milliseconds(30'000));
  EXPECT_EQ(slot.last_obituary, "slot 1 gen 7: killed by signal 9");
  ASSERT_EQ(slot.workers.size(), 2u);
  EXPECT_FALSE(slot.workers[1].seated);
}

TEST(CtlCodec, AWorkerOfAStatusArrives) {
  const StatusReply got = through_reply(StatusReply{.slots = {some_slot()}});
  ASSERT_EQ(got.slots.size(), 1u);
  ASSERT_FALSE(got.slots[0].workers.empty());
  const WorkerStatus& worker = got.slots[0].workers[0];
  EXPECT_EQ(worker.slot, 4095);
  EXPECT_EQ(worker.lane, 8192);
  EXPECT_EQ(worker.generation, kMost64);
  EXPECT_EQ(worker.pid, kMost32);
  EXPECT_EQ(worker.state, "serving");
  EXPECT_TRUE(worker.seated);
  EXPECT_EQ(worker.age, kLongest);
  EXPECT_EQ(worker.since_beat, milliseconds(1));
  EXPECT_EQ(worker.sessions, kMost64);
}

TEST(CtlCodec, CountersArrive) {
  const StatsReply got = through_reply(StatsReply{.counters = {{.name = "bytes_in",
                                                                .unit = "bytes",
                                                                .help = "read from clients",
                                                                .is_gauge = true,
                                                                .total = kMost64,
                                                                .by_slot = {0, 1, kMost64}},
                                                               CounterReport{}}});
  ASSERT_EQ(got.counters.size(), 2u);
  EXPECT_EQ(got.counters[0].name, "bytes_in");
  EXPECT_EQ(got.counters[0].unit, "bytes");
  EXPECT_EQ(got.counters[0].help, "read from clients");
  EXPECT_TRUE(got.counters[0].is_gauge);
  EXPECT_EQ(got.counters[0].total, kMost64);
  EXPECT_THAT(got.counters[0].by_slot, testing::ElementsAre(0u, 1u, kMost64));
  EXPECT_FALSE(got.counters[1].is_gauge);
  EXPECT_TRUE(got.counters[1].by_slot.empty());
}

TEST(CtlCodec, TheOtherRepliesToCtlArrive) {
  EXPECT_EQ(through_reply(CtlHello{.protocol_version = 3}).protocol_version, 3u);
  EXPECT_EQ(through_reply(Progress{.line = "slot 0: ready"}).line, "slot 0: ready");
  const Done done = through_reply(Done{.exit_code = 255, .line = "no"});
  EXPECT_EQ(done.exit_code, 255);
  EXPECT_EQ(done.line, "no");
}

TEST(CtlCodec, AListOverItsLimitIsRefused) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<wire::CtlReply>().initStatus().initListeners(1025);
  EXPECT_EQ(refusal(datagram_of(bytes_of(builder)), decode_ctl_reply),
            "StatusReply: listeners has 1025 items, the limit is 1024");
}

}  // namespace
}  // namespace limpet::ipc
