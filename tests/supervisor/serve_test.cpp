// Births, deaths, reloads and stops of real processes: `limpet serve` with a worker that only speaks the
// contract.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/supervisor/running_server.h"

namespace limpet::supervisor {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using Words = std::vector<std::string>;

TEST(Serve, says_what_it_started_and_when_every_slot_serves) {
  RunningServer server({"--workers", "3"});
  server.wait_until_serving();
  EXPECT_THAT(
      server.program().output(),
      AllOf(HasSubstr("ctl --runtime-dir " + server.runtime_dir() + " stop"), HasSubstr("/worker,"),
            HasSubstr("tcp://127.0.0.1:" + std::to_string(server.port())), HasSubstr("with 3 workers")));
  const auto status = server.status();
  EXPECT_EQ(status.at("schema_version"), 1);
  ASSERT_EQ(status.at("slots").as_array().size(), 3U);
  for (const auto& slot : status.at("slots").as_array()) EXPECT_EQ(slot.at("state"), "serving");
  EXPECT_THAT(server.ask(), HasSubstr("pid "));
}

TEST(Serve, stops_gracefully_and_leaves_no_file) {
  RunningServer server({"--workers", "2"});
  server.wait_until_serving();
  server.program().signal(SIGTERM);
  EXPECT_EQ(server.program().wait_for_end(), (ipc::ExitStatus{false, 0}));
  EXPECT_TRUE(std::filesystem::is_empty(server.runtime_dir()));
  EXPECT_THAT(server.program().output(), HasSubstr("serving -> draining (stop)"));
}

TEST(Serve, a_killed_worker_gets_an_obituary_and_a_successor) {
  RunningServer server({"--workers", "2"});
  server.wait_until_serving();
  const pid_t victim = server.pid_of_slot(1);
  const pid_t other = server.pid_of_slot(0);
  ASSERT_GT(victim, 0);
  ::kill(victim, SIGKILL);
  server.wait_for("slot 1 gen 2 pid " + std::to_string(victim) + ": died: signal 9 (KILL)");
  server.wait_for("while serving; next start in 0.1");
  server.wait_for("slot 1 gen 3: ready -> serving");
  EXPECT_NE(server.pid_of_slot(1), victim);
  EXPECT_EQ(server.pid_of_slot(0), other);
  EXPECT_EQ(server.total("deaths_signal"), 1U);
}

TEST(Serve, connections_in_the_accept_queue_of_a_killed_worker_are_served_by_its_successor) {
  RunningServer server({"--workers", "1"});
  server.wait_until_serving();
  const pid_t victim = server.pid_of_slot(0);
  ::kill(victim, SIGSTOP);
  std::vector<base::Descriptor> waiting;
  for (int client = 0; client < 200; ++client) waiting.push_back(connect_to(server.port()));
  ::kill(victim, SIGKILL);
  for (const auto& client : waiting) EXPECT_THAT(read_all(client), HasSubstr("slot 0 gen 2 "));
}

TEST(Serve, a_program_that_dies_at_start_is_started_ever_more_rarely_and_recovers_by_itself) {
  RunningServer server({"--workers", "1"}, "exit");
  server.wait_for("died: exit status 3");
  server.wait_for("next start in 0.1");
  server.wait_for("next start in 0.2");
  server.wait_for("next start in 0.4");
  const auto status = server.status();
  EXPECT_GE(status.at("slots").at(0).at("deaths").to_number<int>(), 3);
  EXPECT_THAT(std::string(status.at("slots").at(0).at("last_obituary").as_string()),
              HasSubstr("exit status 3"));
  server.behave("good");
  server.wait_until_serving();
}

TEST(Serve, a_slot_whose_worker_keeps_dying_is_routed_around_and_gets_its_clients_back) {
  RunningServer server({"--workers", "2"}, "slot 1 exit");
  server.wait_for("routes: clients of slots 1 go to slots 0");
  EXPECT_EQ(server.status().at("slots").at(1).at("state"), "back-off");
  server.behave("good");
  server.wait_for("routes: every slot gets its clients");
}

TEST(Serve, what_a_worker_says_before_it_exits_stands_in_its_obituary) {
  RunningServer server({"--workers", "1"}, "fail");
  server.wait_for("died: exit status 4 (it said: no database)");
}

TEST(Serve, a_worker_that_hangs_in_boot_is_killed_by_its_own_deadline) {
  RunningServer server({"--workers", "1", "--boot-deadline", "200ms", "--heartbeat-interval", "10s"},
                       "hang-in-boot");
  server.wait_for("killed: not ready after 200 ms: signal 6 (ABRT)");
  EXPECT_GE(server.total("deaths_boot_deadline"), 1U);
}

TEST(Serve, a_hung_worker_is_routed_around_then_killed_and_replaced) {
  RunningServer server({"--workers", "2", "--heartbeat-interval", "500ms"});
  server.wait_until_serving();
  ::kill(server.pid_of_slot(1), SIGSTOP);
  server.wait_for("it is routed around");
  server.wait_for("routes: clients of slots 1 go to slots 0");
  server.wait_for("serving -> stopping (hung: no heartbeat for ");
  server.wait_for("killed: hung: no heartbeat for ");
  server.wait_for("while serving; next start in ");
  server.wait_for("routes: every slot gets its clients");
  EXPECT_EQ(server.total("deaths_hung"), 1U);
}

TEST(Serve, a_worker_that_a_debugger_holds_is_routed_around_and_not_killed) {
  RunningServer server({"--workers", "2", "--heartbeat-interval", "500ms"});
  server.wait_until_serving();
  const pid_t debugged = server.pid_of_slot(1);
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, debugged, nullptr, nullptr), 0) << std::strerror(errno);
  ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, debugged, nullptr, nullptr), 0);
  server.wait_for("routes: clients of slots 1 go to slots 0");
  server.wait_for(fmt::format("; process {} debugs it, so it is not ended", ::getpid()));
  ASSERT_EQ(::waitpid(debugged, nullptr, __WALL), debugged) << "it has stopped for us";
  ASSERT_EQ(::ptrace(PTRACE_DETACH, debugged, nullptr, nullptr), 0) << std::strerror(errno);
  server.wait_for("beats again");
  server.wait_for("routes: every slot gets its clients");
  EXPECT_EQ(server.pid_of_slot(1), debugged);
  EXPECT_EQ(server.total("deaths_hung"), 0U);
}

