#include "supervisor/supervisor.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/descriptor_limit.h"
#include "base/signals.h"
#include "supervisor/cluster/saved_program.h"
#include "supervisor/operations/rollout.h"
#include "supervisor/operations/scaling.h"
#include "supervisor/options/table.h"
#include "supervisor/start_screen.h"
#include "supervisor/system/cpus.h"
#include "supervisor/system/log.h"
#include "supervisor/system/version.h"
#include "supervisor/upgrade/descriptors.h"

namespace limpet::supervisor {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto kSignals = {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTTIN, SIGPWR, SIGCHLD};
/// Whoever sends SIGTERM to a whole process group or control group reaches us and the workers at about the
/// same time: a worker is not replaced before that has passed.
constexpr milliseconds kGroupSignal{100};
/// A second SIGTERM or SIGINT is taken for the first one by then; afterwards it stops at once.
constexpr milliseconds kSameStop{1000};
/// A signal that was caught has arrived in the loop by then.
constexpr milliseconds kHearSignals{10};

/// Where the progress of an operation goes that a signal asked for: it is in the log anyway.
void ignore_reply(const ipc::CtlReply&) {}

/// Those on which the workers run, one each; none: anywhere.
std::vector<int> cpus_of(const Options& options) { return options.pin ? allowed_cpus() : std::vector<int>(); }

}  // namespace

Supervisor::Supervisor(Loop& loop, Listeners listeners, ClusterSize size, SharedProgram program,
                       CommandLine command_line, RuntimeDir& runtime_dir)
    : loop_(loop),
      cluster_(loop, *this, std::move(listeners), size, cpus_of(program->options), program),
      command_line_(std::move(command_line)),
      runtime_dir_(runtime_dir),
      binary_(running_limpet(command_line_.place)),
      binary_before_(binary_.mark),
      after_(loop),
      replace_after_(loop),
      signals_(loop, kSignals, [this](int number) { take_signal(number); }),
      terminal_stop_(loop, SIGTTOU, [this] { take_signal(SIGTTOU); }),
      strangers_(loop,
                 [this](pid_t pid) {
                   return cluster_.slots().has_process(pid) || (trial_ && trial_->pid() == pid);
                 }),
      control_(loop, runtime_dir_.listen_for_control(),
               [this](const auto& request, Reply reply) { take_request(request, reply); }) {}

Supervisor::Supervisor(Loop& loop, Listeners listeners, const upgrade::SupervisorState& state,
                       CommandLine command_line, RuntimeDir& runtime_dir)
    : loop_(loop),
      cluster_(loop, *this, std::move(listeners), cpus_of(restore_options(state.programs.front())), state),
      command_line_(std::move(command_line)),
      runtime_dir_(runtime_dir),
      binary_(running_limpet(command_line_.place)),
      started_(upgrade::time_of(state.started)),
      binary_before_(state.image),
      reload_again_(state.reload_again),
      upgraded_from_(state.build),
      after_(loop),
      replace_after_(loop),
      signals_(loop, kSignals, [this](int number) { take_signal(number); }),
      terminal_stop_(loop, SIGTTOU, [this] { take_signal(SIGTTOU); }),
      strangers_(loop,
                 [this](pid_t pid) {
                   return cluster_.slots().has_process(pid) || (trial_ && trial_->pid() == pid);
                 }),
      control_(loop, adopt(state.control_socket),
               [this](const auto& request, Reply reply) { take_request(request, reply); }) {
  std::vector<Reply> waiting;
  for (const int client : state.clients) waiting.push_back(control_.adopt_client(adopt(client)));
  upgrade_reply_ = [waiting](const ipc::CtlReply& reply) {
    for (const Reply& each : waiting) each(reply);
  };
}

/// Operations are about slots: what a bridge does concerns none.
Operation* Supervisor::operation_about(const Worker& worker) const noexcept {
  return ipc::is_bridge(worker.who().slot) ? nullptr : current_.get();
}

bool Supervisor::on_ready(Worker& worker) {
  Operation* const operation = operation_about(worker);
  return operation != nullptr && operation->on_ready(worker);
}

