#include "supervisor/cluster/endings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/supervisor/cluster/parts_kit.h"

namespace limpet::supervisor {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(Endings, by_message_tell_the_worker_and_route_around_it) {
  PartsKit kit(2);
  (void)kit.add(0);
  Worker& worker = kit.add(1);
  kit.endings.put_down(worker, Ending::ByMessage, Cause::Misbehaved, "no reason");
  EXPECT_THAT(kit.told(worker), ElementsAre("leave"));
  EXPECT_EQ(worker.state(), WorkerState::Stopping);
  EXPECT_EQ(worker.ended_while, WorkerState::Serving);
  EXPECT_TRUE(worker.deadline.running());
  EXPECT_FALSE(kit.births.board().takes_part(1));
}

TEST(Endings, by_a_signal_say_nothing) {
  PartsKit kit(1);
  Worker& worker = kit.add(0);
  kit.endings.put_down(worker, Ending::Aborted, Cause::Hung, "hung");
  EXPECT_THAT(kit.told(worker), IsEmpty());
}

TEST(Endings, have_the_first_cause) {
  PartsKit kit(1);
  Worker& worker = kit.add(0);
  kit.endings.put_down(worker, Ending::Aborted, Cause::Hung, "hung");
  kit.endings.put_down(worker, Ending::Killed, Cause::Left, "stop at once");
  EXPECT_EQ(worker.cause, Cause::Hung);
  EXPECT_EQ(worker.cause_text, "hung");
  EXPECT_EQ(worker.ended_while, WorkerState::Serving);
}

TEST(Endings, come_to_one_that_has_not_left_by_its_deadline_once_it_was_heard) {
  PartsKit kit(1);
  Worker& worker = kit.add(0, WorkerState::Draining);
  kit.workers.say(worker, ipc::DrainProgress{3, 0, 0});
  kit.endings.limit_drain(worker, 0ms, 7ms);
  const Readiness told(kit.loop, kit.workers.descriptor(worker), Readiness::Kind::Read,
                       [&kit] { kit.loop.stop(); });
  kit.loop.run();
  EXPECT_EQ(worker.cause, Cause::DrainDeadline);
  EXPECT_EQ(worker.cause_text, "has not left after 7 ms, 3 sessions left");
  EXPECT_THAT(kit.told(worker), ElementsAre("leave"));
}

TEST(Endings, are_not_for_one_that_drains_and_closes_its_channel) {
  PartsKit kit(1);
  Worker& drains = kit.add(0, WorkerState::Draining);
  kit.endings.limit_exit(drains, "closed its control channel");
  EXPECT_FALSE(drains.deadline.running());
}

}  // namespace
}  // namespace limpet::supervisor
