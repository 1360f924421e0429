// Starts that fail, and when the next one is: of a start that succeeds, see serve_test.cpp.
#include "supervisor/cluster/starts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/supervisor/cluster/parts_kit.h"

namespace limpet::supervisor {
namespace {

using namespace std::chrono_literals;
using testing::StartsWith;

TEST(Starts, that_fail_are_counted_told_and_tried_again) {
  PartsKit kit(1);
  std::string why;
  EXPECT_EQ(kit.starts.start(0, kit.program, &why), nullptr);
  EXPECT_THAT(why, StartsWith("open the settings"));
  const Slot& slot = kit.slots.at(0);
  EXPECT_EQ(slot.last_obituary, "slot 0: start a worker: " + why);
  EXPECT_EQ(slot.deaths, 1U);
  EXPECT_EQ(kit.totals.starts(0), 1U);
  EXPECT_TRUE(slot.respawn.running());
  EXPECT_EQ(slot.policy.deaths_in_a_row(), 1U);
}

TEST(Starts, the_first_of_a_slot_is_at_once_the_next_when_the_policy_says_so) {
  PartsKit kit(2);
  kit.starts.ensure_tenant(kit.slots.at(0), 0ms);
  EXPECT_EQ(kit.totals.starts(0), 1U);
  kit.totals.count_start(1);
  kit.starts.ensure_tenant(kit.slots.at(1), 0ms);
  EXPECT_EQ(kit.totals.starts(1), 1U);
  EXPECT_TRUE(kit.slots.at(1).respawn.running());
}

TEST(Starts, none_is_for_a_slot_that_has_somebody_or_closes) {
  PartsKit kit(2);
  (void)kit.add(0, WorkerState::Spawned);
  kit.slots.close_from(1);
  for (std::uint16_t slot = 0; slot < 2; ++slot) {
    kit.starts.ensure_tenant(kit.slots.at(slot), 0ms);
    EXPECT_EQ(kit.totals.starts(slot), 0U);
    EXPECT_FALSE(kit.slots.at(slot).respawn.running());
  }
}

TEST(Starts, none_is_while_everything_stops) {
  PartsKit kit(1);
  kit.slots.stop();
  kit.starts.ensure_tenant(kit.slots.at(0), 0ms);
  EXPECT_FALSE(kit.slots.at(0).respawn.running());
}

TEST(Starts, of_a_slot_that_failed_while_another_boots_there_are_left_to_that_one) {
  PartsKit kit(1);
  (void)kit.add(0, WorkerState::Attaching);
  kit.starts.start(kit.slots.at(0));
  EXPECT_EQ(kit.slots.at(0).deaths, 1U);
  EXPECT_FALSE(kit.slots.at(0).respawn.running());
}

}  // namespace
}  // namespace limpet::supervisor
