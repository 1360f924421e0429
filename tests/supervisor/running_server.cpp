#include "tests/supervisor/running_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace limpet::supervisor {
namespace {

constexpr int kPatienceMs = 20'000;

/// The test and the programs of the build lie in one folder.
std::string beside_this_test(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  char pattern[] = "/tmp/limpet-test-XXXXXX";
  path_ = ::mkdtemp(pattern);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

RunningProgram::RunningProgram(const std::string& name, std::vector<std::string> arguments) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  reading_ = base::Descriptor(ends[0]);
  const base::Descriptor writing(ends[1]);
  ipc::SpawnRequest request;
  request.executable = name.starts_with('/') ? name : beside_this_test(name);
  request.arguments = std::move(arguments);
  request.descriptors = {{writing.get(), STDOUT_FILENO}, {writing.get(), STDERR_FILENO}};
  ipc::SpawnResult result = ipc::spawn(request);
  EXPECT_TRUE(result.child) << result.why;
  child_ = std::move(result.child);
}

RunningProgram::~RunningProgram() {
  if (!child_) return;
  child_.reset();
  // The end of the pipe is the end of every worker too.
  while (read_more(kPatienceMs)) {
  }
  if (testing::Test::HasFailure())
    std::fprintf(stderr, "---- output ----\n%s----------------\n", output_.c_str());
}

bool RunningProgram::read_more(int timeout_ms) {
  pollfd wait{reading_.get(), POLLIN, 0};
  if (::poll(&wait, 1, timeout_ms) != 1) {
    ADD_FAILURE() << "silence for too long; output so far:\n" << output_;
    return false;
  }
  char buffer[4096];
  const ssize_t got = ::read(reading_.get(), buffer, sizeof buffer);
  if (got > 0) output_.append(buffer, static_cast<std::size_t>(got));
  return got > 0;
}

void RunningProgram::wait_for(const std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  for (;;) {
    const std::size_t found = output_.find(text, waited_to_);
    if (found != std::string::npos) {
      waited_to_ = found + text.size();
      return;
    }
    if (std::chrono::steady_clock::now() > deadline) {
      FAIL() << "waited for '" << text << "' in vain; output:\n" << output_;
    }
    if (!read_more(kPatienceMs)) {
      FAIL() << "the program ended before it said '" << text << "'; output:\n" << output_;
    }
  }
}

bool RunningProgram::ends_within(int milliseconds) const {
  pollfd end{child_->descriptor(), POLLIN, 0};
  return ::poll(&end, 1, milliseconds) == 1;
}

ipc::ExitStatus RunningProgram::wait_for_end() {
  while (read_more(kPatienceMs)) {
  }
  pollfd wait{child_->descriptor(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, kPatienceMs), 1) << "the program did not end";
  const auto status = child_->try_reap();
  child_.reset();
  return status.value_or(ipc::ExitStatus{true, 0});
}

RunningServer::RunningServer(std::vector<std::string> options, const std::string& behaviour,
                             const std::string& file) {
  behave(behaviour);
  std::vector<std::string> words = {
      "serve", "--listen", "tcp://127.0.0.1:0", "--runtime-dir", runtime_dir(), "--probation", "50ms"};
  if (!file.empty()) {
    write_file(file);
    words.insert(words.end(), {"-c", file_path()});
  }
  words.insert(words.end(), options.begin(), options.end());
  install_worker(fake_worker());
  words.insert(words.end(), {directory_.path() + "/worker", directory_.path() + "/behaviour"});
  install_limpet(beside_this_test("limpet"));
  program_ = std::make_unique<RunningProgram>(directory_.path() + "/limpet", words);
}

std::string RunningServer::fake_worker() const { return beside_this_test("fake_worker"); }

void RunningServer::remove_limpet() { std::filesystem::remove(directory_.path() + "/limpet"); }

std::string RunningServer::save_limpet() {
  install(directory_.path() + "/limpet", directory_.path() + "/saved");
  return directory_.path() + "/saved";
}

void RunningServer::install_script(const std::string& body) {
  const std::string script = directory_.path() + "/script";
  std::filesystem::remove(script);
  std::ofstream(script) << "#!/bin/sh\n" << body << "\n";
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  install_worker(script);
}

void RunningServer::install(const std::string& from, const std::string& to) {
  std::filesystem::copy_file(from, to + ".new");
  std::filesystem::rename(to + ".new", to);
}

void RunningServer::behave(const std::string& behaviour) {
  std::ofstream(directory_.path() + "/behaviour") << behaviour;
}
void RunningServer::write_file(const std::string& text) { std::ofstream(file_path()) << text; }

void RunningServer::wait_until_serving() {
  wait_for("limpet: serving on tcp://127.0.0.1:");
  const std::string& output = program_->output();
  const std::string marker = "limpet: serving on tcp://127.0.0.1:";
  wait_for(" workers\n");
  port_ = static_cast<std::uint16_t>(std::stoi(output.substr(output.find(marker) + marker.size())));
}

CtlResult RunningServer::ctl(std::vector<std::string> words) {
  words.insert(words.begin(), {"ctl", "--runtime-dir", runtime_dir()});
  RunningProgram program("limpet", words);
  const ipc::ExitStatus status = program.wait_for_end();
  return {status.by_signal ? -1 : status.number, program.output()};
}

boost::json::object RunningServer::status() {
  const CtlResult result = ctl({"status", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  return boost::json::parse(result.output).as_object();
}

std::uint64_t RunningServer::total(const std::string& counter) {
  const CtlResult result = ctl({"stats", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  const boost::json::value stats = boost::json::parse(result.output);
  for (const auto& each : stats.at("counters").as_array()) {
    if (each.at("name").as_string() == counter) return each.at("total").to_number<std::uint64_t>();
  }
  ADD_FAILURE() << "no counter " << counter;
  return 0;
}

pid_t RunningServer::pid_of_slot(std::uint16_t slot) {
  const boost::json::value now = status();
  for (const auto& worker : now.at("slots").at(slot).at("workers").as_array()) {
    if (worker.at("seated").as_bool()) return worker.at("pid").to_number<pid_t>();
  }
  return 0;
}

std::string RunningServer::ask(const std::string& from) { return read_all(connect_to(port_, from)); }

base::Descriptor connect_to(std::uint16_t port, const std::string& from) {
  base::Descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  ::inet_pton(AF_INET, from.c_str(), &address.sin_addr);
  EXPECT_EQ(::bind(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << from;
  ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  address.sin_port = htons(port);
  if (::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return {};
  return client;
}

std::string read_all(const base::Descriptor& client) {
  std::string text;
  char buffer[256];
  for (;;) {
    pollfd wait{client.get(), POLLIN, 0};
    if (::poll(&wait, 1, 10'000) != 1) return "";
    const ssize_t got = ::read(client.get(), buffer, sizeof buffer);
    if (got <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

}  // namespace limpet::supervisor
