#include "worker/migration/drain_schedule.h"

#include <gtest/gtest.h>

namespace limpet::migration {
namespace {

using namespace std::chrono_literals;
constexpr auto kAll = std::numeric_limits<std::size_t>::max();
constexpr loop::TimePoint kStart{1000s};

TEST(DrainSchedule, SpreadsEvenlyOverTheWindow) {
  DrainSchedule schedule(kStart, 100, 1000ms, 2000ms);
  std::size_t closed = 0;
  for (auto passed = 0ms; passed < 1000ms; passed += 1ms) {
    closed += schedule.take_due(kStart + passed);
    const auto even = 100.0 * static_cast<double>(passed.count()) / 1000.0;
    ASSERT_GE(static_cast<double>(closed), even) << passed.count();
    ASSERT_LE(static_cast<double>(closed), even + 1) << passed.count();
  }
  EXPECT_EQ(closed, 100u);
}

TEST(DrainSchedule, ALoopThatSleepsUntilTheNextIsDueClosesOneAtATime) {
  DrainSchedule schedule(kStart, 40, 1000ms, 2000ms);
  auto now = kStart;
  for (int session = 0; session < 40; ++session) {
    ASSERT_EQ(schedule.take_due(now), 1u) << session;
    ASSERT_GT(schedule.next_due(), now);
    now = schedule.next_due();
  }
  EXPECT_EQ(now, kStart + 1000ms) << "then nothing is due before the end of the window";
}

TEST(DrainSchedule, MakesUpForALoopThatWasLate) {
  DrainSchedule schedule(kStart, 100, 1000ms, 2000ms);
  EXPECT_EQ(schedule.take_due(kStart + 500ms), 51u);
  EXPECT_EQ(schedule.take_due(kStart + 500ms), 0u);
}

TEST(DrainSchedule, EndsWithEverySessionAlsoThoseThatCameLate) {
  DrainSchedule schedule(kStart, 10, 1000ms, 2000ms);
  EXPECT_LT(schedule.take_due(kStart + 999ms), kAll);
  EXPECT_EQ(schedule.take_due(kStart + 1000ms), kAll);
  EXPECT_EQ(schedule.take_due(kStart + 1500ms), kAll) << "a handshake may end during the wait";
}

TEST(DrainSchedule, WaitsForTheDeadlineOnceTheWindowIsOver) {
  DrainSchedule schedule(kStart, 10, 1000ms, 2000ms);
  (void)schedule.take_due(kStart + 1000ms);
  EXPECT_EQ(schedule.next_due(), kStart + 2000ms) << "a time that has passed would make the loop spin";
  EXPECT_FALSE(schedule.overdue(kStart + 1999ms));
  EXPECT_TRUE(schedule.overdue(kStart + 2000ms));
}

TEST(DrainSchedule, WithoutSessionsClosesNoneBeforeTheWindowIsOver) {
  DrainSchedule schedule(kStart, 0, 1000ms, 2000ms);
  EXPECT_EQ(schedule.take_due(kStart), 0u);
  EXPECT_EQ(schedule.next_due(), kStart + 1000ms);
  EXPECT_EQ(schedule.take_due(kStart + 1000ms), kAll);
}

TEST(DrainSchedule, WithoutAWindowClosesAllAtOnce) {
  DrainSchedule schedule(kStart, 10, 0ms, 2000ms);
  EXPECT_EQ(schedule.take_due(kStart), kAll);
  EXPECT_EQ(schedule.next_due(), kStart + 2000ms);
}

TEST(DrainSchedule, AWindowBeyondTheDeadlineIsCutToIt) {
  DrainSchedule schedule(kStart, 10, 60s, 1000ms);
  EXPECT_EQ(schedule.take_due(kStart + 500ms), 6u);
  EXPECT_EQ(schedule.take_due(kStart + 1000ms), kAll);
}

}  // namespace
}  // namespace limpet::migration
