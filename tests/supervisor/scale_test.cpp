// Another number of workers at run time: which sessions move where, what waits in the queues, what goes
// wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <boost/json.hpp>
#include <numeric>
#include <set>

#include "tests/supervisor/running_server.h"

namespace limpet::supervisor {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// By slot, seated workers only.
std::vector<std::uint64_t> sessions(RunningServer& server) {
  std::vector<std::uint64_t> result;
  const boost::json::value status = server.status();
  for (const auto& slot : status.at("slots").as_array()) {
    for (const auto& worker : slot.at("workers").as_array())
      if (worker.at("seated").as_bool()) result.push_back(worker.at("sessions").to_number<std::uint64_t>());
  }
  return result;
}

std::uint64_t sum(const std::vector<std::uint64_t>& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), std::uint64_t{0});
}

TEST(Scale, up_and_down_moves_the_sessions_of_the_buckets_that_move) {
  RunningServer server({"--workers", "2", "--max-workers", "6"}, "good sessions 300");
  server.wait_until_serving();
  server.behave("good");
  const pid_t first = server.pid_of_slot(0);
  const CtlResult up = server.ctl({"scale", "6"});
  EXPECT_EQ(up.exit_code, 0) << up.output;
  EXPECT_THAT(up.output, AllOf(HasSubstr("scale: 2 -> 6 workers"), HasSubstr("slot 5: pid "),
                               HasSubstr("scale done: 2 -> 6 workers; ")));
  std::vector<std::uint64_t> now = sessions(server);
  ASSERT_EQ(now.size(), 6U);
  EXPECT_EQ(sum(now), 600U);
  // Two thirds move, to four slots.
  for (const std::uint64_t each : now) EXPECT_NEAR(static_cast<double>(each), 100, 50);
  const CtlResult down = server.ctl({"scale", "3"});
  EXPECT_EQ(down.exit_code, 0) << down.output;
  EXPECT_THAT(down.output, HasSubstr("scale done: 6 -> 3 workers; "));
  now = sessions(server);
  ASSERT_EQ(now.size(), 3U);
  EXPECT_EQ(sum(now), 600U);
  EXPECT_EQ(server.ctl({"scale", "2"}).exit_code, 0);
  EXPECT_THAT(sessions(server), testing::ElementsAre(300U, 300U));
  EXPECT_EQ(server.pid_of_slot(0), first);
  EXPECT_EQ(server.total("workers_left"), 4U);
}

TEST(Scale, waits_for_a_reload_where_workers_are_of_several_builds) {
  RunningServer server({"--workers", "2"});
  server.wait_until_serving();
  server.behave("slot 1 another-build");
  ::kill(server.pid_of_slot(1), SIGKILL);
  server.wait_for("slot 1 gen 3: ready -> serving");
  const CtlResult refused = server.ctl({"scale", "3"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.output,
              AllOf(HasSubstr("is of build fake, pid "), HasSubstr(" of build fake 2; reload first")));
  server.behave("good");
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 0);
  EXPECT_EQ(server.ctl({"scale", "3"}).exit_code, 0);
}

TEST(Scale, every_client_is_answered_by_an_open_slot) {
  RunningServer server({"--workers", "1", "--max-workers", "4"});
  server.wait_until_serving();
  for (const char* workers : {"4", "2", "3", "1"}) {
    EXPECT_EQ(server.ctl({"scale", workers}).exit_code, 0);
    std::set<std::string> slots;
    for (int client = 1; client <= 40; ++client)
      slots.insert(server.ask("127.0.0." + std::to_string(client)).substr(0, 6));
    EXPECT_EQ(slots.size(), static_cast<std::size_t>(std::stoi(workers)));
    EXPECT_EQ(slots.count(""), 0U);
  }
}

TEST(Scale, what_waits_in_the_queue_of_a_slot_that_closes_is_served_by_its_heir) {
  RunningServer server({"--workers", "2", "--heartbeat-interval", "1h"});
  server.wait_until_serving();
  const pid_t closing = server.pid_of_slot(1);
  ::kill(closing, SIGSTOP);
  std::vector<base::Descriptor> waiting;
  for (int client = 1; client <= 40; ++client)
    waiting.push_back(connect_to(server.port(), "127.0.0." + std::to_string(client)));
  EXPECT_EQ(server.ctl({"scale", "1", "--no-wait"}).exit_code, 0);
  for (const auto& client : waiting) EXPECT_THAT(read_all(client), HasSubstr("slot 0 gen 1 "));
  ::kill(closing, SIGCONT);
  server.wait_for("scale done: 2 -> 1 workers");
  // A successor of the heir is told too: what comes late is served.
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 0);
  EXPECT_EQ(server.ctl({"scale", "2"}).exit_code, 0);
}

