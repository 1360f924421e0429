#include "supervisor/cluster/seats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/supervisor/cluster/parts_kit.h"

namespace limpet::supervisor {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

Options draining_in_a_minute() {
  Options options;
  options.drain_window = 10s;
  options.drain_deadline = 60s;
  return options;
}

class SeatsTest : public testing::Test {
 protected:
  /// Of a slot that has somebody already; with its end of a stream.
  Worker& add_successor() {
    Worker& worker = kit.add(0, WorkerState::Ready);
    auto [giver_end, taker_end] = migration_stream();
    worker.giver_end = std::move(giver_end);
    return worker;
  }

  PartsKit kit{1, draining_in_a_minute()};
};

TEST_F(SeatsTest, a_free_seat_is_taken_and_all_being_seated_is_said_once) {
  Worker& first = kit.add(0, WorkerState::Ready);
  kit.seats.seat(first);
  EXPECT_TRUE(first.is_seated());
  EXPECT_THAT(kit.told(first), ElementsAre("take seat"));
  EXPECT_THAT(kit.events.heard, ElementsAre("all seated", "seated 1"));
  EXPECT_TRUE(kit.seats.announced());
  kit.events.heard.clear();
  kit.seats.seat(kit.add(0, WorkerState::Ready));
  EXPECT_THAT(kit.events.heard, ElementsAre("seated 2"));
}

TEST_F(SeatsTest, the_sessions_of_who_had_it_move_to_a_successor_that_has_a_stream) {
  Worker& before = kit.add(0);
  Worker& successor = add_successor();
  kit.seats.seat(successor);
  EXPECT_THAT(kit.told(successor), ElementsAre("take seat"));
  EXPECT_THAT(kit.told(before), ElementsAre("give up seat", "migrate +1"));
  EXPECT_EQ(before.state(), WorkerState::Draining);
  EXPECT_TRUE(before.is_moving);
  // With this one open the giver would never see the end of a taker that died.
  EXPECT_FALSE(successor.giver_end);
}

TEST_F(SeatsTest, without_a_stream_they_drain) {
  Worker& before = kit.add(0);
  kit.seats.seat(kit.add(0, WorkerState::Ready));
  EXPECT_THAT(kit.told(before), ElementsAre("give up seat", "drain"));
  EXPECT_FALSE(before.is_moving);
}

TEST_F(SeatsTest, a_second_successor_gets_what_is_left_and_brings_no_second_deadline) {
  Worker& before = kit.add(0);
  Worker& first = add_successor();
  kit.seats.seat(first);
  const auto deadline = before.drained_by;
  (void)kit.told(before);
  (void)kit.slots.take_out(first);
  kit.seats.seat(add_successor());
  EXPECT_THAT(kit.told(before), ElementsAre("migrate +1"));
  EXPECT_EQ(before.drained_by, deadline);
}

TEST_F(SeatsTest, when_everything_stops_sessions_that_were_to_move_drain) {
  Worker& before = kit.add(0);
  kit.seats.seat(add_successor());
  (void)kit.told(before);
  kit.seats.stop_moving(before);
  EXPECT_THAT(kit.told(before), ElementsAre("drain"));
  EXPECT_FALSE(before.is_moving);
}

TEST_F(SeatsTest, who_never_had_one_gives_none_up_when_it_drains) {
  Worker& waits = kit.add(0, WorkerState::Ready);
  kit.seats.drain(waits, "stop");
  EXPECT_THAT(kit.told(waits), ElementsAre("drain"));
  EXPECT_EQ(waits.state(), WorkerState::Draining);
}

}  // namespace
}  // namespace limpet::supervisor