TEST(Serve, a_worker_that_beats_again_in_time_keeps_its_seat) {
  RunningServer server({"--workers", "2", "--heartbeat-interval", "2s"});
  server.wait_until_serving();
  const pid_t slow = server.pid_of_slot(0);
  ::kill(slow, SIGSTOP);
  server.wait_for("it is routed around");
  ::kill(slow, SIGCONT);
  server.wait_for("beats again");
  server.wait_for("routes: every slot gets its clients");
  EXPECT_EQ(server.pid_of_slot(0), slow);
}

/// The clock of the worker that answered.
std::int64_t clock_ms(const std::string& line) { return std::stoll(line.substr(line.find("ms ") + 3)); }

TEST(Serve, kills_nobody_for_what_happened_while_it_was_stopped_itself) {
  RunningServer server({"--workers", "2", "--heartbeat-interval", "500ms"});
  server.wait_until_serving();
  const pid_t frozen = server.pid_of_slot(0);
  std::string from = "127.0.0.1";
  for (int last = 2; server.ask(from).find("slot 1 ") == std::string::npos; ++last)
    from = "127.0.0." + std::to_string(last);
  // Both, as a machine that sleeps stops both. Slot 1 goes on and is the clock: four missed beats.
  server.program().signal(SIGSTOP);
  ::kill(frozen, SIGSTOP);
  const std::int64_t start = clock_ms(server.ask(from));
  while (clock_ms(server.ask(from)) < start + 2200) {
  }
  server.program().signal(SIGCONT);
  server.wait_for("supervisor: did not run for a while");
  ::kill(frozen, SIGCONT);
  EXPECT_EQ(server.pid_of_slot(0), frozen);
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 0);
  EXPECT_EQ(server.total("deaths_hung"), 0U);
}