TEST(Scale, signals_add_and_take_away_one) {
  RunningServer server({"--workers", "1"});
  server.wait_until_serving();
  server.program().signal(SIGTTIN);
  server.wait_for("scale done: 1 -> 2 workers");
  server.program().signal(SIGTTOU);
  server.wait_for("scale done: 2 -> 1 workers");
  server.program().signal(SIGTTOU);
  server.wait_for("scale: refused: 0 workers: from 1 to 8 can be had");
}

TEST(Scale, refuses_what_cannot_be) {
  RunningServer server({"--workers", "2", "--max-workers", "3"});
  server.wait_until_serving();
  EXPECT_THAT(server.ctl({"scale", "2"}).output, HasSubstr("there are 2 workers already; nothing changes"));
  EXPECT_EQ(server.ctl({"scale", "2"}).exit_code, 0);
  EXPECT_THAT(server.ctl({"scale", "4"}).output,
              HasSubstr("4 workers: from 1 to 3 can be had (max_workers)"));
  EXPECT_EQ(server.ctl({"scale", "0"}).exit_code, 2);
  EXPECT_EQ(server.ctl({"scale"}).exit_code, 2);
}

TEST(Scale, new_workers_that_cannot_start_change_nothing) {
  RunningServer server({"--workers", "2"}, "good sessions 50");
  server.wait_until_serving();
  server.behave("exit");
  const CtlResult failed = server.ctl({"scale", "4"});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.output, AllOf(HasSubstr("scale failed: slot "), HasSubstr("exit status 3"),
                                   HasSubstr("2 workers go on")));
  EXPECT_THAT(sessions(server), testing::ElementsAre(50U, 50U));
  server.behave("good");
  server.wait_for("scale failed");
  CtlResult next;
  // Workers of the attempt may still be on their way out.
  for (int round = 0; round < 100 && (next = server.ctl({"scale", "4"})).exit_code != 0; ++round)
    EXPECT_THAT(next.output, HasSubstr("slots are still closing"));
  EXPECT_EQ(next.exit_code, 0) << next.output;
}

TEST(Scale, a_taker_that_dies_gets_the_rest_as_its_next_tenant) {
  RunningServer server({"--workers", "1", "--max-workers", "2"}, "good sessions 100");
  server.wait_until_serving();
  server.behave("slot 1 die-taking");
  server.program().signal(SIGTTIN);
  server.wait_for("exit status 6");
  server.behave("good");
  server.wait_for("scale done: 1 -> 2 workers");
  EXPECT_EQ(sum(sessions(server)), 98U);
}

TEST(Scale, is_carried_through_an_upgrade) {
  RunningServer server({"--workers", "3", "--max-workers", "4"}, "good sessions 100");
  server.wait_until_serving();
  server.behave("good");
  EXPECT_EQ(server.ctl({"scale", "2"}).exit_code, 0);
  const CtlResult upgraded = server.ctl({"upgrade"});
  EXPECT_EQ(upgraded.exit_code, 0) << upgraded.output;
  EXPECT_EQ(sessions(server).size(), 2U);
  EXPECT_EQ(sum(sessions(server)), 300U);
  EXPECT_EQ(server.total("workers_started"), 5U);
  EXPECT_EQ(server.ctl({"scale", "4"}).exit_code, 0);
  EXPECT_EQ(sum(sessions(server)), 300U);
}

TEST(Scale, a_stop_in_the_middle_ends_it) {
  RunningServer server({"--workers", "2", "--drain-deadline", "1h"}, "hold sessions 50");
  server.wait_until_serving();
  server.behave("good");
  server.program().signal(SIGTTIN);
  server.wait_for("buckets: dealt to 3 slots");
  EXPECT_THAT(server.ctl({"reload"}).output, HasSubstr("busy: scale since "));
  EXPECT_EQ(server.ctl({"stop"}).exit_code, 0);
  EXPECT_EQ(server.program().wait_for_end(), (ipc::ExitStatus{false, 0}));
}

}  // namespace
}  // namespace limpet::supervisor
