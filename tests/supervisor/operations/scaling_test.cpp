// Another number of workers step by step, over a cluster without processes: which pairs of slots move, what
// becomes of givers and takers that die, what is said at the end.
#include "supervisor/operations/scaling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/supervisor/operations/fake_cluster.h"

namespace limpet::supervisor {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Options patient() {
  Options options;
  options.boot_deadline = 1h;
  options.drain_deadline = 1h;
  return options;
}

class ScalingOf {
 public:
  ScalingOf(std::uint16_t before, std::uint16_t after, const Options& options = patient())
      : cluster(before, options),
        scaling(cluster.loop, cluster, after, report.say(), report.done(cluster.loop)) {
    cluster.operation = &scaling;
  }

  FakeCluster cluster;
  Report report;
  Scaling scaling;
};

TEST(Scaling, up_deals_the_buckets_when_all_new_workers_serve_and_is_done_when_all_pairs_are) {
  ScalingOf up(2, 4);
  up.scaling.begin();
  EXPECT_THAT(up.cluster.steps, ElementsAre("open 4"));
  up.cluster.becomes_ready(4);
  EXPECT_FALSE(up.scaling.has_changed_the_cluster());
  up.cluster.becomes_ready(3);
  EXPECT_TRUE(up.scaling.has_changed_the_cluster());
  EXPECT_EQ(up.cluster.steps.back(), "deal to 4");
  up.cluster.has_moved(1, {2, 10, 0});
  up.cluster.has_moved(1, {3, 20, 1});
  up.cluster.has_moved(2, {2, 30, 0});
  // Nobody has asked for this one.
  up.cluster.has_moved(2, {1, 99, 99});
  EXPECT_TRUE(up.report.ends.empty());
  up.cluster.has_moved(2, {3, 40, 2});
  EXPECT_THAT(up.report.lines,
              ElementsAre("slot 3: pid -4 serves", "slot 2: pid -3 serves",
                          "slot 0 -> slot 2: 10 moved, 0 drained", "slot 0 -> slot 3: 20 moved, 1 drained",
                          "slot 1 -> slot 2: 30 moved, 0 drained", "slot 1 -> slot 3: 40 moved, 2 drained"));
  EXPECT_THAT(up.report.ends,
              ElementsAre(StartsWith("good: scale done: 2 -> 4 workers; 100 sessions moved, 3 drained (")));
  // A pair is done once.
  up.cluster.has_moved(2, {3, 1, 1});
  EXPECT_EQ(up.report.ends.size(), 1U);
}

TEST(Scaling, up_closes_the_new_slots_if_a_new_worker_dies_before_the_buckets_are_dealt) {
  ScalingOf up(2, 4);
  up.scaling.begin();
  up.cluster.becomes_ready(3);
  up.cluster.dies(4, Cause::Exit);
  EXPECT_THAT(up.cluster.steps, ElementsAre("open 4", "seat gen 3", "close 2"));
  EXPECT_THAT(up.report.ends, ElementsAre("bad: scale failed: gen 4 died; 2 workers go on"));
  up.cluster.dies(3, Cause::Left);
  EXPECT_EQ(up.report.ends.size(), 1U);
  EXPECT_FALSE(up.scaling.has_changed_the_cluster());
}

TEST(Scaling, up_does_not_fail_if_an_old_worker_dies_before_the_buckets_are_dealt) {
  ScalingOf up(1, 2);
  up.scaling.begin();
  up.cluster.dies(1, Cause::Signal, 5);
  EXPECT_THAT(up.report.lines, ElementsAre("gen 1 died"));
  up.cluster.becomes_ready(2);
  // Who has no worker has no session.
  EXPECT_THAT(
      up.report.ends,
      ElementsAre(StartsWith("good: scale done: 1 -> 2 workers; 0 sessions moved, 0 drained, 5 lost (")));
}

TEST(Scaling, up_fails_if_the_new_workers_do_not_serve_in_time) {
  Options options = patient();
  options.boot_deadline = 1ms;
  ScalingOf up(1, 3, options);
  up.scaling.begin();
  up.cluster.becomes_ready(2);
  up.cluster.slots().at(2).last_obituary = "slot 2: start a worker: no process";
  up.cluster.loop.run();
  EXPECT_THAT(up.report.ends,
              ElementsAre("bad: scale failed: the new workers do not all serve after 1 ms: slot 2: "
                          "start a worker: no process; 1 workers go on"));
  EXPECT_EQ(up.cluster.steps.back(), "close 1");
}

TEST(Scaling, the_next_tenant_of_a_taker_that_died_gets_what_the_givers_still_have) {
  ScalingOf up(2, 3);
  up.scaling.begin();
  up.cluster.becomes_ready(3);
  up.cluster.has_moved(1, {2, 4, 0});
  up.cluster.dies(3, Cause::Exit, 4);
  EXPECT_THAT(up.report.lines, Contains("gen 3 died"));
  EXPECT_TRUE(up.report.ends.empty());
  (void)up.cluster.add(2, WorkerState::Ready);
  up.cluster.becomes_ready(4);
  // From slot 0 everything had come.
  EXPECT_EQ(up.cluster.steps.back(), "move 1 -> 2");
  up.cluster.has_moved(2, {2, 5, 0});
  EXPECT_THAT(up.report.ends, ElementsAre(HasSubstr("9 sessions moved, 0 drained, 4 lost (")));
}

TEST(Scaling, a_giver_that_dies_has_nothing_more_to_give) {
  ScalingOf up(2, 3);
  up.scaling.begin();
  up.cluster.becomes_ready(3);
  up.cluster.dies(1, Cause::Signal, 11);
  up.cluster.has_moved(2, {2, 1, 0});
  EXPECT_THAT(up.report.ends, ElementsAre(StartsWith("good: scale done: 2 -> 3 workers; 1 sessions moved, 0 "
                                                     "drained, 11 lost (")));
}

TEST(Scaling, down_lets_a_worker_leave_when_it_has_given_everything_and_is_done_when_the_slots_are_closed) {
  ScalingOf down(4, 2);
  down.scaling.begin();
  EXPECT_THAT(down.cluster.steps, ElementsAre("deal to 2"));
  down.cluster.has_moved(3, {0, 5, 0});
  EXPECT_THAT(down.cluster.steps, ElementsAre("deal to 2"));
  down.cluster.has_moved(3, {1, 5, 0});
  EXPECT_EQ(down.cluster.steps.back(), "drain gen 3: its slot closes");
  down.cluster.has_moved(4, {1, 5, 0});
  down.cluster.has_moved(4, {0, 5, 1});
  EXPECT_EQ(down.cluster.steps.back(), "drain gen 4: its slot closes");
  EXPECT_THAT(down.report.lines, Contains("slot 3: pid -4 leaves"));
  down.cluster.dies(3, Cause::Left);
  EXPECT_TRUE(down.report.ends.empty());
  down.cluster.dies(4, Cause::Left);
  EXPECT_THAT(down.report.ends,
              ElementsAre(StartsWith("good: scale done: 4 -> 2 workers; 20 sessions moved, 1 "
                                     "drained (")));
}

TEST(Scaling, down_waits_for_no_session_of_a_slot_without_a_worker) {
  ScalingOf down(2, 1);
  down.cluster.dies(2, Cause::Signal);
  (void)down.cluster.add(1, WorkerState::Spawned);
  down.scaling.begin();
  EXPECT_TRUE(down.report.ends.empty());
  down.cluster.dies(3, Cause::Left);
  EXPECT_THAT(down.report.ends, ElementsAre(HasSubstr("2 -> 1 workers; 0 sessions moved, 0 drained (")));
}

TEST(Scaling, down_counts_what_was_inside_a_worker_that_dies_while_it_gives) {
  ScalingOf down(3, 2);
  down.scaling.begin();
  down.cluster.has_moved(3, {0, 5, 0});
  down.cluster.dies(3, Cause::Signal, 6);
  EXPECT_THAT(down.report.ends, ElementsAre(HasSubstr("5 sessions moved, 0 drained, 6 lost (")));
  EXPECT_THAT(down.cluster.steps, ElementsAre("deal to 2"));
}

TEST(Scaling, drains_what_has_not_moved_in_time) {
  Options options = patient();
  options.drain_deadline = 0ms;
  ScalingOf down(2, 1, options);
  down.scaling.begin();
  down.cluster.loop.run();
  EXPECT_THAT(down.report.ends,
              ElementsAre("bad: scale failed: sessions have not moved after 0 ms; 1 workers go "
                          "on, what has not moved is drained"));
  EXPECT_EQ(down.cluster.steps.back(), "drain gen 2: its slot closes");
  down.cluster.has_moved(2, {0, 1, 0});
  down.cluster.dies(2, Cause::Left);
  EXPECT_EQ(down.report.ends.size(), 1U);
}

TEST(Scaling, that_is_abandoned_says_so_once_and_goes_no_further) {
  ScalingOf up(1, 2);
  up.scaling.begin();
  up.scaling.abandon();
  up.scaling.abandon();
  up.cluster.becomes_ready(2);
  EXPECT_THAT(up.cluster.steps, Not(Contains(StartsWith("deal"))));
  EXPECT_THAT(up.report.ends, ElementsAre("bad: scale failed: everything stops"));
  ScalingOf down(2, 1);
  down.scaling.begin();
  down.scaling.abandon();
  down.cluster.has_moved(2, {0, 1, 0});
  down.cluster.dies(2, Cause::Left);
  EXPECT_THAT(down.report.ends, ElementsAre("bad: scale failed: everything stops"));
  EXPECT_TRUE(down.scaling.has_changed_the_cluster());
}

TEST(Scaling, is_refused_where_it_cannot_be_done) {
  const auto obstacle = [](std::uint16_t after, const std::function<void(FakeCluster&)>& spoil) {
    ScalingOf two(2, after);
    spoil(two.cluster);
    return two.scaling.obstacle();
  };
  const auto nothing = [](FakeCluster&) {};
  EXPECT_EQ(obstacle(1, nothing), "");
  EXPECT_EQ(obstacle(8, nothing), "");
  EXPECT_EQ(obstacle(0, nothing), "0 workers: from 1 to 8 can be had (max_workers)");
  EXPECT_EQ(obstacle(9, nothing), "9 workers: from 1 to 8 can be had (max_workers)");
  EXPECT_EQ(obstacle(3, [](FakeCluster& cluster) { cluster.listeners = 15; }), "");
  EXPECT_EQ(obstacle(3, [](FakeCluster& cluster) { cluster.listeners = 16; }),
            "16 addresses are more than one message can lend");
  EXPECT_EQ(obstacle(3, [](FakeCluster& cluster) { cluster.open_slots(3); }), "slots are still closing");
  EXPECT_EQ(obstacle(3, [](FakeCluster& cluster) { cluster.worker(2).silent = true; }),
            "slot 1 does not serve");
  EXPECT_EQ(obstacle(3, [](FakeCluster& cluster) { bring_to(cluster.worker(2), WorkerState::Draining); }),
            "slot 1 does not serve");
  EXPECT_EQ(obstacle(3, [](FakeCluster& cluster) { (void)cluster.add(1, WorkerState::Draining); }),
            "pid -3 has not left yet");
  EXPECT_EQ(obstacle(3, [](FakeCluster& cluster) { cluster.worker(1).has_old_table = true; }),
            "pid -1 has the table of buckets from before the upgrade; reload first");
  EXPECT_EQ(obstacle(3, [](FakeCluster& cluster) { cluster.worker(2).build = "other"; }),
            "pid -1 is of build test, pid -2 of build other; reload first");
}

}  // namespace
}  // namespace limpet::supervisor
