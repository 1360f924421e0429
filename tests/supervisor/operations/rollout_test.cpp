// A rollout step by step, over a cluster without processes: in which order it does what, what it makes of
// workers that fail, what it says at the end.
#include "supervisor/operations/rollout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/supervisor/operations/fake_cluster.h"

namespace limpet::supervisor {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

/// Successors have the generations after those of `slots` workers.
class RolloutOf {
 public:
  explicit RolloutOf(std::uint16_t slots) : cluster(slots) {}

  void begin(std::chrono::milliseconds probation = 0ms) { begin_in(cluster.slots().all_open(), probation); }
  void begin_in(std::vector<std::uint16_t> slots, std::chrono::milliseconds probation = 0ms) {
    Options options;
    options.probation = probation;
    begin_with(program_of(options, "/new/app"), std::move(slots));
  }
  void begin_with(SharedProgram program, std::vector<std::uint16_t> slots) {
    cluster.operation = &rollout;
    rollout.begin(std::move(program), std::move(slots));
  }
  [[nodiscard]] bool is_busy() const { return report.ends.empty(); }

  FakeCluster cluster;
  Report report;
  Rollout rollout{cluster.loop, cluster, "reload", report.say(), report.done(cluster.loop)};
};

TEST(Rollout, replaces_one_worker_after_another_and_adopts_the_program_when_the_old_ones_have_left) {
  RolloutOf two(2);
  two.begin();
  EXPECT_THAT(two.cluster.steps, ElementsAre("start in slot 0 /new/app"));
  two.cluster.becomes_ready(3);
  EXPECT_THAT(two.cluster.steps,
              ElementsAre("start in slot 0 /new/app", "seat gen 3", "start in slot 1 /new/app"));
  two.cluster.becomes_ready(4);
  two.cluster.says_progress(1, {2, 3, 0});
  two.cluster.says_progress(1, {0, 5, 1});
  two.cluster.dies(1, Cause::Left);
  EXPECT_TRUE(two.is_busy());
  // Its last words were read with its end only.
  two.cluster.worker(2).progress = ipc::DrainProgress{0, 3, 0};
  two.cluster.dies(2, Cause::Left);
  EXPECT_THAT(two.report.lines, ElementsAre("slot 0: pid -1 -> pid -3: 3 moved, 0 drained, 2 to go",
                                            StartsWith("slot 0: pid -1 -> pid -3: 5 moved, 1 drained ("),
                                            StartsWith("slot 1: pid -2 -> pid -4: 3 moved, 0 drained (")));
  EXPECT_THAT(
      two.report.ends,
      ElementsAre(StartsWith("good: reload done: 2 workers replaced; 8 sessions moved, 1 drained (")));
  EXPECT_EQ(two.cluster.steps.back(), "adopt /new/app");
}

TEST(Rollout, of_some_slots_leaves_the_others_alone) {
  RolloutOf three(3);
  three.begin_in({1});
  three.cluster.becomes_ready(4);
  three.cluster.dies(2, Cause::Left);
  EXPECT_THAT(three.cluster.steps, ElementsAre("start in slot 1 /new/app", "seat gen 4", "adopt /new/app"));
  EXPECT_THAT(three.report.ends, ElementsAre(HasSubstr("1 workers replaced; 0 sessions moved, 0 drained (")));
}

TEST(Rollout, a_successor_that_cannot_be_started_fails_it) {
  RolloutOf two(2);
  two.cluster.cannot_start_because = "no process";
  two.begin();
  EXPECT_THAT(two.report.ends,
              ElementsAre("bad: reload failed: slot 0: start the successor: no process; the new program was "
                          "/new/app; the old workers go on"));
  EXPECT_FALSE(two.rollout.has_changed_the_cluster());
}

TEST(Rollout, a_successor_that_dies_before_it_is_seated_fails_it) {
  RolloutOf two(2);
  two.begin();
  two.cluster.dies(3, Cause::Exit);
  EXPECT_THAT(two.report.ends,
              ElementsAre("bad: reload failed: gen 3 died; the new program was /new/app; the "
                          "old workers go on"));
  EXPECT_FALSE(two.rollout.has_changed_the_cluster());
  EXPECT_THAT(two.cluster.steps, ElementsAre("start in slot 0 /new/app"));
}

TEST(Rollout, a_second_successor_that_fails_leaves_the_first_where_it_is) {
  RolloutOf two(2);
  two.begin();
  two.cluster.becomes_ready(3);
  two.cluster.says_progress(1, {0, 4, 0});
  two.cluster.dies(4, Cause::Exit);
  EXPECT_THAT(
      two.report.ends,
      ElementsAre("bad: reload failed: gen 4 died; 1 of 2 slots have new workers of /new/app, the others "
                  "go on with old ones; so far 4 sessions moved, 0 drained"));
  EXPECT_TRUE(two.rollout.has_changed_the_cluster());
  EXPECT_EQ(two.cluster.slots().tenant(0)->who().generation, 3U);
  EXPECT_THAT(two.cluster.steps, Not(Contains(StartsWith("adopt"))));
}

TEST(Rollout, a_seated_successor_that_dies_while_sessions_move_fails_it_and_the_next_one_is_withdrawn) {
  RolloutOf two(2);
  two.begin();
  two.cluster.becomes_ready(3);
  two.cluster.dies(3, Cause::Signal, 7);
  EXPECT_THAT(two.report.ends, ElementsAre(AllOf(StartsWith("bad: reload failed: gen 3 died; 7 sessions were "
                                                            "inside it; 1 of 2 slots have new workers"),
                                                 HasSubstr("so far 0 sessions moved, 0 drained, 7 lost"))));
  EXPECT_EQ(two.cluster.steps.back(), "end gen 4: withdrawn: the reload failed");
  // What comes after that is nobody's business any more.
  two.cluster.dies(4, Cause::Left);
  two.cluster.dies(1, Cause::Left);
  EXPECT_EQ(two.report.ends.size(), 1U);
}

TEST(Rollout, a_predecessor_that_dies_while_its_sessions_move_is_told_and_does_not_fail_it) {
  RolloutOf one(1);
  one.begin();
  one.cluster.becomes_ready(2);
  one.cluster.says_progress(1, {4, 6, 0});
  one.cluster.dies(1, Cause::Signal, 4);
  EXPECT_THAT(one.report.lines,
              ElementsAre(HasSubstr("6 moved, 0 drained, 4 to go"), "gen 1 died",
                          StartsWith("slot 0: pid -1 -> pid -2: 6 moved, 0 drained, 4 lost (")));
  EXPECT_THAT(one.report.ends, ElementsAre(StartsWith("good: reload done: 1 workers replaced; 6 sessions "
                                                      "moved, 0 drained, 4 lost (")));
}

TEST(Rollout, a_predecessor_that_dies_with_nothing_left_counts_once) {
  RolloutOf one(1);
  one.begin();
  one.cluster.becomes_ready(2);
  one.cluster.says_progress(1, {0, 6, 1});
  one.cluster.dies(1, Cause::DrainDeadline, 0);
  EXPECT_THAT(one.report.ends, ElementsAre(HasSubstr("6 sessions moved, 1 drained (")));
}

TEST(Rollout, only_the_first_successor_has_a_probation_and_it_ends_in_a_seat) {
  RolloutOf two(2);
  two.cluster.stops_the_loop_at_a_seat = true;
  two.begin(1ms);
  two.cluster.becomes_ready(3);
  EXPECT_THAT(two.report.lines, ElementsAre("slot 0: pid -3 is ready; on probation for 1 ms"));
  EXPECT_THAT(two.cluster.steps, ElementsAre("start in slot 0 /new/app"));
  two.cluster.loop.run();
  EXPECT_THAT(two.cluster.steps, Contains("seat gen 3"));
  two.cluster.becomes_ready(4);
  EXPECT_EQ(two.cluster.steps.back(), "seat gen 4");
}

TEST(Rollout, a_successor_that_dies_on_probation_fails_it) {
  RolloutOf one(1);
  one.begin(1h);
  one.cluster.becomes_ready(2);
  one.cluster.dies(2, Cause::Exit);
  EXPECT_THAT(one.report.ends, ElementsAre(HasSubstr("gen 2 died; the new program was /new/app")));
}

TEST(Rollout, a_predecessor_that_dies_ends_the_probation) {
  RolloutOf one(1);
  one.begin(1h);
  one.cluster.becomes_ready(2);
  one.cluster.dies(1, Cause::Signal);
  EXPECT_THAT(one.report.lines, Contains("slot 0: pid -1 died; its successor's probation ends"));
  EXPECT_THAT(one.cluster.steps, Contains("seat gen 2"));
  EXPECT_THAT(one.report.ends, ElementsAre(StartsWith("good: reload done: 1 workers replaced")));
}

TEST(Rollout, a_predecessor_that_dies_while_its_successor_boots_is_awaited_by_nobody) {
  RolloutOf one(1);
  one.begin(1h);
  one.cluster.dies(1, Cause::Signal);
  EXPECT_TRUE(one.is_busy());
  // A doubtful worker is better than none: no probation.
  one.cluster.becomes_ready(2);
  EXPECT_THAT(one.report.lines, ElementsAre(StartsWith("slot 0: no worker -> pid -2 (")));
  EXPECT_THAT(one.report.ends, ElementsAre(StartsWith("good: ")));
}

TEST(Rollout, of_the_program_that_runs_already_needs_no_probation) {
  RolloutOf one(1);
  one.begin_with(one.cluster.old_program, {0});
  one.cluster.becomes_ready(2);
  EXPECT_EQ(one.cluster.steps.back(), "seat gen 2");
}

TEST(Rollout, waits_while_two_old_workers_have_sessions) {
  RolloutOf three(3);
  three.begin();
  three.cluster.becomes_ready(4);
  three.cluster.becomes_ready(5);
  EXPECT_EQ(three.report.lines.back(), "slot 2: waits: 2 old workers still have sessions");
  EXPECT_EQ(three.cluster.steps.back(), "seat gen 5");
  // It lives on for its acknowledgements; its sessions have moved.
  three.cluster.says_progress(2, {0, 1, 0});
  EXPECT_EQ(three.cluster.steps.back(), "start in slot 2 /new/app");
}

TEST(Rollout, waits_for_a_lane_until_somebody_has_gone_be_it_a_bridge) {
  RolloutOf two(2);
  two.cluster.lanes_are_free = false;
  two.begin();
  EXPECT_THAT(two.report.lines, ElementsAre("slot 0: waits: every lane is taken"));
  EXPECT_THAT(two.cluster.steps, IsEmpty());
  two.cluster.lanes_are_free = true;
  Worker& bridge =
      two.cluster.kit.add(two.cluster.slots(), two.cluster.add_bridge(), two.cluster.old_program);
  two.cluster.dies(bridge.who().generation, Cause::Left);
  EXPECT_THAT(two.cluster.steps, ElementsAre("start in slot 0 /new/app"));
}

TEST(Rollout, waits_for_a_worker_that_still_leaves_the_slot) {
  RolloutOf one(1);
  (void)one.cluster.add(0, WorkerState::Draining);
  one.begin();
  EXPECT_THAT(one.report.lines, ElementsAre("slot 0: waits: pid -2 has not left yet"));
  EXPECT_THAT(one.cluster.steps, IsEmpty());
  one.cluster.dies(2, Cause::Left);
  EXPECT_THAT(one.cluster.steps, ElementsAre("start in slot 0 /new/app"));
}

TEST(Rollout, withdraws_what_boots_there_and_forgets_the_back_off) {
  RolloutOf one(1);
  one.cluster.dies(1, Cause::Exit);
  (void)one.cluster.slots().at(0).policy.delay_after_death(0ms, 0);
  (void)one.cluster.add(0, WorkerState::Attaching);
  one.begin();
  EXPECT_THAT(one.cluster.steps,
              ElementsAre("end gen 2: withdrawn: a reload brings another", "start in slot 0 /new/app"));
  EXPECT_EQ(one.cluster.slots().at(0).policy.deaths_in_a_row(), 0U);
  one.cluster.dies(2, Cause::Left);
  one.cluster.becomes_ready(3);
  EXPECT_THAT(one.report.ends, ElementsAre(StartsWith("good: ")));
}

TEST(Rollout, seats_nobody_but_its_successor) {
  RolloutOf one(1);
  one.begin();
  Worker& stranger = one.cluster.add(0, WorkerState::Ready);
  EXPECT_FALSE(one.rollout.on_ready(stranger));
}

TEST(Rollout, that_is_abandoned_says_so_once_and_starts_nobody) {
  RolloutOf two(2);
  two.begin(1h);
  two.cluster.becomes_ready(3);
  two.rollout.abandon();
  EXPECT_THAT(two.report.ends, ElementsAre("bad: reload failed: everything stops"));
  two.rollout.abandon();
  two.cluster.dies(3, Cause::Left);
  two.cluster.dies(1, Cause::Signal);
  EXPECT_FALSE(two.rollout.on_ready(two.cluster.add(0, WorkerState::Ready)));
  EXPECT_EQ(two.report.ends.size(), 1U);
  EXPECT_THAT(two.cluster.steps, ElementsAre("start in slot 0 /new/app"));
}

TEST(Rollout, that_is_abandoned_while_sessions_move_ends_no_worker) {
  RolloutOf two(2);
  two.begin();
  two.cluster.becomes_ready(3);
  two.rollout.abandon();
  two.cluster.says_progress(1, {0, 4, 0});
  two.cluster.dies(1, Cause::Left);
  EXPECT_THAT(two.report.lines, IsEmpty());
  EXPECT_THAT(two.report.ends, ElementsAre("bad: reload failed: everything stops"));
  EXPECT_TRUE(two.rollout.has_changed_the_cluster());
  EXPECT_EQ(two.cluster.steps.back(), "start in slot 1 /new/app");
}

}  // namespace
}  // namespace limpet::supervisor
