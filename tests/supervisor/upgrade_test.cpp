// The supervisor becomes another image in the same process: what goes on, what is refused, what signals do
// meanwhile.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "ipc/messages/version.h"
#include "tests/supervisor/running_server.h"

namespace limpet::supervisor {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// "socket:[INODE]" of everybody who is connected to a control socket, or was.
std::set<std::string> control_connections() {
  std::set<std::string> connections;
  std::ifstream lines("/proc/net/unix");
  for (std::string line; std::getline(lines, line);) {
    // By the name that the supervisor bound: /proc/self/fd/N/control.
    if (!line.ends_with("/control")) continue;
    std::istringstream words(line);
    std::string address, references, protocol, flags, type, state, inode;
    words >> address >> references >> protocol >> flags >> type >> state >> inode;
    const bool listens = flags == "00010000";  // __SO_ACCEPTCON
    if (!listens) connections.insert("socket:[" + inode + "]");
  }
  return connections;
}

/// Of the supervisor, but for the connections of `limpet ctl`: it may not have noticed yet that the last one
/// has gone.
std::size_t open_descriptors(RunningServer& server) {
  const std::set<std::string> passing = control_connections();
  std::size_t count = 0;
  for (const auto& each :
       std::filesystem::directory_iterator("/proc/" + std::to_string(server.program().pid()) + "/fd")) {
    std::error_code gone;
    const std::string what = std::filesystem::read_symlink(each.path(), gone).string();
    if (!gone && !passing.contains(what)) ++count;
  }
  return count;
}

/// It may still hold what the last operation needed.
void expect_descriptors(RunningServer& server, std::size_t wanted) {
  std::size_t count = 0;
  for (int look = 0; look < 50 && (count = open_descriptors(server)) != wanted; ++look) (void)server.status();
  EXPECT_EQ(count, wanted);
}

TEST(Upgrade, goes_on_in_the_same_process_and_replaces_every_worker) {
  RunningServer server({"--workers", "2"}, "good sessions 5");
  server.wait_until_serving();
  for (int client = 1; client <= 20; ++client) EXPECT_NE(server.ask("127.0.0." + std::to_string(client)), "");
  const pid_t before[] = {server.pid_of_slot(0), server.pid_of_slot(1)};
  const std::size_t descriptors = open_descriptors(server);
  const CtlResult result = server.ctl({"upgrade"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("/limpet can take over"),
                    HasSubstr("upgrade done: 2 workers replaced; 10 sessions moved, 0 drained")));
  server.wait_for("supervisor: upgraded from ");
  const auto status = server.status();
  EXPECT_EQ(status.at("pid").to_number<pid_t>(), server.program().pid());
  for (std::size_t slot = 0; slot < 2; ++slot) {
    EXPECT_NE(server.pid_of_slot(static_cast<std::uint16_t>(slot)), before[slot]);
    EXPECT_EQ(status.at("slots").at(slot).at("workers").at(0).at("sessions").to_number<int>(), 5);
  }
  // Totals, generations, listeners, the lock: nothing began anew, and nothing leaks.
  EXPECT_EQ(server.total("connections_accepted"), 20U);
  EXPECT_EQ(server.total("workers_started"), 4U);
  EXPECT_EQ(status.at("slots").at(1).at("workers").at(0).at("generation").to_number<int>(), 4);
  expect_descriptors(server, descriptors);
  for (int round = 0; round < 5; ++round) EXPECT_EQ(server.ctl({"upgrade"}).exit_code, 0);
  expect_descriptors(server, descriptors);
  EXPECT_NE(server.ask(), "");
  EXPECT_EQ(server.ctl({"stop"}).exit_code, 0);
  EXPECT_EQ(server.program().wait_for_end(), (ipc::ExitStatus{false, 0}));
  EXPECT_TRUE(std::filesystem::is_empty(server.runtime_dir()));
}

TEST(Upgrade, workers_are_told_what_the_supervisor_knows_before_and_after) {
  RunningServer server({"--workers", "1"});
  server.wait_until_serving();
  EXPECT_EQ(server.ctl({"upgrade"}).exit_code, 0);
  server.wait_for("told of level 0");
  server.wait_for(fmt::format("told of level {}", ipc::kLevel));
}

TEST(Upgrade, workers_of_a_build_that_does_not_say_what_it_knows_are_told_nothing_new) {
  RunningServer server({"--workers", "1"}, "older sessions 5");
  server.wait_until_serving();
  const CtlResult result = server.ctl({"upgrade"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("5 sessions moved, 0 drained")) << "its worker lived until then";
}

TEST(Upgrade, a_signal_upgrades_too) {
  RunningServer server({"--workers", "1"});
  server.wait_until_serving();
  server.program().signal(SIGUSR2);
  server.wait_for("upgrade done: 1 workers replaced");
}

TEST(Upgrade, a_binary_that_cannot_take_over_is_refused_while_the_old_one_runs) {
  RunningServer server({"--workers", "2"});
  server.wait_until_serving();
  const pid_t before = server.pid_of_slot(0);
  const std::size_t descriptors = open_descriptors(server);
  const std::string good = server.save_limpet();
  const auto refusal = [&] {
    const CtlResult result = server.ctl({"upgrade"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.output, AllOf(HasSubstr("upgrade refused: "), HasSubstr("nothing changes")));
    EXPECT_EQ(server.status().at("operation"), "");
    return result.output;
  };
  server.install_limpet("/bin/false");
  EXPECT_THAT(refusal(), HasSubstr("its trial ended with exit status 1"));
  // Exits with 0, and is no limpet.
  server.install_limpet("/bin/true");
  EXPECT_THAT(refusal(), HasSubstr("its trial ended with exit status 0"));
  server.write_file("no program");
  server.install_limpet(server.file_path());
  EXPECT_THAT(refusal(), HasSubstr("Permission denied"));
  server.remove_limpet();
  EXPECT_THAT(refusal(), HasSubstr("No such file or directory"));
  EXPECT_EQ(server.pid_of_slot(0), before);
  expect_descriptors(server, descriptors);
  server.install_limpet(good);
  EXPECT_EQ(server.ctl({"upgrade"}).exit_code, 0);
}

TEST(Upgrade, a_configuration_that_the_new_image_would_refuse_is_refused_before) {
  RunningServer server({}, "good", "workers = 2\n");
  server.wait_until_serving();
  server.write_file("workers = 2\nno_such_key = 1\n");
  const CtlResult unknown = server.ctl({"upgrade"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.output, HasSubstr(":2: unknown key 'no_such_key'"));
  server.write_file("workers = 3\n");
  EXPECT_THAT(server.ctl({"upgrade"}).output, HasSubstr("workers has changed, which needs a restart"));
}

TEST(Upgrade, a_bad_application_leaves_the_new_supervisor_with_the_old_workers) {
  RunningServer server({"--workers", "2"}, "good sessions 3");
  server.wait_until_serving();
  const pid_t before = server.pid_of_slot(1);
  server.behave("exit");
  const CtlResult failed = server.ctl({"upgrade"});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.output, AllOf(HasSubstr("upgrade failed: slot 0"), HasSubstr("the old workers go on")));
  EXPECT_EQ(server.pid_of_slot(1), before);
  // The new supervisor hears of deaths of children that the old one started, and starts the image that it had
  // started.
  server.behave("good");
  ::kill(before, SIGKILL);
  server.wait_for("slot 1 gen 2 pid " + std::to_string(before) + ": died: signal 9 (KILL)");
  server.wait_for("slot 1 gen 4: ready -> serving");
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 0);
}

TEST(Upgrade, carries_a_slot_in_back_off_and_a_worker_that_drains) {
  RunningServer server({"--workers", "2", "--drain-window", "0s", "--drain-deadline", "3s"},
                       "hold sessions 2");
  server.wait_until_serving();
  // Slot 0 holds its sessions at a failed reload; slot 1 dies again and again.
  server.behave("slot 0 die-when-seated");
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 1);
  server.behave("slot 1 exit");
  ::kill(server.pid_of_slot(1), SIGKILL);
  server.wait_for("next start in 0.4");
  server.program().signal(SIGUSR2);
  server.wait_for("supervisor: upgraded from ");
  server.wait_for("upgrade: slot 0: waits: pid ");
  server.behave("good");
  server.wait_for("slot 0 gen 1: draining -> dead (exit status 0)");
  server.wait_for("upgrade done: 2 workers replaced");
}

TEST(Upgrade, signals_meanwhile_are_heard_behind_it) {
  RunningServer server({"--workers", "2"});
  server.wait_until_serving();
  server.program().signal(SIGUSR2);
  server.wait_for("upgrade: trying");
  for (int count = 0; count < 1000; ++count) server.program().signal(SIGHUP);
  server.wait_for("upgrade done");
  server.wait_for("reload done");
  server.program().signal(SIGUSR2);
  server.wait_for("upgrade: trying");
  server.program().signal(SIGTERM);
  EXPECT_EQ(server.program().wait_for_end(), (ipc::ExitStatus{false, 0}));
  EXPECT_TRUE(std::filesystem::is_empty(server.runtime_dir()));
}

TEST(Upgrade, is_an_operation_like_a_reload) {
  RunningServer server({"--workers", "1", "--probation", "1h"});
  server.wait_until_serving();
  server.program().signal(SIGHUP);
  server.wait_for("on probation");
  EXPECT_THAT(server.ctl({"upgrade"}).output, HasSubstr("busy: reload since "));
}

}  // namespace
}  // namespace limpet::supervisor
