#include "worker/loop/poller.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace limpet::loop::test {
namespace {

using std::chrono::hours;

/// Ready for ever: nobody reads what it has.
class Ready final : public Poller::Subscriber {
 public:
  Ready(Poller& poller, Allowance& allowance)
      : poller_(poller), allowance_(allowance), counter_(::eventfd(1, EFD_CLOEXEC)) {
    EXPECT_TRUE(poller_.add(counter_.get(), EPOLLIN, *this));
  }
  void remove() { poller_.remove(counter_.get(), *this); }
  void on_ready(std::uint32_t) override {
    if (allowance_.take()) ++visits_;
  }
  [[nodiscard]] int visits() const { return visits_; }

 private:
  Poller& poller_;
  Allowance& allowance_;
  base::Descriptor counter_;
  int visits_ = 0;
};

class PollerTest : public testing::Test {
 protected:
  void make(std::size_t count) {
    while (all_.size() < count) all_.push_back(std::make_unique<Ready>(poller_, allowance_));
  }
  /// With a share for so many visits. True if more may be ready.
  bool turn(std::uint32_t visits) {
    allowance_.begin(visits, hours(1));
    return poller_.dispatch(allowance_);
  }
  [[nodiscard]] std::pair<int, int> fewest_and_most() const {
    const auto fewer = [](const auto& a, const auto& b) { return a->visits() < b->visits(); };
    const auto [fewest, most] = std::minmax_element(all_.begin(), all_.end(), fewer);
    return {(*fewest)->visits(), (*most)->visits()};
  }

  Poller poller_;
  Allowance allowance_;
  std::vector<std::unique_ptr<Ready>> all_;
};

TEST_F(PollerTest, whoever_stays_ready_is_called_as_often_as_any_other_however_many_there_are) {
  constexpr std::uint32_t kVisits = 77;  // no part of a batch
  constexpr int kTurns = 200;
  for (const std::size_t count : {3U, 256U, 257U, 1000U}) {
    make(count);
    for (int i = 0; i < kTurns; ++i) turn(kVisits);
    const auto [fewest, most] = fewest_and_most();
    EXPECT_LE(most - fewest, 1) << "of " << count << " that are ready";
    EXPECT_GE(fewest, std::min(kTurns, kTurns * static_cast<int>(kVisits) / static_cast<int>(count)) - 1);
    for (auto& one : all_) one->remove();
    all_.clear();
  }
}

TEST_F(PollerTest, whoever_was_removed_is_not_called_though_it_was_told_of_before) {
  make(200);
  EXPECT_TRUE(turn(10));
  for (auto& one : all_) one->remove();
  const auto [fewest, most] = fewest_and_most();
  EXPECT_EQ(fewest, 0);
  EXPECT_EQ(most, 1);
  EXPECT_FALSE(turn(1000));
  EXPECT_EQ(fewest_and_most(), std::pair(0, 1));
}

TEST_F(PollerTest, one_that_is_ready_does_not_keep_the_loop_awake_once_it_was_called) {
  make(1);
  EXPECT_FALSE(turn(10));
  EXPECT_EQ(all_.front()->visits(), 1);
}

}  // namespace
}  // namespace limpet::loop::test