void Supervisor::on_seated(const Worker& worker) {
  if (Operation* const operation = operation_about(worker)) operation->on_seated(worker);
  if (signalled_.contains(worker.who().generation)) on_signalled(worker);
}

void Supervisor::on_progress(const Worker& worker) {
  if (Operation* const operation = operation_about(worker)) operation->on_progress(worker);
}

void Supervisor::on_buckets_moved(const Worker& worker, const ipc::BucketsMoved& moved) {
  if (Operation* const operation = operation_about(worker)) operation->on_buckets_moved(worker, moved);
}

void Supervisor::on_gone(const Worker& worker, Cause cause, const std::string& obituary) {
  strangers_.look();
  signalled_.erase(worker.who().generation);
  // Of a bridge as well: its lane is free.
  if (current_) current_->on_gone(worker, cause, obituary);
}

void Supervisor::on_signalled(const Worker& worker) {
  signalled_.insert(worker.who().generation);
  replace_after_.start(kGroupSignal, [this] { replace_signalled(); });
}

void Supervisor::on_held(const std::string& line) {
  for (const Reply& reply : waiting_for_stop_) reply(ipc::Progress{line});
  if (current_) operation_reply_(ipc::Progress{line});
}

void Supervisor::on_all_seated() { say_serving(cluster_); }

void Supervisor::on_empty() {
  log(Level::Info, "supervisor: every worker is gone; good-bye");
  for (const Reply& reply : waiting_for_stop_) reply(ipc::Done{0, "stopped"});
  loop_.stop();
}

void Supervisor::run() {
  strangers_.look();  // who ended before we could hear of it
  cluster_.start_all();
  loop_.run();
}

void Supervisor::go_on() {
  log(Level::Info, fmt::format("supervisor: upgraded from {} to {}", upgraded_from_, kVersion));
  strangers_.look();
  restore_runtime_dir();
  cluster_.go_on();
  cluster_.tell_level(ipc::kLevel);
  operation_name_ = "upgrade";
  operation_since_ = steady_clock::now();
  application_before_ = cluster_.program().file.mark;
  std::string why;
  if (SharedProgram program = read_program_again(&why)) {
    roll_out(std::move(program), cluster_.slots().all_open(), upgrade_reply_);
  } else {
    finish(false,
           fmt::format("upgrade failed: {}; the new supervisor goes on with the old workers; {}", why,
                       now_runs()),
           upgrade_reply_);
  }
  loop_.run();
}

void Supervisor::take_signal(int number) {
  if (number == SIGCHLD) {
    cluster_.take_held_ends();
    return strangers_.look();
  }
  log(Level::Info, fmt::format("supervisor: signal {}", ::sigabbrev_np(number)));
  if (number == SIGHUP) return reload_by_signal();
  if (number == SIGUSR1) {
    return log(Level::Info,
               "supervisor: the log goes to standard error, and nothing is open that could be opened again");
  }
  if (number == SIGUSR2) return upgrade(ignore_reply);
  if (number == SIGTTIN) return scale(cluster_.slots().open() + 1, ignore_reply);
  if (number == SIGTTOU) return scale(cluster_.slots().open() - 1, ignore_reply);
  if (number == SIGQUIT || number == SIGPWR || !cluster_.stopping()) return stop(false, ignore_reply);
  // A terminal, or who sends to a group and to us, sends it twice.
  if (steady_clock::now() - operation_since_ < kSameStop) return;
  stop(true, ignore_reply);
}

/// Who sends it has changed something, perhaps after the reload under way has read it. However many come
/// meanwhile, one more follows.
void Supervisor::reload_by_signal() {
  restore_runtime_dir();
  if (cluster_.stopping() || operation().empty()) return reload(ignore_reply);
  if (!std::exchange(reload_again_, true))
    log(Level::Info, fmt::format("reload: after this one: busy: {}", operation()));
}

