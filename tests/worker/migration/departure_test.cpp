#include "worker/migration/departure.h"

#include <gtest/gtest.h>

namespace limpet::migration {
namespace {

using namespace std::chrono_literals;
using Kind = Departure::Kind;

const loop::TimePoint kNow(1000s);

TEST(Departure, WhoMovesIsClosedOnlyInTheWindowBeforeTheDeadline) {
  Departure departure(kNow, Kind::Moving, 2s, 10s);
  EXPECT_EQ(departure.due(kNow, 100), 0u);
  EXPECT_EQ(departure.due(kNow + 7999ms, 100), 0u);
  EXPECT_EQ(departure.due(kNow + 8s, 100), 1u) << "the first of the window";
  departure.closed(1);
  EXPECT_EQ(departure.due(kNow + 9s, 99), 50u) << "half of them by the middle of the window";
  departure.closed(50);
  EXPECT_EQ(departure.due(kNow + 10s, 49), 49u);
  EXPECT_TRUE(departure.is_over(kNow + 10s));
  EXPECT_FALSE(departure.is_over(kNow + 9999ms));
}

TEST(Departure, WhoDrainsIsClosedFromNowOn) {
  Departure departure(kNow, Kind::Draining, 2s, 10s);
  EXPECT_EQ(departure.due(kNow, 100), 1u);
  departure.closed(1);
  EXPECT_EQ(departure.due(kNow + 2s, 99), 99u);
}

TEST(Departure, WhatATurnHadNoTimeForIsStillDue) {
  Departure departure(kNow, Kind::Draining, 1s, 1s);
  EXPECT_EQ(departure.due(kNow + 1s, 100), 100u);
  departure.closed(30);
  EXPECT_TRUE(departure.owes());
  EXPECT_EQ(departure.due(kNow + 1s, 70), 70u);
  departure.closed(70);
  EXPECT_FALSE(departure.owes());
}

TEST(Departure, WhoHasLeftByItselfIsNotDue) {
  Departure departure(kNow, Kind::Draining, 1s, 1s);
  EXPECT_EQ(departure.due(kNow + 500ms, 100), 51u);
  EXPECT_EQ(departure.due(kNow + 500ms, 3), 3u);
}

TEST(Departure, WithoutAWindowAllAreDueAtOnce) {
  EXPECT_EQ(Departure(kNow, Kind::Draining, 0s, 5s).due(kNow, 7), 7u);
  Departure moving(kNow, Kind::Moving, 0s, 5s);
  EXPECT_EQ(moving.due(kNow + 4999ms, 7), 0u);
  EXPECT_EQ(moving.due(kNow + 5s, 7), 7u);
}

TEST(Departure, AWindowLongerThanTheDeadlineEndsWithIt) {
  Departure departure(kNow, Kind::Moving, 60s, 10s);
  EXPECT_EQ(departure.due(kNow, 100), 1u);
  EXPECT_EQ(departure.due(kNow + 10s, 100), 100u);
}

TEST(Departure, WhatClientsOweIsWaitedForDuringTheWindowAndThenLookedForEachSecond) {
  Departure departure(kNow, Kind::Draining, 2s, 10s);
  EXPECT_FALSE(departure.ends_unfinished(kNow + 1999ms));
  EXPECT_TRUE(departure.ends_unfinished(kNow + 2s));
  departure.looked_for_unfinished(kNow + 2s);
  EXPECT_FALSE(departure.ends_unfinished(kNow + 2999ms));
  EXPECT_TRUE(departure.ends_unfinished(kNow + 3s));
}

TEST(Departure, TheNextMomentIsNeverInThePast) {
  Departure departure(kNow, Kind::Moving, 2s, 10s);
  EXPECT_EQ(departure.next_due(kNow), kNow + 2s) << "what is unfinished";
  EXPECT_EQ(departure.next_due(kNow + 2s), kNow + 8s) << "the drain";
  (void)departure.due(kNow + 8s, 2);
  EXPECT_GT(departure.next_due(kNow + 8s), kNow + 8s);
  EXPECT_LE(departure.next_due(kNow + 8s), kNow + 10s);
  EXPECT_EQ(departure.next_due(kNow + 10s), loop::TimePoint::max());
}

}  // namespace
}  // namespace limpet::migration
