#include "supervisor/cluster/buckets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/supervisor/cluster/parts_kit.h"

namespace limpet::supervisor {
namespace {

using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;

std::set<std::uint16_t> owners_of(const PartsKit& kit) {
  std::set<std::uint16_t> result;
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket) result.insert(kit.births.owner(bucket));
  return result;
}

TEST(Buckets, dealt_to_more_slots_have_takers_that_were_told_first) {
  PartsKit kit(2);
  const Worker& zero = kit.add(0);
  const Worker& one = kit.add(1);
  EXPECT_THAT(owners_of(kit), ElementsAre(0, 1));
  kit.slots.grow(3);
  const Worker& two = kit.add(2);
  EXPECT_THAT(kit.buckets.deal(3), ElementsAre(Pair(SlotPair(0, 2), true), Pair(SlotPair(1, 2), true)));
  EXPECT_THAT(kit.told(two), UnorderedElementsAre("expect sessions of 0 +1", "expect sessions of 1 +1"));
  EXPECT_THAT(kit.told(zero), ElementsAre("move buckets to 2 +1"));
  EXPECT_THAT(kit.told(one), ElementsAre("move buckets to 2 +1"));
  EXPECT_THAT(owners_of(kit), ElementsAre(0, 1, 2));
  EXPECT_EQ(kit.slots.open(), 3);
  EXPECT_TRUE(kit.births.board().takes_part(2));
}

TEST(Buckets, dealt_to_fewer_slots_leave_the_others_which_close) {
  PartsKit kit(2);
  const Worker& stays = kit.add(0);
  const Worker& closes = kit.add(1);
  EXPECT_THAT(kit.buckets.deal(1), ElementsAre(Pair(SlotPair(1, 0), true)));
  EXPECT_THAT(kit.told(stays), ElementsAre("expect sessions of 1 +1", "borrow slot 1 +2"));
  EXPECT_THAT(kit.told(closes), ElementsAre("give up seat", "move buckets to 0 +1"));
  EXPECT_THAT(owners_of(kit), ElementsAre(0));
  EXPECT_TRUE(kit.slots.at(1).closing);
  EXPECT_FALSE(kit.births.board().takes_part(1));
}

TEST(Buckets, of_a_slot_without_a_worker_change_hands_and_nobody_is_told) {
  PartsKit kit(2);
  const Worker& giver = kit.add(1);
  EXPECT_THAT(kit.buckets.deal(1), ElementsAre(Pair(SlotPair(1, 0), false)));
  EXPECT_THAT(kit.told(giver), ElementsAre("give up seat"));
  EXPECT_THAT(owners_of(kit), ElementsAre(0));
}

TEST(Buckets, move_once_more_when_the_taker_has_a_worker_again) {
  PartsKit kit(2);
  const Worker& giver = kit.add(0);
  EXPECT_FALSE(kit.buckets.move(0, 1));
  const Worker& taker = kit.add(1);
  EXPECT_TRUE(kit.buckets.move(0, 1));
  EXPECT_THAT(kit.told(giver), ElementsAre("move buckets to 1 +1"));
  EXPECT_THAT(kit.told(taker), ElementsAre("expect sessions of 0 +1"));
}

}  // namespace
}  // namespace limpet::supervisor