/// The workers to which somebody has sent SIGTERM: like a reload of their slots. While something else is
/// under way they wait for its end.
void Supervisor::replace_signalled() {
  if (cluster_.stopping()) return;
  for (const Slot* const seat : cluster_.slots().bridges_of(signalled_)) {
    const std::string why = cluster_.replace_bridge(seat->number, seat->program);
    if (!why.empty())
      log(Level::Warning, fmt::format("{}: not replaced: {}", ipc::seat_name(seat->number), why));
  }
  if (!operation().empty()) return;
  std::vector<std::uint16_t> slots = cluster_.slots().seats_of(signalled_);
  if (slots.empty()) return;
  begin_operation("replacement");
  roll_out(cluster_.shared_program(), std::move(slots), ignore_reply);
}

void Supervisor::restore_runtime_dir() {
  if (cluster_.stopping()) return;
  try {
    RuntimeDir::Restored restored = runtime_dir_.restore();
    if (restored.control) control_.listen_on(std::move(restored.control));
    for (const std::string& each : restored.names)
      log(Level::Warning, fmt::format("runtime directory {}: {}: was not there, and is made again",
                                      runtime_dir_.path(), each));
  } catch (const std::exception& failure) {
    log(Level::Error,
        fmt::format("{}; until the next SIGHUP `limpet ctl` may not reach this supervisor", failure.what()));
  }
}

void Supervisor::take_request(const ipc::CtlRequest& request, const Reply& reply) {
  if (std::holds_alternative<ipc::StatusRequest>(request)) return reply(status());
  if (std::holds_alternative<ipc::StatsRequest>(request)) return reply(cluster_.stats());
  if (std::holds_alternative<ipc::ReloadRequest>(request)) return reload(reply);
  if (std::holds_alternative<ipc::UpgradeRequest>(request)) return upgrade(reply);
  if (const auto* wanted = std::get_if<ipc::ScaleRequest>(&request)) return scale(wanted->workers, reply);
  if (const auto* wanted = std::get_if<ipc::StopRequest>(&request)) return stop(wanted->at_once, reply);
}

std::string Supervisor::operation() const {
  if (!current_ && !trial_ && !cluster_.stopping()) return "";
  const double since = std::chrono::duration<double>(steady_clock::now() - operation_since_).count();
  return fmt::format("{} since {:.1f} s", cluster_.stopping() ? "stopping" : operation_name_, since);
}

SharedProgram Supervisor::read_program_again(std::string* why) const {
  LoadedOptions loaded = load_options(command_line_);
  if (!loaded.mistakes.empty()) {
    for (const std::string& each : loaded.mistakes) *why += (why->empty() ? "" : "\n") + each;
    return nullptr;
  }
  for (const std::string& each :
       changes_that_need_a_restart(cluster_.program().options, loaded.options, cluster_.slots().open())) {
    *why += fmt::format("{}{} has changed, which needs a restart", why->empty() ? "" : "; ", each);
  }
  if (!why->empty()) return nullptr;
  try {
    return std::make_shared<const Program>(
        make_program(loaded.options, cluster_.addresses(), cluster_.placement_seed(), command_line_.place));
  } catch (const std::exception& failure) {
    *why = failure.what();
    return nullptr;
  }
}

/// Whoever may ask can ask as often as it likes.
template <typename MakeLine>
void Supervisor::log_refusal(MakeLine&& make_line) {
  log_at_most(refusals_, steady_clock::now(), Level::Warning, std::forward<MakeLine>(make_line));
}

void Supervisor::reload(const Reply& reply) {
  if (const std::string busy = operation(); !busy.empty()) {
    log_refusal([&] { return fmt::format("reload: refused: busy: {}", busy); });
    return reply(ipc::Done{1, fmt::format("busy: {}", busy)});
  }
  std::string why;
  SharedProgram program = read_program_again(&why);
  if (!program) {
    log_refusal([&] { return fmt::format("reload: refused: {}; nothing changes", in_one_line(why)); });
    return reply(ipc::Done{1, fmt::format("reload refused: {}; nothing changes; {} goes on", why,
                                          to_text(cluster_.program().file))});
  }
  begin_operation("reload");
  roll_out(std::move(program), cluster_.slots().all_open(), reply);
}