TEST(Serve, a_reload_replaces_every_worker_one_slot_at_a_time) {
  RunningServer server({"--workers", "2"});
  server.wait_until_serving();
  const pid_t before[] = {server.pid_of_slot(0), server.pid_of_slot(1)};
  const CtlResult result = server.ctl({"reload"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  const pid_t after[] = {server.pid_of_slot(0), server.pid_of_slot(1)};
  for (int slot = 0; slot < 2; ++slot) {
    EXPECT_NE(after[slot], before[slot]);
    EXPECT_THAT(result.output,
                HasSubstr("slot " + std::to_string(slot) + ": pid " + std::to_string(before[slot]) +
                          " -> pid " + std::to_string(after[slot])));
  }
  EXPECT_THAT(result.output, HasSubstr("reload done: 2 workers replaced"));
  server.wait_for("slot 0 gen 1: serving -> draining (reload; its sessions move)");
  EXPECT_EQ(server.total("workers_left"), 2U);
  for (const char* cause : {"deaths_exit", "deaths_signal", "deaths_drain_deadline"})
    EXPECT_EQ(server.total(cause), 0U) << cause;
}

TEST(Serve, a_successor_is_seated_before_its_predecessor_gives_up_the_seat) {
  RunningServer server({"--workers", "1"});
  server.wait_until_serving();
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 0);
  const std::string& output = (server.wait_for("slot 0 gen 1: draining -> dead"), server.program().output());
  EXPECT_LT(output.find("slot 0 gen 2: ready -> serving"), output.find("slot 0 gen 1: serving -> draining"));
}

TEST(Serve, a_signal_reloads_too) {
  RunningServer server({"--workers", "2"});
  server.wait_until_serving();
  server.program().signal(SIGHUP);
  server.wait_for("reload done: 2 workers replaced");
}

TEST(Serve, a_bad_successor_keeps_the_old_workers_and_the_next_good_reload_works) {
  for (const std::string bad : {"exit", "fail", "hang-in-boot", "nonsense", "second-hello"}) {
    SCOPED_TRACE(bad);
    RunningServer server({"--workers", "2", "--boot-deadline", "2s"});
    server.wait_until_serving();
    const pid_t before[] = {server.pid_of_slot(0), server.pid_of_slot(1)};
    server.behave(bad);
    const CtlResult refused = server.ctl({"reload"});
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_THAT(refused.output,
                AllOf(HasSubstr("reload failed: slot 0"), HasSubstr("the old workers go on")));
    EXPECT_EQ(server.pid_of_slot(0), before[0]);
    EXPECT_EQ(server.pid_of_slot(1), before[1]);
    server.behave("good");
    EXPECT_EQ(server.ctl({"reload"}).exit_code, 0);
    EXPECT_NE(server.pid_of_slot(0), before[0]);
  }
}

TEST(Serve, a_successor_that_dies_on_probation_never_gets_the_seat) {
  RunningServer server({"--workers", "1", "--probation", "1s"});
  server.wait_until_serving();
  const pid_t before = server.pid_of_slot(0);
  server.behave("die-after-ready");
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 1);
  EXPECT_EQ(server.pid_of_slot(0), before);
}

