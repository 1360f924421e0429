#include "supervisor/cluster/slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/supervisor/cluster/workers_kit.h"

namespace limpet::supervisor {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class SlotsTest : public testing::Test {
 protected:
  Worker& add(std::uint16_t slot, WorkerState state = WorkerState::Serving) {
    return kit.add(slots, slot, program, state);
  }

  Loop loop;
  WorkersKit kit{loop};
  SharedProgram program = program_of({});
  Slots slots{loop, 2};
};

TEST_F(SlotsTest, open_after_they_are_there_and_stay_used_when_they_have_closed) {
  slots.grow(4);
  EXPECT_EQ(slots.open(), 2);
  EXPECT_EQ(slots.used(), 4);
  EXPECT_NE(slots.find(3), nullptr);
  slots.set_open(4);
  EXPECT_EQ(slots.open(), 4);
  EXPECT_FALSE(slots.is_closing());
  slots.set_open(3);
  EXPECT_TRUE(slots.is_closing());
  slots.remove_closed();
  EXPECT_FALSE(slots.is_closing());
  EXPECT_EQ(slots.find(3), nullptr);
  EXPECT_EQ(slots.tenant(3), nullptr);
  EXPECT_EQ(slots.used(), 4);
  EXPECT_THAT(slots.all_open(), ElementsAre(0, 1, 2));
}

TEST_F(SlotsTest, that_close_go_with_their_last_worker) {
  Worker& last = add(1);
  slots.set_open(1);
  slots.remove_closed();
  EXPECT_EQ(slots.tenant(1), &last);
  (void)slots.take_out(last);
  slots.remove_closed();
  EXPECT_FALSE(slots.is_closing());
}

TEST_F(SlotsTest, want_a_worker_where_nobody_is_or_comes) {
  const Slot& slot = slots.at(0);
  EXPECT_TRUE(slots.wants_worker(slot));
  Worker& worker = add(0, WorkerState::Spawned);
  EXPECT_FALSE(slots.wants_worker(slot));
  bring_to(worker, WorkerState::Serving);
  EXPECT_FALSE(slots.wants_worker(slot));
  bring_to(worker, WorkerState::Draining);
  EXPECT_TRUE(slots.wants_worker(slot));
  slots.close_from(0);
  EXPECT_FALSE(slots.wants_worker(slot));
}

TEST_F(SlotsTest, want_nobody_once_everything_stops) {
  slots.stop();
  EXPECT_TRUE(slots.stopping());
  EXPECT_FALSE(slots.wants_worker(slots.at(0)));
}

TEST_F(SlotsTest, know_who_is_where) {
  Worker& first = add(0);
  EXPECT_FALSE(slots.are_all_seated());
  const Worker& second = add(1);
  EXPECT_TRUE(slots.are_all_seated());
  EXPECT_EQ(slots.tenant(1), &second);
  EXPECT_THAT(slots.seats_of({2, 77}), ElementsAre(1));
  bring_to(first, WorkerState::Draining);
  EXPECT_THAT(slots.seats_of({1}), IsEmpty());
  EXPECT_TRUE(slots.has_process(second.pid()));
  EXPECT_FALSE(slots.has_process(-77));
  EXPECT_EQ(slots.living().size(), 2U);
}

TEST_F(SlotsTest, let_a_visit_end_who_is_visited) {
  (void)add(0, WorkerState::Draining);
  (void)add(0);
  (void)add(1);
  slots.each_worker([this](Worker& worker) { (void)slots.take_out(worker); });
  EXPECT_TRUE(slots.are_empty());
}

}  // namespace
}  // namespace limpet::supervisor
