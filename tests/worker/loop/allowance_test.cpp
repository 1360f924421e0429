#include "worker/loop/allowance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "worker/loop/accounts.h"
#include "worker/loop/fifo.h"
#include "worker/loop/long_fifo.h"

namespace limpet::loop {
namespace {

using namespace std::chrono_literals;

TimePoint now_of_test;
TimePoint look() noexcept { return now_of_test; }

TEST(Allowance, IsUsedUpByUnits) {
  Allowance allowance(&look);
  allowance.begin(10, 1s);
  int taken = 0;
  while (allowance.take(3)) ++taken;
  EXPECT_EQ(taken, 3);
  EXPECT_TRUE(allowance.denied());
  EXPECT_FALSE(allowance.take()) << "whoever was told to wait is not overtaken by smaller pieces";
}

TEST(Allowance, IsUsedUpByTimeWhichItLooksAtNowAndThen) {
  Allowance allowance(&look);
  allowance.begin(1'000'000, 2ms);
  EXPECT_TRUE(allowance.take());
  now_of_test += 2ms;
  int taken = 0;
  while (allowance.take()) ++taken;
  EXPECT_LE(taken, 16);
}

TEST(Allowance, LooksAtTheTimeBehindAPieceThatTookLong) {
  Allowance allowance(&look);
  allowance.begin(1000, 100us);
  EXPECT_TRUE(allowance.take());
  now_of_test += 1s;
  EXPECT_TRUE(allowance.take()) << "it does not look each time";
  Allowance::note_long_piece();
  EXPECT_FALSE(allowance.take());
  allowance.begin(1000, 100us);
  EXPECT_TRUE(allowance.take());
  EXPECT_TRUE(allowance.take()) << "noted once, looked once";
}

TEST(Allowance, GrantsTheFirstPieceOfAShareWhateverItCosts) {
  Allowance allowance(&look);
  EXPECT_FALSE(allowance.take()) << "there is no share yet";
  for (int share = 0; share < 3; ++share) {
    allowance.begin(1, 0us);
    now_of_test += 1s;
    EXPECT_TRUE(allowance.take(1000));
    EXPECT_FALSE(allowance.take());
    EXPECT_TRUE(allowance.denied());
  }
  allowance.begin(5, 1s);
  EXPECT_FALSE(allowance.denied()) << "a new share";
}

TEST(Fifo, IsAQueueWhateverIsPutInAndTakenOut) {
  Fifo<int> fifo;
  std::deque<int> model;
  std::uint32_t seed = 1;
  for (int step = 0; step < 100'000; ++step) {
    seed = seed * 1664525u + 1013904223u;
    if (seed >> 31 == 0 || model.empty()) {
      fifo.push_back(step);
      model.push_back(step);
    } else {
      ASSERT_EQ(fifo.pop_front(), model.front());
      model.pop_front();
    }
    ASSERT_EQ(fifo.size(), model.size());
    ASSERT_EQ(fifo.empty(), model.empty());
    if (!model.empty()) {
      ASSERT_EQ(fifo.front(), model.front());
      ASSERT_EQ(fifo[fifo.size() - 1], model.back());
    }
  }
  EXPECT_TRUE(std::equal(fifo.begin(), fifo.end(), model.begin(), model.end()));
  EXPECT_LT(fifo.footprint(), 100'000u * sizeof(int)) << "what was taken out is not kept";
}

struct Holder {
  Noted noted;
};

TEST(LongFifo, IsAQueueWhateverIsPutInAndTakenOutShortOrLong) {
  std::uint32_t seed = 1;
  // Mostly short; then one that grows past where its elements stand in blocks, and shrinks again.
  for (const std::uint32_t odds : {110u, 140u, 110u}) {
    LongFifo<int> fifo;
    std::deque<int> model;
    for (int step = 0; step < 20'000; ++step) {
      seed = seed * 1664525u + 1013904223u;
      const std::uint32_t choice = seed >> 24;
      if (choice < odds || model.empty()) {
        fifo.push_back(step);
        model.push_back(step);
      } else if (choice < odds + 10) {
        fifo.push_front(step);
        model.push_front(step);
      } else if (choice < odds + 14) {
        const std::size_t some = model.size() / 2;
        fifo.drop(some);
        model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(some));
      } else {
        ASSERT_EQ(fifo.pop_front(), model.front());
        model.pop_front();
      }
      ASSERT_EQ(fifo.size(), model.size());
      ASSERT_EQ(fifo.empty(), model.empty());
      if (model.empty()) continue;
      ASSERT_EQ(fifo.front(), model.front());
      ASSERT_EQ(fifo[fifo.size() - 1], model.back());
    }
    std::vector<int> rest;
    for (const int each : fifo) rest.push_back(each);
    EXPECT_TRUE(std::equal(rest.begin(), rest.end(), model.begin(), model.end()));
    fifo.clear();
    EXPECT_TRUE(fifo.empty());
    fifo.push_back(7);
    EXPECT_EQ(fifo.pop_front(), 7);
  }
}

TEST(LongFifo, WithOneElementOwnsLittle) {
  LongFifo<std::uint64_t> fifo;
  EXPECT_EQ(fifo.footprint(), 0u);
  fifo.push_back(1);
  EXPECT_LE(fifo.footprint(), 2 * sizeof(std::uint64_t)) << "every session that polls has one of these";
}

TEST(LongFifo, GivesItsMemoryBackWhenItHasBecomeEmpty) {
  LongFifo<std::uint64_t> fifo;
  for (std::uint64_t i = 0; i < 100'000; ++i) fifo.push_back(i);
  for (std::uint64_t i = 0; i < 99'999; ++i) ASSERT_EQ(fifo.pop_front(), i);
  EXPECT_GT(fifo.footprint(), 10'000u) << "the list of its blocks is as long as it was";
  (void)fifo.pop_front();
  EXPECT_EQ(fifo.footprint(), 0u);
  for (std::uint64_t i = 0; i < 100'000; ++i) fifo.push_back(i);
  fifo.drop(100'000);
  EXPECT_EQ(fifo.footprint(), 0u);
  fifo.push_back(1);
  EXPECT_EQ(fifo.front(), 1u);
}

TEST(Accounts, FindTheLargestAndEndAtNothing) {
  MemoryTotal total;
  const std::uint64_t before = total.bytes();
  Accounts<Holder> accounts(total);
  std::array<Holder, 3> holders;
  accounts.note(holders[0], holders[0].noted, 1000, 10'000);
  EXPECT_EQ(accounts.largest(), nullptr) << "small ones have no rank";
  accounts.note(holders[0], holders[0].noted, 100'000, 0);
  accounts.note(holders[1], holders[1].noted, 10'000, 500'000);
  accounts.note(holders[2], holders[2].noted, 200'000, 0);
  EXPECT_EQ(accounts.largest(), &holders[1]);
  EXPECT_NEAR(static_cast<double>(total.bytes() - before), 310'000, 3 * 1024)
      << "frames are not charged twice";
  accounts.note(holders[1], holders[1].noted, 10'000, 0);
  EXPECT_EQ(accounts.largest(), &holders[2]);
  for (Holder& holder : holders) accounts.forget(holder, holder.noted);
  EXPECT_EQ(accounts.largest(), nullptr);
  EXPECT_EQ(total.bytes(), before);
}

TEST(Accounts, CountEachFrameOnceHoweverManyHaveItQueued) {
  const std::uint64_t before = Buffer::live_bytes();
  {
    const Buffer frame = Buffer::allocate(100'000);
    const std::vector<Buffer> queued(1000, frame);
    EXPECT_GE(Buffer::live_bytes(), before + 100'000);
    EXPECT_LT(Buffer::live_bytes(), before + 110'000);
  }
  EXPECT_EQ(Buffer::live_bytes(), before);
}

TEST(Accounts, CountAFrameAsWhatItCostsWhateverIsCutOff) {
  const std::uint64_t before = Buffer::live_bytes();
  for (const std::size_t size : {0u, 1u, 16u, 113u, 5'000u, 1'000'000u}) {
    Buffer frame = Buffer::allocate(size);
    const std::uint64_t cost = Buffer::live_bytes() - before;
    EXPECT_GE(cost, size + 16);
    EXPECT_LE(cost, (size + 16) * 5 / 4 + 16);
    if (size > 0) frame.narrow(1, size);
    EXPECT_EQ(Buffer::live_bytes() - before, cost);
    EXPECT_EQ(frame.size(), size > 0 ? size - 1 : 0);
  }
  EXPECT_EQ(Buffer::live_bytes(), before);
}

}  // namespace
}  // namespace limpet::loop
