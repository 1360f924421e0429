#include "worker/loop/turn_meter.h"

#include <gtest/gtest.h>

#include <ctime>

#include "worker/loop/handler_clock.h"

namespace limpet::loop {
namespace {

using namespace std::chrono_literals;

/// Until the thread has used so much CPU time.
void work(std::chrono::nanoseconds time) {
  const auto used = [] {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  };
  for (const auto end = used() + time; used() < end;) {
  }
}

TEST(TurnMeter, SaysWhatALongTurnTookAndNothingOfShortOnes) {
  TurnMeter meter;
  work(2ms);  // so that it learns the pace of ticks
  meter.begin_turn();
  work(3ms);
  const auto first = meter.end_turn(0);
  ASSERT_TRUE(first);
  EXPECT_GE(*first, 3ms);
  meter.begin_turn();
  EXPECT_FALSE(meter.end_turn(0)) << "it is not worth a question to the kernel";
}

TEST(TurnMeter, CountsWhatWasDoneInTheWaitOfATurn) {
  TurnMeter meter;
  work(2ms);
  meter.restart();
  meter.begin_turn();
  work(4ms);
  meter.wake_up();
  const auto turn = meter.end_turn(0);
  ASSERT_TRUE(turn);
  EXPECT_GE(*turn, 4ms);
  EXPECT_LT(*turn, 40ms);
}

TEST(TurnMeter, DoesNotTakeTheWaitsOfEarlierTurnsForWorkOfThisOne) {
  TurnMeter meter;
  work(2ms);
  meter.restart();
  for (int i = 0; i < 40; ++i) {
    meter.begin_turn();
    work(400us);
    meter.wake_up();
    (void)meter.end_turn(0);
  }
  meter.begin_turn();
  work(1500us);
  const auto turn = meter.end_turn(0);
  ASSERT_TRUE(turn);
  EXPECT_LT(*turn, 8ms) << "the 40 waits took 16 ms";
}

TEST(TurnMeter, LeavesOutWhatHandlersTook) {
  TurnMeter meter;
  work(2ms);
  meter.begin_turn();
  work(2ms);
  (void)meter.end_turn(0);
  meter.begin_turn();
  HandlerClock handlers;
  {
    const HandlerClock::Running outer(handlers);
    const HandlerClock::Running inside_it(handlers);
    work(20ms);
  }
  work(2ms);
  const auto without = meter.end_turn(handlers.ticks());
  ASSERT_TRUE(without);
  EXPECT_LT(*without, 15ms);
}

}  // namespace
}  // namespace limpet::loop
