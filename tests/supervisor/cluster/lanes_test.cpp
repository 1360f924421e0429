#include "supervisor/cluster/lanes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace limpet::supervisor {
namespace {

using testing::ElementsAre;

TEST(Lanes, are_two_for_each_slot_and_one_more) {
  Lanes lanes(2);
  EXPECT_EQ(lanes.count(), 5);
  for (std::uint16_t lane = 0; lane < 5; ++lane) EXPECT_EQ(lanes.take(), lane);
  EXPECT_EQ(lanes.take(), std::nullopt);
}

TEST(Lanes, that_were_freed_come_last) {
  Lanes lanes(1);
  EXPECT_EQ(lanes.take(), 0);
  EXPECT_EQ(lanes.take(), 1);
  lanes.give_back(1);
  lanes.give_back(0);
  EXPECT_THAT(lanes.free(), ElementsAre(2, 1, 0));
}

TEST(Lanes, of_an_image_before_keep_their_order_and_what_it_kept_back_joins_them) {
  // An older build had the last lane for a bridge, and none.
  EXPECT_THAT(Lanes(2, {3, 0}, {1, 2}).free(), ElementsAre(3, 0, 4));
  EXPECT_THAT(Lanes(2, {4, 0}, {1, 2, 3}).free(), ElementsAre(4, 0));
}

}  // namespace
}  // namespace limpet::supervisor
