#include "supervisor/cluster/deaths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/supervisor/cluster/parts_kit.h"

namespace limpet::supervisor {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

/// A process that has exited already.
ipc::Child ended(int status) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(status);
  ipc::Child child(pid);
  pollfd end{child.descriptor(), POLLIN, 0};
  EXPECT_EQ(::poll(&end, 1, -1), 1);
  return child;
}

class DeathsTest : public testing::Test {
 protected:
  DeathsTest() { kit.totals.count_start(0); }

  Worker& add_ended(int status, WorkerState state = WorkerState::Serving) {
    Worker& worker = kit.workers.add(kit.slots, 0, kit.program, state, ended(status));
    give_memory(worker);
    return worker;
  }
  static int give_memory(Worker& worker) {
    const int doorbell = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    worker.memory = Worker::Memory{{}, {}, {}, base::Descriptor(doorbell)};
    return doorbell;
  }
  std::uint64_t total(const std::string& name) {
    for (const ipc::CounterReport& each : kit.totals.report(kit.slots.living()).counters)
      if (each.name == name) return each.total;
    return 0;
  }

  PartsKit kit{2};
};

TEST_F(DeathsTest, are_told_counted_and_followed) {
  Worker& worker = add_ended(3);
  kit.workers.counters(worker).add(ipc::Counter::RefusedSessions, 5);
  kit.deaths.take_end(worker);
  EXPECT_THAT(kit.events.obituary, AllOf(HasSubstr("slot 0 gen 1 pid "), HasSubstr(": died: exit status 3, "),
                                         EndsWith(", while serving")));
  EXPECT_THAT(kit.events.heard, ElementsAre("gone 1"));
  EXPECT_EQ(kit.events.last_cause, Cause::Exit);
  EXPECT_EQ(total("deaths_exit"), 1U);
  EXPECT_EQ(total("refused_sessions"), 5U);
  EXPECT_EQ(kit.slots.at(0).deaths, 1U);
  EXPECT_EQ(kit.slots.at(0).last_obituary, kit.events.obituary);
  EXPECT_TRUE(kit.slots.at(0).workers.empty());
  EXPECT_TRUE(kit.slots.at(0).respawn.running());
}

TEST_F(DeathsTest, wake_the_peers) {
  Worker& worker = add_ended(3);
  Worker& peer = kit.add(1);
  const int doorbell = give_memory(peer);
  kit.deaths.take_end(worker);
  EXPECT_THAT(kit.told(peer), ElementsAre("peer left 1"));
  std::uint64_t rung = 0;
  EXPECT_EQ(::read(doorbell, &rung, sizeof rung), static_cast<ssize_t>(sizeof rung));
}

TEST_F(DeathsTest, of_workers_that_drain_and_exit_well_are_none) {
  Worker& worker = add_ended(0, WorkerState::Draining);
  (void)kit.add(0);
  kit.workers.say(worker, ipc::Leaving{9, 1});
  kit.deaths.take_end(worker);
  EXPECT_EQ(kit.events.last_cause, Cause::Left);
  EXPECT_THAT(kit.events.obituary, HasSubstr(": left: exit status 0, "));
  EXPECT_EQ(kit.slots.at(0).deaths, 0U);
  EXPECT_EQ(total("workers_left"), 1U);
  // The slot has another.
  EXPECT_FALSE(kit.slots.at(0).respawn.running());
}

TEST_F(DeathsTest, name_the_last_words_that_nobody_had_read) {
  Worker& worker = add_ended(1, WorkerState::Attaching);
  kit.workers.say(worker, ipc::Failed{"no such file"});
  kit.deaths.take_end(worker);
  EXPECT_THAT(kit.events.obituary,
              AllOf(HasSubstr("exit status 1 (it said: no such file), "), EndsWith("while attaching")));
}

TEST_F(DeathsTest, name_why_the_supervisor_has_ended_it_and_what_it_was_then) {
  Worker& worker = add_ended(0);
  kit.endings.put_down(worker, Ending::ByMessage, Cause::Hung, "hung");
  kit.endings.put_down(worker, Ending::Killed, Cause::Left, "stop at once");
  kit.deaths.take_end(worker);
  EXPECT_EQ(kit.events.last_cause, Cause::Hung);
  EXPECT_THAT(kit.events.obituary,
              AllOf(HasSubstr("killed: hung: exit status 0, "), EndsWith("while serving")));
}

TEST_F(DeathsTest, of_the_last_worker_end_a_closing_slot) {
  kit.slots.grow(3);
  Worker& worker = kit.workers.add(kit.slots, 2, kit.program, WorkerState::Draining, ended(0));
  kit.totals.grow(3);
  kit.slots.close_from(2);
  kit.deaths.take_end(worker);
  EXPECT_FALSE(kit.slots.is_closing());
}

TEST_F(DeathsTest, of_the_last_worker_of_all_end_a_stop) {
  Worker& worker = add_ended(0, WorkerState::Draining);
  kit.slots.stop();
  kit.deaths.take_end(worker);
  EXPECT_THAT(kit.events.heard, ElementsAre("gone 1", "empty"));
}

}  // namespace
}  // namespace limpet::supervisor
