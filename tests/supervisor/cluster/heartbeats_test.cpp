#include "supervisor/cluster/heartbeats.h"

#include <gtest/gtest.h>

#include "tests/supervisor/cluster/parts_kit.h"

namespace limpet::supervisor {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

class HeartbeatsTest : public testing::Test {
 protected:
  static constexpr std::chrono::milliseconds kInterval = 10s;
  static Options options() {
    Options result;
    result.heartbeat_interval = kInterval;
    return result;
  }
  /// Ready for long; its last beat was then.
  Worker& add_silent_for(std::chrono::milliseconds silence, WorkerState state = WorkerState::Serving) {
    Worker& worker = kit.add(slot_++, state);
    worker.ready_since = steady_clock::now() - 100 * kInterval;
    kit.workers.counters(worker).beat(steady_clock::now() - silence);
    return worker;
  }
  void look() { heartbeats.start(); }

  PartsKit kit{3, options()};
  Heartbeats heartbeats{kit.loop, kit.slots, kit.endings, kit.routes, kInterval};

 private:
  std::uint16_t slot_ = 0;
};

TEST_F(HeartbeatsTest, one_that_beats_is_left_alone_one_that_misses_one_is_routed_around) {
  const Worker& beats = add_silent_for(0s);
  Worker& silent = add_silent_for(15s);
  (void)add_silent_for(0s);
  look();
  EXPECT_FALSE(beats.silent);
  EXPECT_TRUE(silent.silent);
  EXPECT_TRUE(silent.is_seated());
  EXPECT_TRUE(kit.births.board().takes_part(0));
  EXPECT_FALSE(kit.births.board().takes_part(1));
  kit.workers.counters(silent).beat(steady_clock::now());
  look();
  EXPECT_FALSE(silent.silent);
  EXPECT_TRUE(kit.births.board().takes_part(1));
}

TEST_F(HeartbeatsTest, one_that_misses_two_is_ended) {
  const Worker& hung = add_silent_for(25s);
  look();
  EXPECT_EQ(hung.cause, Cause::Hung);
  EXPECT_EQ(hung.state(), WorkerState::Stopping);
}

TEST_F(HeartbeatsTest, one_that_boots_owes_none) {
  const Worker& boots = add_silent_for(25s, WorkerState::Attaching);
  look();
  EXPECT_FALSE(boots.silent);
  EXPECT_FALSE(boots.cause);
}

TEST_F(HeartbeatsTest, sessions_are_published_at_each_look) {
  kit.workers.counters(add_silent_for(0s)).set(ipc::Counter::SessionsOpen, 6);
  look();
  EXPECT_EQ(kit.births.board().sessions(0), 6U);
}

}  // namespace
}  // namespace limpet::supervisor