void Supervisor::begin_operation(const std::string& name) {
  operation_name_ = name;
  operation_since_ = steady_clock::now();
  binary_before_ = binary_.mark;
  application_before_ = cluster_.program().file.mark;
}

std::string Supervisor::now_runs() const {
  const std::string application = to_text(cluster_.program().file, application_before_);
  if (operation_name_ != "upgrade") return application;
  return fmt::format("limpet {}; application {}", to_text(binary_, binary_before_), application);
}

void Supervisor::roll_out(SharedProgram program, std::vector<std::uint16_t> slots, const Reply& reply) {
  operation_reply_ = reply;
  auto rollout = std::make_unique<Rollout>(
      loop_, cluster_, operation_name_,
      [name = operation_name_, reply](const std::string& line) {
        log(Level::Info, fmt::format("{}: {}", name, line));
        reply(ipc::Progress{line});
      },
      [this, reply](bool succeeded, const std::string& line) { finish_rollout(succeeded, line, reply); });
  Rollout& begins = *rollout;
  current_ = std::move(rollout);
  // The first word of an operation that was not refused: --no-wait waits for it.
  reply(ipc::Progress{fmt::format("{}: {} workers, one slot at a time", operation_name_, slots.size())});
  // One worker alone would take all clients of a new socket.
  if (slots.size() == cluster_.slots().open()) cluster_.restore_listeners();
  begins.begin(std::move(program), std::move(slots));
}

void Supervisor::finish_rollout(bool succeeded, const std::string& line, const Reply& reply) {
  if (!succeeded && !current_->has_changed_the_cluster()) cluster_.withdraw_restored_listeners();
  if (succeeded) {
    open_log(cluster_.program().options.log_level);
    // Nothing of ours depends on it; but an old release must not be kept from being unmounted.
    if (cluster_.program().directory && ::fchdir(cluster_.program().directory.get()) != 0)
      log(Level::Warning,
          fmt::format("supervisor: enter the new working directory: {}", std::strerror(errno)));
  }
  end_operation(
      [this, succeeded, line, reply] { finish(succeeded, fmt::format("{}; {}", line, now_runs()), reply); });
}

/// Not in the callback of the operation that ends.
void Supervisor::end_operation(std::function<void()> then) {
  after_.start(milliseconds(0), [this, then = std::move(then)] {
    current_.reset();
    then();
  });
}

void Supervisor::finish(bool succeeded, const std::string& line, const Reply& reply) {
  log(succeeded ? Level::Info : Level::Error, line);
  reply(ipc::Done{static_cast<std::uint8_t>(succeeded ? 0 : 1), line});
  if (std::exchange(reload_again_, false) && !cluster_.stopping()) reload(ignore_reply);
  replace_signalled();
}

void Supervisor::scale(int workers, const Reply& reply) {
  const auto refuse = [&](const std::string& why) {
    log_refusal([&] { return fmt::format("scale: refused: {}", why); });
    reply(ipc::Done{1, fmt::format("scale refused: {}; nothing changes", why)});
  };
  if (const std::string busy = operation(); !busy.empty()) return refuse(fmt::format("busy: {}", busy));
  if (workers == cluster_.slots().open())
    return reply(ipc::Done{0, fmt::format("scale: there are {} workers already; nothing changes", workers)});
  auto scaling = std::make_unique<Scaling>(
      loop_, cluster_, static_cast<std::uint16_t>(workers),
      [reply](const std::string& line) {
        log(Level::Info, fmt::format("scale: {}", line));
        reply(ipc::Progress{line});
      },
      [this, reply](bool succeeded, const std::string& line) {
        end_operation([this, succeeded, line, reply] { finish(succeeded, line, reply); });
      });
  if (const std::string why = scaling->obstacle(); !why.empty()) return refuse(why);
  begin_operation("scale");
  operation_reply_ = reply;
  Scaling& begins = *scaling;
  current_ = std::move(scaling);
  reply(ipc::Progress{fmt::format("scale: {} -> {} workers", cluster_.slots().open(), workers)});
  begins.begin();
}

