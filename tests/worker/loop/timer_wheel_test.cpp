// Time-outs of one duration, some of which began elsewhere: against a plain sorted model.
#include "worker/loop/timer_wheel.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <set>

namespace limpet::loop {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr milliseconds kDuration = 25'000ms;
constexpr milliseconds kGranule = 25ms;
const TimePoint kStart{1'000'007ms};

TEST(TimerWheel, HasNothingAtFirst) {
  TimerWheel wheel(kDuration);
  EXPECT_EQ(wheel.front(), nullptr);
  EXPECT_EQ(wheel.due(TimePoint::max()), nullptr);
}

TEST(TimerWheel, IsExactForThoseThatBeginHereAlsoBesideThoseThatArrive) {
  TimerWheel wheel(kDuration);
  TimerHook arrived, begun;
  wheel.arrive(arrived, kStart + 24'990ms, kStart);
  wheel.join(begun, kStart + 24'991ms);
  EXPECT_EQ(wheel.due(kStart + 24'991ms - 1ns), nullptr);
  EXPECT_EQ(wheel.due(kStart + 24'991ms), &begun);
  EXPECT_EQ(begun.due, kStart + 24'991ms);
}

TEST(TimerWheel, IsNeverEarlyForThoseThatArriveAndLateByLessThanAGranule) {
  for (const milliseconds left : {0ms, 1ms, 24ms, 25ms, 26ms, 12'345ms, 24'999ms, 25'000ms}) {
    TimerWheel wheel(kDuration);
    TimerHook hook;
    wheel.arrive(hook, kStart + left, kStart);
    EXPECT_GE(hook.due, kStart + left);
    EXPECT_LT(hook.due, kStart + left + kGranule);
    EXPECT_EQ(wheel.front(), &hook);
    EXPECT_EQ(wheel.due(hook.due - 1ns), nullptr);
    EXPECT_EQ(wheel.due(hook.due), &hook);
  }
}

TEST(TimerWheel, HasThoseThatArriveTooLateAtOnce) {
  TimerWheel wheel(kDuration);
  TimerHook late, later;
  wheel.arrive(late, kStart, kStart);
  wheel.arrive(later, kStart - 5s, kStart);
  EXPECT_EQ(wheel.due(kStart), &late);
  late.leave();
  EXPECT_EQ(wheel.due(kStart), &later);
}

TEST(TimerWheel, ShortensWhatIsLongerWhereItComesFrom) {
  TimerWheel wheel(kDuration);
  TimerHook hook;
  wheel.arrive(hook, kStart + 24h, kStart);
  EXPECT_GE(hook.due, kStart + kDuration);
  EXPECT_LE(hook.due, kStart + kDuration + 30 * kGranule);
}

TEST(TimerWheel, ForgetsWhoLeavesWhereverItIs) {
  TimerWheel wheel(kDuration);
  TimerHook begun, due_already, waiting;
  wheel.join(begun, kStart + 10s);
  wheel.arrive(due_already, kStart + 10s, kStart);
  wheel.arrive(waiting, kStart + 20s, kStart);
  EXPECT_NE(wheel.due(kStart + 11s), nullptr);
  for (TimerHook* hook : {&begun, &due_already}) hook->leave();
  EXPECT_EQ(wheel.due(kStart + 11s), nullptr);
  EXPECT_EQ(wheel.front(), &waiting);
  waiting.leave();
  EXPECT_EQ(wheel.front(), nullptr);
}

/// What a wheel should say: the due times of all that wait, sorted.
class Model {
 public:
  explicit Model(std::uint32_t seed) : random_(seed) {}
  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      step();
      look();
    }
  }

 private:
  std::int64_t up_to(std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(0, most)(random_);
  }
  void step() {
    switch (up_to(9)) {
      case 0:
      case 1:
      case 2:
        return begin();
      case 3:
      case 4:
      case 5:
        return arrive();
      case 6:
        return leave();
      case 7:
        now_ += milliseconds(up_to(60));
        return;
      case 8:
        now_ += std::chrono::nanoseconds(up_to(30'000'000));
        return work_off(static_cast<std::size_t>(up_to(5)));
      default:
        // Seldom long, and sometimes longer than the whole wheel.
        if (up_to(20) == 0) now_ += milliseconds(up_to(80'000));
        return work_off(static_cast<std::size_t>(up_to(40)));
    }
  }
  void begin() {
    hooks_.emplace_back();
    wheel_.join(hooks_.back(), now_ + kDuration);
    due_.insert(now_ + kDuration);
  }
  void arrive() {
    hooks_.emplace_back();
    const TimePoint wanted = now_ + milliseconds(up_to(25'000)) - milliseconds(up_to(1'000));
    wheel_.arrive(hooks_.back(), wanted, now_);
    EXPECT_GE(hooks_.back().due, std::max(wanted, now_));
    EXPECT_LT(hooks_.back().due, std::max(wanted, now_) + kGranule);
    due_.insert(hooks_.back().due);
  }
  void leave() {
    if (hooks_.empty()) return;
    TimerHook& hook = hooks_[static_cast<std::size_t>(up_to(static_cast<std::int64_t>(hooks_.size()) - 1))];
    if (hook.joined()) due_.erase(due_.find(hook.due));
    hook.leave();
  }
  /// As many as an allowance suffices for; the rest is late, and keeps its order.
  void work_off(std::size_t allowance) {
    while (allowance-- > 0) {
      TimerHook* const hook = wheel_.due(now_);
      ASSERT_EQ(hook != nullptr, !due_.empty() && *due_.begin() <= now_);
      if (hook == nullptr) return;
      ASSERT_EQ(hook->due, *due_.begin());
      due_.erase(due_.begin());
      hook->leave();
    }
  }
  void look() {
    const TimerHook* const front = wheel_.front();
    ASSERT_EQ(front != nullptr, !due_.empty());
    if (front == nullptr) return;
    EXPECT_EQ(front->due, *due_.begin());
  }

  std::mt19937 random_;
  TimerWheel wheel_{kDuration};
  std::deque<TimerHook> hooks_;
  std::multiset<TimePoint> due_;
  TimePoint now_ = kStart;
};

TEST(TimerWheel, IsAsASortedListWouldBeWhateverHappens) {
  for (std::uint32_t seed = 1; seed <= 30 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Model(seed).run(3000);
  }
}

}  // namespace
}  // namespace limpet::loop
