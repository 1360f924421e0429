// A real `limpet serve` for a test: its own temporary directory, its output as text to wait in, `limpet ctl`
// beside it. Its destructor leaves no process behind.
#pragma once

#include <sys/types.h>

#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ipc/birth/spawn.h"

namespace limpet::supervisor {

/// mkdtemp, removed with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A program of the build, or at a path, with its output, stdout and stderr together.
class RunningProgram {
 public:
  RunningProgram(const std::string& name, std::vector<std::string> arguments);
  ~RunningProgram();

  /// Blocks until `text` stands in the output, from where the last wait ended; then "". Fails the test after
  /// 20 s.
  void wait_for(const std::string& text);
  /// Blocks until the program has ended. Its output up to the end of everybody who can write to it.
  ipc::ExitStatus wait_for_end();
  [[nodiscard]] bool ends_within(int milliseconds) const;
  [[nodiscard]] const std::string& output() const { return output_; }
  [[nodiscard]] pid_t pid() const { return child_->pid(); }
  void signal(int number) { child_->signal(number); }

 private:
  bool read_more(int timeout_ms);

  base::Descriptor reading_;
  std::optional<ipc::Child> child_;
  std::string output_;
  std::size_t waited_to_ = 0;
};

struct CtlResult {
  int exit_code = -1;
  std::string output;
};

class RunningServer {
 public:
  /// `options`: beside --listen tcp://127.0.0.1:0 and the runtime directory; the application is the fake
  /// worker.
  explicit RunningServer(std::vector<std::string> options, const std::string& behaviour = "good",
                         const std::string& file = "");

  /// Replaces the server's own copy of limpet, or of the worker, as an installer does: by a rename.
  void install_limpet(const std::string& from) { install(from, directory_.path() + "/limpet"); }
  void install_worker(const std::string& from) { install(from, directory_.path() + "/worker"); }
  void remove_limpet();
  /// A copy's path.
  [[nodiscard]] std::string save_limpet();
  void install_script(const std::string& body);
  [[nodiscard]] std::string fake_worker() const;

  void behave(const std::string& behaviour);
  void write_file(const std::string& text);
  [[nodiscard]] std::string file_path() const { return directory_.path() + "/limpet.toml"; }
  [[nodiscard]] std::string runtime_dir() const { return directory_.path() + "/run"; }

  void wait_for(const std::string& text) { program_->wait_for(text); }
  void wait_until_serving();
  [[nodiscard]] CtlResult ctl(std::vector<std::string> words);
  [[nodiscard]] boost::json::object status();
  [[nodiscard]] std::uint64_t total(const std::string& counter);
  /// Of the seated worker; 0 if nobody is.
  [[nodiscard]] pid_t pid_of_slot(std::uint16_t slot);
  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// A client's line from the server: "slot S gen G pid P ms CLOCK".
  [[nodiscard]] std::string ask(const std::string& from = "127.0.0.1");
  RunningProgram& program() { return *program_; }

 private:
  static void install(const std::string& from, const std::string& to);

  TemporaryDirectory directory_;
  std::unique_ptr<RunningProgram> program_;
  std::uint16_t port_ = 0;
};

/// A connected client; invalid if refused.
[[nodiscard]] base::Descriptor connect_to(std::uint16_t port, const std::string& from = "127.0.0.1");
/// Up to the end of the connection; "" after 10 s of silence.
[[nodiscard]] std::string read_all(const base::Descriptor& client);

}  // namespace limpet::supervisor
