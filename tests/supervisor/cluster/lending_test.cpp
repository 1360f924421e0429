#include "supervisor/cluster/lending.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/supervisor/cluster/parts_kit.h"

namespace limpet::supervisor {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// Slot 1 has closed; its worker may still be there.
class Lent : public testing::Test {
 protected:
  Lent() {
    kit.slots.set_open(1);
    kit.lending.update();
  }

  PartsKit kit{2};
  Worker& heir = kit.add(0);
  Worker& leaves = kit.add(1);
};

TEST_F(Lent, is_the_inbox_and_each_listening_socket_of_a_closed_slot_once) {
  EXPECT_THAT(kit.told(heir), ElementsAre("borrow slot 1 +2"));
  kit.lending.update();
  EXPECT_THAT(kit.told(heir), IsEmpty());
  EXPECT_THAT(kit.told(leaves), IsEmpty());
}

TEST_F(Lent, goes_to_the_successor_of_the_heir) {
  (void)kit.told(heir);
  bring_to(heir, WorkerState::Draining);
  kit.lending.update();
  const Worker& next = kit.add(0);
  kit.lending.update();
  EXPECT_THAT(kit.told(next), ElementsAre("borrow slot 1 +2"));
  // It has closed them with its seat.
  EXPECT_THAT(kit.told(heir), IsEmpty());
}

TEST_F(Lent, comes_back_when_the_slot_is_open_again) {
  (void)kit.told(heir);
  (void)kit.slots.take_out(leaves);
  kit.slots.remove_closed();
  kit.slots.grow(2);
  kit.lending.update();
  EXPECT_THAT(kit.told(heir), IsEmpty());
  kit.slots.set_open(2);
  kit.lending.update();
  EXPECT_THAT(kit.told(heir), ElementsAre("return slot 1"));
  kit.lending.update();
  EXPECT_THAT(kit.told(heir), IsEmpty());
}

TEST(Lending, lends_nothing_of_a_slot_that_opens_for_the_first_time) {
  PartsKit kit(1);
  const Worker& heir = kit.add(0);
  kit.slots.grow(2);
  kit.lending.update();
  EXPECT_THAT(kit.told(heir), IsEmpty());
}

TEST(Lending, finds_another_heir_when_that_one_closes_too) {
  PartsKit kit(4);
  const Worker& first = kit.add(0);
  const Worker& second = kit.add(1);
  kit.slots.set_open(2);
  kit.lending.update();
  EXPECT_THAT(kit.told(first), ElementsAre("borrow slot 2 +2"));
  EXPECT_THAT(kit.told(second), ElementsAre("borrow slot 3 +2"));
  kit.slots.set_open(1);
  kit.lending.update();
  EXPECT_THAT(kit.told(first), ElementsAre("borrow slot 1 +2", "borrow slot 3 +2"));
  EXPECT_THAT(kit.told(second), ElementsAre("return slot 3"));
}

}  // namespace
}  // namespace limpet::supervisor