void Supervisor::upgrade(const Reply& reply) {
  if (const std::string busy = operation(); !busy.empty()) {
    log_refusal([&] { return fmt::format("upgrade: refused: busy: {}", busy); });
    return reply(ipc::Done{1, fmt::format("busy: {}", busy)});
  }
  if (const std::string why = cluster_.obstacle_to_exec(); !why.empty())
    return reply(ipc::Done{1, fmt::format("upgrade refused: {}; nothing changes", why)});
  begin_operation("upgrade");
  upgrade_reply_ = reply;
  log(Level::Info, fmt::format("upgrade: trying {}", command_line_.place.binary));
  trial_ = std::make_unique<Trial>(loop_, command_line_.place, save(),
                                   [this](base::Descriptor image, const std::string& objection) {
                                     take_verdict(std::move(image), objection);
                                   });
}

void Supervisor::take_verdict(base::Descriptor image, const std::string& objection) {
  if (!objection.empty()) {
    // Not here: the trial itself is calling.
    return after_.start(milliseconds(0), [this, objection] { refuse_upgrade(objection); });
  }
  upgrade_reply_(ipc::Progress{
      fmt::format("upgrade: {} can take over", to_text(running_file(command_line_.place.binary, image)))});
  // From here on signals wait for the next image. Those that were caught before are read first.
  base::block_signals();
  after_.start(kHearSignals,
               [this, kept = std::make_shared<base::Descriptor>(std::move(image))] { become(*kept); });
}

void Supervisor::become(const base::Descriptor& image) {
  // Of whoever comes nothing is known; it will say so itself.
  cluster_.tell_level(0);
  std::string why = cluster_.obstacle_to_exec();
  if (why.empty()) {
    log(Level::Info,
        fmt::format("upgrade: becoming {}", to_text(running_file(command_line_.place.binary, image))));
    base::finish_log();
    why = become_image(image, command_line_.place, save());
  }
  hear_signals();
  cluster_.tell_level(ipc::kLevel);
  refuse_upgrade(why);
}

void Supervisor::refuse_upgrade(const std::string& why) {
  trial_.reset();
  finish(false, fmt::format("upgrade refused: {}; nothing changes; {}", why, now_runs()), upgrade_reply_);
}

upgrade::SupervisorState Supervisor::save() const {
  upgrade::SupervisorState state;
  state.build = kVersion;
  state.binary = command_line_.place.binary;
  state.start_directory = command_line_.place.directory;
  state.image = binary_.mark;
  state.runtime_dir = runtime_dir_.path();
  state.started = upgrade::moment_of(started_);
  state.reload_again = reload_again_;
  state.descriptor_limit = base::original_descriptor_limit();
  state.lock = runtime_dir_.lock();
  state.control_socket = control_.descriptor();
  state.clients = control_.waiting_clients();
  cluster_.save(&state);
  return state;
}

void Supervisor::stop(bool at_once, const Reply& reply) {
  waiting_for_stop_.push_back(reply);
  if (!cluster_.stopping()) operation_since_ = steady_clock::now();
  reply(ipc::Progress{at_once ? "stopping at once" : "stopping: workers drain"});
  if (current_) current_->abandon();
  if (trial_) {
    after_.cancel();
    hear_signals();
    trial_.reset();
    upgrade_reply_(ipc::Done{1, "upgrade refused: everything stops"});
  }
  cluster_.stop(at_once);
}

void hear_signals() { base::block_only({SIGTTOU}); }

ipc::StatusReply Supervisor::status() const {
  ipc::StatusReply result;
  result.version = kVersion;
  result.pid = static_cast<std::uint32_t>(::getpid());
  result.uptime = duration_cast<milliseconds>(steady_clock::now() - started_);
  result.binary = to_text(binary_);
  result.application = to_text(cluster_.program());
  result.runtime_dir = runtime_dir_.path();
  result.operation = operation();
  result.listeners = cluster_.addresses();
  result.slots = cluster_.slots().statuses();
  return result;
}

}  // namespace limpet::supervisor
