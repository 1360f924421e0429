// `limpet serve` once it runs: passes signals and requests of `limpet ctl` on as operations. One operation at
// a time; a second is told which one is under way. Owns the cluster and the control socket.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log_gate.h"
#include "supervisor/cluster/cluster.h"
#include "supervisor/control_socket.h"
#include "supervisor/operations/operation.h"
#include "supervisor/system/running_file.h"
#include "supervisor/system/runtime_dir.h"
#include "supervisor/system/strangers.h"
#include "supervisor/upgrade/upgrade.h"

namespace limpet::supervisor {

class Supervisor final : private ClusterEvents {
 public:
  Supervisor(Loop& loop, Listeners listeners, ClusterSize size, SharedProgram program,
             CommandLine command_line, RuntimeDir& runtime_dir);
  /// The one that an upgrade carries over.
  Supervisor(Loop& loop, Listeners listeners, const upgrade::SupervisorState& state, CommandLine command_line,
             RuntimeDir& runtime_dir);

  /// Returns when everything has stopped.
  void run();
  /// The same, behind an upgrade: begins with the rollout that ends it.
  void go_on();
  [[nodiscard]] const Cluster& cluster() const noexcept { return cluster_; }

 private:
  using Reply = ControlSocket::Reply;

  // Those of workers reach the operation under way, if there is one.
  bool on_ready(Worker& worker) override;
  void on_seated(const Worker& worker) override;
  void on_progress(const Worker& worker) override;
  void on_buckets_moved(const Worker& worker, const ipc::BucketsMoved& moved) override;
  void on_gone(const Worker& worker, Cause cause, const std::string& obituary) override;
  void on_signalled(const Worker& worker) override;
  void on_held(const std::string& line) override;
  void on_all_seated() override;
  void on_empty() override;

  void take_signal(int number);
  void take_request(const ipc::CtlRequest& request, const Reply& reply);
  void reload_by_signal();
  void restore_runtime_dir();
  void reload(const Reply& reply);
  void replace_signalled();
  [[nodiscard]] Operation* operation_about(const Worker& worker) const noexcept;
  void roll_out(SharedProgram program, std::vector<std::uint16_t> slots, const Reply& reply);
  void finish_rollout(bool succeeded, const std::string& line, const Reply& reply);
  void end_operation(std::function<void()> then);
  void finish(bool succeeded, const std::string& line, const Reply& reply);
  void scale(int workers, const Reply& reply);
  void upgrade(const Reply& reply);
  void take_verdict(base::Descriptor image, const std::string& objection);
  void become(const base::Descriptor& image);
  template <typename MakeLine>
  void log_refusal(MakeLine&& make_line);
  void refuse_upgrade(const std::string& why);
  [[nodiscard]] upgrade::SupervisorState save() const;
  void stop(bool at_once, const Reply& reply);

  /// "" or "reload since 12.3 s"
  [[nodiscard]] std::string operation() const;
  [[nodiscard]] ipc::StatusReply status() const;
  [[nodiscard]] SharedProgram read_program_again(std::string* why) const;
  void begin_operation(const std::string& name);
  /// Which files run behind that operation, and whether they are those from before it.
  [[nodiscard]] std::string now_runs() const;

  using TimePoint = std::chrono::steady_clock::time_point;

  Loop& loop_;
  Cluster cluster_;
  CommandLine command_line_;
  RuntimeDir& runtime_dir_;
  RunningFile binary_;  ///< this limpet
  TimePoint started_ = std::chrono::steady_clock::now();
  TimePoint operation_since_{};
  std::string operation_name_;  ///< "reload"; of the last one, if none is under way
  FileMark binary_before_;      ///< before that operation
  FileMark application_before_;
  bool reload_again_ = false;  ///< a HUP came while an operation was under way
  std::unique_ptr<Operation> current_;
  std::unique_ptr<Trial> trial_;
  Reply upgrade_reply_;
  Reply operation_reply_;  ///< of the current one
  base::LogGate refusals_;
  std::string upgraded_from_;  ///< build; "" if this supervisor began as itself
  Timer after_;                ///< what must not happen inside a callback of the operation that it ends
  std::set<std::uint64_t> signalled_;  ///< generations of workers that are to be replaced
  Timer replace_after_;
  std::vector<Reply> waiting_for_stop_;
  SignalSource signals_;
  BlockedSignal terminal_stop_;
  Strangers strangers_;
  ControlSocket control_;
};

/// Signals reach the supervisor from here on: once its handlers stand. SIGTTOU stays blocked, and is read
/// from a descriptor: else a line of the log, written to a terminal from the background, would be tried again
/// for ever.
void hear_signals();

}  // namespace limpet::supervisor
