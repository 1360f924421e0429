#include "supervisor/cluster/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/supervisor/cluster/parts_kit.h"

namespace limpet::supervisor {
namespace {

using testing::ElementsAre;

/// By slot, of all that there can be.
std::vector<bool> board_of(PartsKit& kit) {
  std::vector<bool> result;
  for (std::uint16_t slot = 0; slot < PartsKit::kCapacity; ++slot)
    result.push_back(kit.births.board().takes_part(slot));
  return result;
}

TEST(Routes, begin_with_every_open_slot) {
  PartsKit kit(2);
  EXPECT_THAT(board_of(kit), ElementsAre(true, true, false, false));
}

TEST(Routes, lead_around_a_slot_that_does_not_beat) {
  PartsKit kit(2);
  (void)kit.add(0);
  Worker& silent = kit.add(1);
  silent.silent = true;
  kit.routes.update();
  EXPECT_THAT(board_of(kit), ElementsAre(true, false, false, false));
  silent.silent = false;
  kit.routes.update();
  EXPECT_THAT(board_of(kit), ElementsAre(true, true, false, false));
}

TEST(Routes, lead_around_a_slot_that_is_empty_for_long) {
  PartsKit kit(2);
  (void)kit.add(0);
  kit.slots.at(1).vacant_since = std::chrono::steady_clock::now();
  kit.routes.update();
  EXPECT_TRUE(kit.births.board().takes_part(1));
  kit.slots.at(1).vacant_since -= std::chrono::seconds(2);
  kit.routes.update();
  EXPECT_FALSE(kit.births.board().takes_part(1));
}

TEST(Routes, lead_everybody_home_if_no_slot_serves) {
  PartsKit kit(2);
  for (std::uint16_t slot = 0; slot < 2; ++slot) kit.add(slot).silent = true;
  kit.routes.update();
  EXPECT_THAT(board_of(kit), ElementsAre(true, true, false, false));
}

TEST(Routes, show_a_slot_that_is_about_to_open) {
  PartsKit kit(1);
  kit.slots.grow(3);
  (void)kit.add(1);
  kit.add(2).silent = true;
  kit.routes.show_opening(3);
  EXPECT_THAT(board_of(kit), ElementsAre(true, true, false, false));
}

TEST(Routes, change_no_more_once_everything_stops) {
  PartsKit kit(2);
  for (std::uint16_t slot = 0; slot < 2; ++slot) (void)kit.add(slot);
  kit.slots.stop();
  kit.slots.tenant(1)->silent = true;
  kit.routes.update();
  EXPECT_TRUE(kit.births.board().takes_part(1));
}

TEST(Routes, publish_the_sessions_of_all_workers_of_a_slot) {
  PartsKit kit(1);
  kit.workers.counters(kit.add(0, WorkerState::Draining)).set(ipc::Counter::SessionsOpen, 3);
  kit.workers.counters(kit.add(0)).set(ipc::Counter::SessionsOpen, 4);
  const std::uint64_t edition = kit.births.board().edition();
  kit.routes.publish_sessions();
  EXPECT_EQ(kit.births.board().sessions(0), 7U);
  EXPECT_GT(kit.births.board().edition(), edition);
}

}  // namespace
}  // namespace limpet::supervisor
