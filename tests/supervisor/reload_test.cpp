// Reloads that move sessions: what the supervisor says to whom, what it tells the operator, and what it does
// when a successor is bad in one of its ways. The workers only speak the contract.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <boost/json.hpp>

#include "tests/supervisor/running_server.h"

namespace limpet::supervisor {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::uint64_t sessions_of_slot(RunningServer& server, std::size_t slot) {
  return server.status().at("slots").at(slot).at("workers").at(0).at("sessions").to_number<std::uint64_t>();
}

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(Reload, moves_the_sessions_of_each_slot_to_its_successor) {
  RunningServer server({"--workers", "3"}, "good sessions 5");
  server.wait_until_serving();
  const pid_t before = server.pid_of_slot(2);
  const CtlResult result = server.ctl({"reload"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  const std::string pids =
      "pid " + std::to_string(before) + " -> pid " + std::to_string(server.pid_of_slot(2));
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("slot 2: " + pids + ": 5 moved, 0 drained ("),
                    HasSubstr("reload done: 3 workers replaced; 15 sessions moved, 0 drained (")));
  for (std::size_t slot = 0; slot < 3; ++slot) EXPECT_EQ(sessions_of_slot(server, slot), 5U);
  // Again and again: a successor is the next one's predecessor.
  for (int round = 0; round < 3; ++round)
    EXPECT_THAT(server.ctl({"reload"}).output, HasSubstr("15 sessions moved, 0 drained"));
}

TEST(Reload, drains_the_sessions_if_they_are_not_to_move) {
  for (const bool by_flag : {true, false}) {
    SCOPED_TRACE(by_flag);
    RunningServer server(by_flag ? std::vector<std::string>{"--workers", "2", "--no-move"}
                                 : std::vector<std::string>{"--workers", "2"},
                         "good sessions 5", by_flag ? "" : "[reload]\nmove = false\n");
    server.wait_until_serving();
    const CtlResult result = server.ctl({"reload"});
    EXPECT_EQ(result.exit_code, 0) << result.output;
    EXPECT_THAT(result.output,
                AllOf(HasSubstr("0 moved, 5 drained ("), HasSubstr("0 sessions moved, 10 drained")));
  }
}

TEST(Reload, what_has_not_moved_by_the_deadline_is_drained) {
  RunningServer server({"--workers", "1", "--drain-window", "0s", "--drain-deadline", "200ms"},
                       "hold sessions 4");
  server.wait_until_serving();
  server.behave("good");
  EXPECT_THAT(server.ctl({"reload"}).output,
              HasSubstr("reload done: 1 workers replaced; 0 sessions moved, 4 drained"));
}

TEST(Reload, no_more_than_two_old_workers_move_sessions_at_once) {
  RunningServer server({"--workers", "4", "--drain-window", "0s", "--drain-deadline", "500ms"},
                       "hold sessions 1");
  server.wait_until_serving();
  server.behave("good");
  const CtlResult result = server.ctl({"reload"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("slot 2: waits: 2 old workers still have sessions"));
  const std::string& output = server.program().output();
  (void)server.status();
  server.wait_for("reload done");
  EXPECT_LT(output.find("0 moved, 1 drained"), output.find("slot 2 gen 7 "));
}

TEST(Reload, a_successor_that_dies_while_sessions_come_stops_the_rollout_and_the_next_tenant_gets_the_rest) {
  RunningServer server({"--workers", "2"}, "good sessions 5");
  server.wait_until_serving();
  const pid_t other = server.pid_of_slot(1);
  server.behave("slot 0 die-taking");
  const CtlResult failed = server.ctl({"reload"});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.output, AllOf(HasSubstr("reload failed: slot 0 gen 3"), HasSubstr("exit status 6"),
                                   HasSubstr("2 sessions were inside it")));
  server.wait_for("reload failed: slot 0 gen 3");
  server.behave("good");
  server.wait_for("slot 0 gen 1: draining -> dead");
  EXPECT_EQ(sessions_of_slot(server, 0), 3U);
  EXPECT_EQ(server.pid_of_slot(1), other);
  const CtlResult good = server.ctl({"reload"});
  EXPECT_EQ(good.exit_code, 0) << good.output;
  EXPECT_THAT(good.output, HasSubstr("8 sessions moved, 0 drained"));
}

TEST(Reload, a_successor_of_another_protocol_is_withdrawn_and_says_which) {
  RunningServer server({"--workers", "2"}, "good sessions 5");
  server.wait_until_serving();
  const pid_t before = server.pid_of_slot(0);
  server.behave("another-protocol");
  const CtlResult failed = server.ctl({"reload"});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.output,
              AllOf(HasSubstr("says hello with protocol 2 of build fake"),
                    HasSubstr("this supervisor speaks protocol 1"), HasSubstr("the old workers go on")));
  EXPECT_EQ(server.pid_of_slot(0), before);
  EXPECT_EQ(sessions_of_slot(server, 0), 5U);
}

TEST(Reload, a_successor_that_dies_when_it_is_seated_stops_the_rollout_and_loses_nothing) {
  RunningServer server({"--workers", "2"}, "good sessions 5");
  server.wait_until_serving();
  server.behave("die-when-seated");
  const CtlResult failed = server.ctl({"reload"});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.output, AllOf(HasSubstr("exit status 7"), HasSubstr("0 sessions were inside it")));
  server.behave("good");
  server.wait_for("slot 0 gen 1: draining -> dead");
  EXPECT_EQ(sessions_of_slot(server, 0), 5U);
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 0);
}

