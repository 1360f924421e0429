#include "supervisor/cluster/control_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/supervisor/cluster/parts_kit.h"

namespace limpet::supervisor {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

class Heard : public testing::Test {
 protected:
  void hear(Worker& worker, const ipc::WorkerMessage& message, const std::vector<int>& descriptors = {}) {
    kit.workers.say(worker, message, descriptors);
    kit.messages.read(worker);
  }
  /// With four descriptors, of which the third is that of its counters.
  void hear_hello(Worker& worker, ipc::Hello hello = {}) {
    if (hello.who == ipc::Incarnation{}) hello.who = worker.who();
    hello.build = "test";
    const int memory = kit.workers.counters(worker).descriptor();
    hear(worker, hello, {memory, memory, memory, memory});
  }

  PartsKit kit{2};
};

TEST_F(Heard, hello_is_answered_with_the_peers_who_hear_of_the_newcomer_after_that) {
  Worker& first = kit.add(0, WorkerState::Spawned);
  Worker& second = kit.add(1, WorkerState::Spawned);
  hear_hello(first);
  EXPECT_EQ(first.state(), WorkerState::Attaching);
  EXPECT_THAT(kit.told(first), ElementsAre("welcome"));
  hear_hello(second);
  EXPECT_THAT(kit.told(second), ElementsAre("peer joined 1 +3", "welcome"));
  EXPECT_THAT(kit.told(first), ElementsAre("peer joined 2 +3"));
}

TEST_F(Heard, hello_of_somebody_else_or_of_another_protocol_ends_the_worker) {
  Worker& first = kit.add(0, WorkerState::Spawned);
  hear_hello(first, {.who = {0, 0, 77}});
  EXPECT_EQ(first.cause, Cause::Misbehaved);
  EXPECT_THAT(first.cause_text, StartsWith("says hello with protocol"));
  Worker& second = kit.add(1, WorkerState::Spawned);
  hear_hello(second, {.protocol_version = ipc::kProtocolVersion + 1});
  EXPECT_EQ(second.cause, Cause::Misbehaved);
  EXPECT_THAT(kit.told(second), ElementsAre("leave"));
}

TEST_F(Heard, hello_with_counters_of_another_worker_ends_the_worker) {
  Worker& worker = kit.add(0, WorkerState::Spawned);
  const int others = kit.workers.counters(kit.add(1)).descriptor();
  hear(worker, ipc::Hello{.who = worker.who()}, {others, others, others, others});
  EXPECT_EQ(worker.cause, Cause::Misbehaved);
  EXPECT_THAT(worker.cause_text, StartsWith("its counters: "));
}

TEST_F(Heard, at_the_wrong_time_it_ends_the_worker_and_the_first_reason_stays) {
  Worker& worker = kit.add(0, WorkerState::Spawned);
  hear(worker, ipc::Ready{});
  EXPECT_EQ(worker.cause, Cause::Misbehaved);
  EXPECT_EQ(worker.cause_text, "said 'ready' while spawned");
  EXPECT_EQ(worker.state(), WorkerState::Stopping);
  hear(worker, ipc::Ready{});
  EXPECT_EQ(worker.cause_text, "said 'ready' while spawned");
}

TEST_F(Heard, ready_takes_a_seat_unless_the_listener_does_it) {
  Worker& first = kit.add(0, WorkerState::Attaching);
  hear(first, ipc::Ready{});
  EXPECT_TRUE(first.is_seated());
  kit.events.takes_the_ready = true;
  Worker& second = kit.add(1, WorkerState::Attaching);
  hear(second, ipc::Ready{});
  EXPECT_EQ(second.state(), WorkerState::Ready);
}

TEST_F(Heard, ready_while_everything_stops_drains) {
  kit.slots.stop();
  Worker& late = kit.add(0, WorkerState::Attaching);
  hear(late, ipc::Ready{});
  EXPECT_EQ(late.state(), WorkerState::Draining);
  EXPECT_THAT(kit.events.heard, IsEmpty());
}

TEST_F(Heard, progress_of_one_that_serves_says_that_it_drains_by_itself_and_another_is_started) {
  Worker& worker = kit.add(0);
  hear(worker, ipc::DrainProgress{5, 0, 1});
  EXPECT_EQ(worker.state(), WorkerState::Draining);
  EXPECT_EQ(worker.progress->sessions_left, 5U);
  EXPECT_THAT(kit.events.heard, ElementsAre("progress 1"));
  // Which cannot be had here.
  EXPECT_EQ(kit.totals.starts(0), 1U);
  EXPECT_TRUE(kit.slots.at(0).respawn.running());
}

TEST_F(Heard, leaving_is_kept_for_the_end) {
  Worker& worker = kit.add(0, WorkerState::Draining);
  hear(worker, ipc::Leaving{7, 2});
  EXPECT_EQ(worker.progress->sessions_left, 0U);
  EXPECT_EQ(worker.progress->moved, 7U);
  EXPECT_EQ(worker.progress->drained, 2U);
}

TEST_F(Heard, signalled_is_answered_and_reported) {
  Worker& worker = kit.add(0);
  hear(worker, ipc::Signalled{});
  EXPECT_THAT(kit.told(worker), ElementsAre("go on"));
  EXPECT_THAT(kit.events.heard, ElementsAre("signalled 1"));
  EXPECT_TRUE(worker.is_seated());
}

TEST_F(Heard, buckets_moved_is_reported) {
  Worker& worker = kit.add(0);
  hear(worker, ipc::BucketsMoved{1, 5, 0});
  EXPECT_THAT(kit.events.heard, ElementsAre("moved 1"));
}

TEST_F(Heard, failed_of_one_that_boots_is_the_last_that_is_read) {
  Worker& worker = kit.add(0, WorkerState::Attaching);
  hear(worker, ipc::Failed{"no such file"});
  EXPECT_EQ(worker.last_words, "no such file");
  EXPECT_EQ(worker.on_message, nullptr);
  EXPECT_FALSE(worker.cause);
}

TEST_F(Heard, nothing_more_from_a_closed_channel_which_has_time_to_exit) {
  Worker& worker = kit.add(0);
  kit.workers.close_channel(worker);
  kit.messages.read(worker);
  EXPECT_EQ(worker.on_message, nullptr);
  EXPECT_TRUE(worker.deadline.running());
  EXPECT_FALSE(worker.cause);
}

TEST_F(Heard, at_most_64_messages_at_once) {
  Worker& worker = kit.add(0, WorkerState::Draining);
  for (int count = 0; count < 65; ++count) kit.workers.say(worker, ipc::DrainProgress{1, 0, 0});
  kit.messages.read(worker);
  EXPECT_EQ(kit.events.heard.size(), 64U);
  kit.messages.read(worker);
  EXPECT_EQ(kit.events.heard.size(), 65U);
}

}  // namespace
}  // namespace limpet::supervisor
