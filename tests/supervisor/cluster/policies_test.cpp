#include <gtest/gtest.h>

#include "supervisor/cluster/heartbeat_policy.h"
#include "supervisor/cluster/lifecycle.h"
#include "supervisor/cluster/respawn_policy.h"
#include "supervisor/cluster/rules.h"

namespace limpet::supervisor {
namespace {

using namespace std::chrono_literals;

TEST(RespawnPolicy, doubles_from_a_tenth_of_a_second_to_half_a_minute) {
  RespawnPolicy policy;
  for (const auto expected :
       {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 12800ms, 25600ms, 30000ms, 30000ms}) {
    EXPECT_EQ(policy.delay_after_death(0ms, 0), expected);
  }
}

TEST(RespawnPolicy, stretches_by_chance_so_that_slots_do_not_start_together) {
  RespawnPolicy one;
  RespawnPolicy other;
  EXPECT_EQ(one.delay_after_death(0ms, 0.5), 110ms);
  EXPECT_EQ(other.delay_after_death(0ms, 0.99), 119ms);
}

TEST(RespawnPolicy, recovers_by_itself_after_a_worker_that_lived_well) {
  RespawnPolicy policy;
  for (int death = 0; death < 20; ++death) (void)policy.delay_after_death(RespawnPolicy::kLivedWell - 1ms, 0);
  EXPECT_EQ(policy.deaths_in_a_row(), 20U);
  EXPECT_EQ(policy.delay_after_death(RespawnPolicy::kLivedWell, 0), 100ms);
  EXPECT_EQ(policy.deaths_in_a_row(), 1U);
}

class Heartbeat : public testing::Test {
 protected:
  using TimePoint = HeartbeatPolicy::TimePoint;
  static TimePoint at(std::chrono::milliseconds since_start) { return TimePoint(1h) + since_start; }
  HeartbeatPolicy policy{1000ms};
};

TEST_F(Heartbeat, routes_around_after_one_missed_beat_and_kills_after_two) {
  EXPECT_EQ(policy.judge(at(0ms), at(0ms), at(1000ms), 1000ms), Pulse::Beating);
  EXPECT_EQ(policy.judge(at(0ms), at(0ms), at(1001ms), 1000ms), Pulse::Silent);
  EXPECT_EQ(policy.judge(at(0ms), at(0ms), at(2000ms), 1000ms), Pulse::Silent);
  EXPECT_EQ(policy.judge(at(0ms), at(0ms), at(2001ms), 1000ms), Pulse::Hung);
}

TEST_F(Heartbeat, owes_nothing_before_it_was_ready) {
  EXPECT_EQ(policy.judge(TimePoint{}, at(0ms), at(900ms), 1000ms), Pulse::Beating);
  EXPECT_EQ(policy.judge(TimePoint{}, at(0ms), at(2100ms), 1000ms), Pulse::Hung);
}

TEST_F(Heartbeat, a_late_tick_of_the_supervisor_grants_a_fresh_deadline) {
  EXPECT_FALSE(policy.tick(at(0ms)));
  EXPECT_FALSE(policy.tick(at(200ms)));
  EXPECT_TRUE(policy.tick(at(8000ms)));
  EXPECT_EQ(policy.judge(at(100ms), at(0ms), at(8000ms), 1000ms), Pulse::Beating);
  EXPECT_FALSE(policy.tick(at(8200ms)));
  EXPECT_EQ(policy.judge(at(100ms), at(0ms), at(9001ms), 1000ms), Pulse::Silent);
  EXPECT_EQ(policy.judge(at(100ms), at(0ms), at(10001ms), 1000ms), Pulse::Hung);
}

TEST(Lifecycle, a_worker_that_gave_up_its_seat_can_only_leave) {
  for (std::size_t event = 0; event < kWorkerEvents; ++event) {
    const LifeRow& row = life_row(WorkerState::Draining, static_cast<WorkerEvent>(event));
    EXPECT_TRUE(row.next == WorkerState::Draining || row.next == WorkerState::Stopping ||
                row.next == WorkerState::Dead);
  }
}

TEST(Lifecycle, death_is_possible_in_every_state_but_death) {
  for (std::size_t state = 0; state + 1 < kWorkerStates; ++state) {
    EXPECT_EQ(life_row(static_cast<WorkerState>(state), WorkerEvent::HasEnded).next, WorkerState::Dead);
  }
}

TEST(MessageRules, what_passes_is_never_impossible_for_the_life_cycle) {
  for (std::size_t state = 0; state < kWorkerStates; ++state) {
    const auto in = static_cast<WorkerState>(state);
    if (kHelloRules.in(in) == Rule::Allowed) {
      EXPECT_EQ(life_row(in, WorkerEvent::SaysHello).verdict, Verdict::Moves) << to_text(in);
    }
    if (kReadyRules.in(in) == Rule::Allowed) {
      EXPECT_EQ(life_row(in, WorkerEvent::SaysReady).verdict, Verdict::Moves) << to_text(in);
    }
  }
}

}  // namespace
}  // namespace limpet::supervisor