TEST(Serve, a_bad_file_is_refused_with_its_line_and_nothing_changes) {
  RunningServer server({}, "good", "workers = 2\n");
  server.wait_until_serving();
  const pid_t before = server.pid_of_slot(0);
  server.write_file("workers = 2\n[socketio]\nping_intervall = \"1s\"\n");
  CtlResult result = server.ctl({"reload"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.output,
              HasSubstr(server.file_path() +
                        ":3: unknown key 'socketio.ping_intervall'; did you mean 'socketio.ping_interval'?"));
  server.write_file("workers = 3\n");
  result = server.ctl({"reload"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.output, HasSubstr("workers has changed, which needs a restart"));
  EXPECT_EQ(server.pid_of_slot(0), before);
  server.write_file("workers = 2\n[socketio]\nping_interval = \"1s\"\n");
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 0);
  EXPECT_NE(server.pid_of_slot(0), before);
}

TEST(Serve, one_operation_at_a_time_and_the_second_is_told_which) {
  RunningServer server({"--workers", "1"});
  server.wait_until_serving();
  server.behave("hang-in-boot");
  server.program().signal(SIGHUP);
  server.wait_for("slot 0 gen 2 pid");
  const CtlResult result = server.ctl({"reload"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.output, HasSubstr("busy: reload since "));
  EXPECT_THAT(std::string(server.status().at("operation").as_string()), HasSubstr("reload since "));
}

TEST(Serve, a_stop_in_the_middle_of_a_reload_ends_both) {
  RunningServer server({"--workers", "2", "--probation", "60s"});
  server.wait_until_serving();
  server.program().signal(SIGHUP);
  server.wait_for("on probation");
  EXPECT_EQ(server.ctl({"stop"}).exit_code, 0);
  EXPECT_EQ(server.program().wait_for_end(), (ipc::ExitStatus{false, 0}));
}

TEST(Serve, a_worker_that_does_not_drain_is_ended_by_the_deadline) {
  RunningServer server({"--workers", "2", "--drain-window", "0s", "--drain-deadline", "200ms"},
                       "ignore-drain");
  server.wait_until_serving();
  const CtlResult result = server.ctl({"stop"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("stopped"));
  EXPECT_EQ(server.program().wait_for_end(), (ipc::ExitStatus{false, 0}));
  EXPECT_THAT(server.program().output(), HasSubstr("killed: has not left after 200 ms"));
}

TEST(Serve, a_second_signal_stops_at_once_but_not_one_that_comes_with_the_first) {
  RunningServer server({"--workers", "2", "--drain-deadline", "1h"}, "ignore-drain");
  server.wait_until_serving();
  server.program().signal(SIGINT);
  server.wait_for("slot 1 gen 2: serving -> draining");
  server.program().signal(SIGTERM);
  EXPECT_FALSE(server.program().ends_within(200));
  while (!server.program().ends_within(100)) server.program().signal(SIGTERM);
  EXPECT_EQ(server.program().wait_for_end(), (ipc::ExitStatus{false, 0}));
  EXPECT_THAT(server.program().output(), HasSubstr("draining -> stopping (stop at once)"));
}

TEST(Serve, stop_now_does_not_drain) {
  RunningServer server({"--workers", "2", "--drain-deadline", "1h"}, "ignore-drain");
  server.wait_until_serving();
  EXPECT_EQ(server.ctl({"stop", "--now"}).exit_code, 0);
  EXPECT_EQ(server.program().wait_for_end(), (ipc::ExitStatus{false, 0}));
}

TEST(Serve, a_stop_tells_for_which_worker_it_waits_and_why) {
  RunningServer server({"--workers", "2"});
  server.wait_until_serving();
  const pid_t held = server.pid_of_slot(1);
  // Its status is ours first, and we do not take it.
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, held, nullptr, nullptr), 0) << std::strerror(errno);
  RunningProgram stop("limpet", {"ctl", "--runtime-dir", server.runtime_dir(), "stop", "--now"});
  stop.wait_for(
      fmt::format("slot 1 gen 2 pid {}: waiting for its end: process {} debugs it", held, ::getpid()));
  EXPECT_FALSE(server.program().ends_within(0));
  ASSERT_EQ(::waitpid(held, nullptr, __WALL), held);
  stop.wait_for("stopped");
  EXPECT_EQ(stop.wait_for_end(), (ipc::ExitStatus{false, 0}));
  EXPECT_EQ(server.program().wait_for_end(), (ipc::ExitStatus{false, 0}));
}

TEST(Serve, totals_never_decrease_when_workers_die) {
  RunningServer server({"--workers", "2"});
  server.wait_until_serving();
  for (int client = 1; client <= 20; ++client) EXPECT_NE(server.ask("127.0.0." + std::to_string(client)), "");
  EXPECT_EQ(server.total("connections_accepted"), 20U);
  ::kill(server.pid_of_slot(0), SIGKILL);
  server.wait_for("gen 3: ready -> serving");
  EXPECT_EQ(server.total("connections_accepted"), 20U);
  EXPECT_EQ(server.ctl({"reload"}).exit_code, 0);
  for (int client = 1; client <= 20; ++client) EXPECT_NE(server.ask("127.0.0." + std::to_string(client)), "");
  EXPECT_EQ(server.total("connections_accepted"), 40U);
}

TEST(Serve, a_second_supervisor_in_the_same_directory_is_refused) {
  RunningServer server({"--workers", "1"});
  server.wait_until_serving();
  RunningProgram second("limpet", {"serve", "--listen", "tcp://127.0.0.1:0", "--runtime-dir",
                                   server.runtime_dir(), "/bin/true"});
  EXPECT_EQ(second.wait_for_end(), (ipc::ExitStatus{false, 1}));
  EXPECT_THAT(second.output(),
              HasSubstr("supervisor " + std::to_string(server.program().pid()) + " runs here"));
  EXPECT_EQ(server.ctl({"status"}).exit_code, 0);
}

TEST(Serve, a_second_server_on_the_same_address_is_refused_at_once) {
  RunningServer server({"--workers", "1"});
  server.wait_until_serving();
  const TemporaryDirectory other;
  const std::string address = "tcp://127.0.0.1:" + std::to_string(server.port());
  RunningProgram second("limpet",
                        {"serve", "--listen", address, "--runtime-dir", other.path() + "/run", "/bin/true"});
  EXPECT_EQ(second.wait_for_end(), (ipc::ExitStatus{false, 1}));
  EXPECT_THAT(second.output(), HasSubstr("bind " + address + ": Address already in use"));
}

TEST(Serve, an_application_that_cannot_be_executed_is_told_before_anything_starts) {
  const TemporaryDirectory directory;
  const std::string text = directory.path() + "/text";
  std::ofstream(text) << "no program";
  const auto refusal_of = [&](const std::string& application) {
    RunningProgram program("limpet", {"serve", "--listen", "tcp://127.0.0.1:0", "--runtime-dir",
                                      directory.path() + "/run", application});
    EXPECT_EQ(program.wait_for_end(), (ipc::ExitStatus{false, 1})) << application;
    return program.output();
  };
  EXPECT_THAT(refusal_of("/no/such/app"),
              HasSubstr("application /no/such/app: cannot be executed: No such file or directory"));
  EXPECT_THAT(refusal_of(text), HasSubstr("application " + text + ": cannot be executed: Permission denied"));
  EXPECT_THAT(refusal_of("/tmp"), HasSubstr("application /tmp: is not a file"));
  std::filesystem::permissions(text, std::filesystem::perms::owner_all);
  EXPECT_THAT(refusal_of(text), HasSubstr("exec " + text + ": Exec format error"));
}

TEST(Serve, when_the_supervisor_is_killed_its_workers_leave_and_the_next_start_binds) {
  RunningServer server({"--workers", "2"});
  server.wait_until_serving();
  const std::string address = "tcp://127.0.0.1:" + std::to_string(server.port());
  server.program().signal(SIGKILL);
  RunningProgram next("limpet", {"serve", "--listen", address, "--runtime-dir", server.runtime_dir(),
                                 "--workers", "1", "/bin/true"});
  next.wait_for("runtime dir");
  // The end of the output is the end of the last worker.
  EXPECT_EQ(server.program().wait_for_end(), (ipc::ExitStatus{true, SIGKILL}));
}

base::Descriptor connect_control(const std::string& runtime_dir) {
  base::Descriptor client(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = runtime_dir + "/control";
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return {};
  return client;
}

TEST(Serve, nonsense_on_the_control_socket_harms_nobody_else) {
  RunningServer server({"--workers", "1"});
  server.wait_until_serving();
  for (const std::size_t size : {1U, 7U, 8U, 4096U, 100000U}) {
    const auto client = connect_control(server.runtime_dir());
    ASSERT_TRUE(client);
    const std::string nonsense(size, '\xff');
    EXPECT_EQ(::send(client.get(), nonsense.data(), nonsense.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(size));
    EXPECT_THAT(read_all(client), HasSubstr("not understood")) << size;
  }
  EXPECT_EQ(server.ctl({"status"}).exit_code, 0);
}

TEST(Serve, silent_clients_of_the_control_socket_do_not_lock_the_operator_out) {
  RunningServer server({"--workers", "1"});
  server.wait_until_serving();
  std::vector<base::Descriptor> silent;
  for (int client = 0; client < 200; ++client) {
    silent.push_back(connect_control(server.runtime_dir()));
    ASSERT_TRUE(silent.back()) << client;
    if (client % 50 == 49) {
      EXPECT_EQ(server.ctl({"status"}).exit_code, 0);
    }
  }
}

TEST(Serve, only_its_owner_may_open_the_control_socket) {
  RunningServer server({"--workers", "1"});
  server.wait_until_serving();
  const auto permissions = std::filesystem::status(server.runtime_dir() + "/control").permissions();
  EXPECT_EQ(permissions, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST(Ctl, exit_codes_tell_not_running_usage_and_done_apart) {
  const TemporaryDirectory empty;
  const auto exit_code = [](Words words) {
    return RunningProgram("limpet", std::move(words)).wait_for_end().number;
  };
  EXPECT_EQ(exit_code({"ctl", "--runtime-dir", empty.path(), "status"}), 3);
  EXPECT_EQ(exit_code({"ctl", "status", "--runtime-dir", empty.path()}), 3);
  EXPECT_EQ(exit_code({"ctl", "--runtime-dir", empty.path(), "stats"}), 3);
  EXPECT_EQ(exit_code({"ctl", "--runtime-dir", empty.path(), "frobnicate"}), 2);
  EXPECT_EQ(exit_code({"ctl"}), 2);
  EXPECT_EQ(exit_code({"serve", "--no-such-option"}), 2);
  EXPECT_EQ(exit_code({}), 2);
  EXPECT_EQ(exit_code({"--version"}), 0);
}

TEST(Ctl, a_status_table_is_for_people) {
  RunningServer server({"--workers", "2"});
  server.wait_until_serving();
  const CtlResult result = server.ctl({"status"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("listening    tcp://127.0.0.1:"), HasSubstr("serving"), Not(HasSubstr("{"))));
  EXPECT_THAT(server.ctl({"stats"}).output, HasSubstr("connections_accepted"));
}

}  // namespace
}  // namespace limpet::supervisor