TEST(Reload, a_successor_that_hangs_on_probation_is_withdrawn) {
  RunningServer server({"--workers", "1", "--probation", "1h", "--heartbeat-interval", "300ms"},
                       "good sessions 5");
  server.wait_until_serving();
  const pid_t before = server.pid_of_slot(0);
  server.behave("hang-when-ready");
  const CtlResult failed = server.ctl({"reload"});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.output, AllOf(HasSubstr("hung: no heartbeat for"), HasSubstr("the old workers go on")));
  EXPECT_EQ(server.pid_of_slot(0), before);
  EXPECT_EQ(sessions_of_slot(server, 0), 5U);
}

TEST(Reload, only_the_first_slot_has_a_probation) {
  RunningServer server({"--workers", "3", "--probation", "20ms"});
  server.wait_until_serving();
  EXPECT_EQ(times(server.ctl({"reload"}).output, "on probation"), 1U);
}

TEST(Reload, a_worker_that_dies_while_its_successor_is_on_probation_is_succeeded_at_once) {
  RunningServer server({"--workers", "1", "--probation", "1h"});
  server.wait_until_serving();
  server.program().signal(SIGHUP);
  server.wait_for("on probation");
  ::kill(server.pid_of_slot(0), SIGKILL);
  server.wait_for("slot 0 gen 2: ready -> serving");
  server.wait_for("reload done: 1 workers replaced");
}

TEST(Reload, each_worker_is_judged_by_the_heartbeat_that_it_was_told) {
  RunningServer server({"--workers", "2"}, "good", "[supervision]\nheartbeat_interval = \"50ms\"\n");
  server.wait_until_serving();
  server.write_file("[supervision]\nheartbeat_interval = \"1h\"\n");
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 0);
  server.write_file("[supervision]\nheartbeat_interval = \"50ms\"\n");
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 0);
  EXPECT_EQ(server.total("deaths_hung"), 0U);
}

TEST(Reload, a_storm_of_signals_is_one_reload_and_one_more_at_most) {
  RunningServer server({"--workers", "2", "--probation", "1s"});
  server.wait_until_serving();
  server.program().signal(SIGHUP);
  server.wait_for("on probation");
  for (int count = 0; count < 1000; ++count) server.program().signal(SIGHUP);
  server.wait_for("reload done");
  server.wait_for("on probation");
  server.wait_for("reload done");
  EXPECT_EQ(server.status().at("operation"), "");
  EXPECT_EQ(server.total("workers_started"), 6U);
  EXPECT_EQ(server.total("workers_left"), 4U);
  EXPECT_EQ(server.ctl({"stop"}).exit_code, 0);
  EXPECT_EQ(server.program().wait_for_end(), (ipc::ExitStatus{false, 0}));
}

TEST(Reload, a_worker_that_crashes_is_replaced_by_the_image_that_was_started_and_a_reload_takes_the_new_one) {
  RunningServer server({"--workers", "1"});
  server.wait_until_serving();
  const pid_t before = server.pid_of_slot(0);
  server.install_worker("/bin/false");
  ::kill(before, SIGKILL);
  server.wait_for("slot 0 gen 2: ready -> serving");
  const pid_t after = server.pid_of_slot(0);
  const CtlResult refused = server.ctl({"reload"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.output, AllOf(HasSubstr("died: exit status 1"), HasSubstr("the old workers go on")));
  // Also after the refusal.
  ::kill(after, SIGKILL);
  server.wait_for("slot 0 gen 4: ready -> serving");
  server.install_worker(server.fake_worker());
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 0);
}

TEST(Reload, a_script_is_read_from_its_path) {
  RunningServer server({"--workers", "1"});
  server.wait_until_serving();
  server.install_script("exec " + server.fake_worker() + " \"$@\"");
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 0);
  server.install_script("exit 9");
  ::kill(server.pid_of_slot(0), SIGKILL);
  server.wait_for("died: exit status 9");
  server.install_script("exec " + server.fake_worker() + " \"$@\"");
  server.wait_for("ready -> serving");
}

TEST(Reload, ctl_waits_no_longer_than_it_was_told) {
  RunningServer server({"--workers", "1", "--probation", "1h"});
  server.wait_until_serving();
  const CtlResult begun = server.ctl({"reload", "--no-wait"});
  EXPECT_EQ(begun.exit_code, 0);
  EXPECT_THAT(begun.output,
              AllOf(HasSubstr("reload: 1 workers, one slot at a time"), Not(HasSubstr("reload done"))));
  const CtlResult busy = server.ctl({"reload", "--no-wait"});
  EXPECT_EQ(busy.exit_code, 1);
  EXPECT_THAT(busy.output, HasSubstr("busy: reload since "));
  server.wait_for("on probation");
  ::kill(server.pid_of_slot(0), SIGKILL);
  server.wait_for("reload done");
  const CtlResult late = server.ctl({"reload", "--timeout", "0.2"});
  EXPECT_EQ(late.exit_code, 124);
  EXPECT_THAT(late.output, HasSubstr("reload: still under way"));
  EXPECT_EQ(server.ctl({"reload", "--timeout", "-1"}).exit_code, 2);
}

TEST(Reload, a_stop_while_sessions_move_drains_them) {
  RunningServer server({"--workers", "2", "--drain-deadline", "1h"}, "hold sessions 5");
  server.wait_until_serving();
  server.behave("good");
  server.program().signal(SIGHUP);
  server.wait_for("slot 1 gen 4: ready -> serving");
  EXPECT_EQ(server.ctl({"stop"}).exit_code, 0);
  EXPECT_EQ(server.program().wait_for_end(), (ipc::ExitStatus{false, 0}));
}

}  // namespace
}  // namespace limpet::supervisor
