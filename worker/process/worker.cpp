#include "worker/process/worker.h"

#include <fmt/format.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <ctime>
#include <numeric>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "base/machine_memory.h"
#include "base/signals.h"
#include "worker/application/application.h"
#include "worker/client/acceptor.h"
#include "worker/client/admission.h"
#include "worker/client/clients.h"
#include "worker/client/listen.h"
#include "worker/loop/accounts.h"
#include "worker/loop/turn_meter.h"
#include "worker/loop/watch.h"
#include "worker/process/peers.h"
#include "worker/process/shutdown.h"
#include "worker/process/tenancy.h"
#include "worker/slot/front.h"
#include "worker/slot/router.h"
#include "worker/slot/sid_source.h"

namespace limpet::process {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

/// The longest wait is a safety net for a lost wake-up, and the beat of an idle worker: several of them in
/// the interval within which the supervisor wants one.
constexpr milliseconds kLongestWait{250};
constexpr int kBeatsPerInterval = 5;

milliseconds longest_wait(const Settings& settings) {
  return std::min(kLongestWait, settings.heartbeat_interval / kBeatsPerInterval);
}

/// Between attempts to write what the own ring had no room for.
constexpr milliseconds kDeferredRetry{1};
/// Asio handlers of one turn: an application's own that post each other must not keep the rest waiting.
constexpr int kHandlersPerTurn = 64;
/// What the parts of a turn may take (loop/allowance.h), so that none is longer than some milliseconds,
/// whatever came in. One piece of work may go beyond it. Input has two shares: what is new, and what had to
/// wait.
constexpr std::uint32_t kUnitsPerShare = 20'000;
constexpr std::chrono::microseconds kTimeForInput{1000};
constexpr std::chrono::microseconds kTimeForRings{750};
constexpr std::chrono::microseconds kTimeForCloses{250};
constexpr std::chrono::microseconds kTimeForMoves{1500};
constexpr std::chrono::microseconds kTimeForOutput{1500};
/// Connections and sessions that are closed in one turn because limits.memory is exceeded.
constexpr int kShedPerTurn = 64;

std::uint64_t sum(const auto& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), std::uint64_t{0});
}

/// A supervisor of another build does not say it; an application alone has all.
Settings with_default_memory(Settings settings, std::uint16_t slots) {
  std::size_t& memory = settings.limits.memory_bytes;
  if (memory == 0) memory = base::default_memory_of_worker(slots);
  return settings;
}

}  // namespace

class Worker::Impl {
 public:
  Impl(const ipc::Heritage* heritage, Settings settings, Setup setup);
  ~Impl();
  int run();

 private:
  static engineio::Options engine_options(const Settings& settings);
  static application::Options application_options(const ipc::Heritage& heritage, const Settings& settings);
  void join_cluster();
  [[nodiscard]] Peers::Callbacks from_peers();
  void listen_alone();
  [[nodiscard]] std::string set_up_application();
  void hear_signals();
  void wait_for_signal();
  void on_signal(int signal);

  void turn();
  void wait();
  [[nodiscard]] bool has_work() const;
  [[nodiscard]] loop::TimePoint next_deadline() const;
  void take_input();
  void take_input(bool is_new);
  void begin_share(std::chrono::microseconds time);
  void end();
  [[nodiscard]] std::uint64_t held_for_clients() const;
  void shed_for_memory();
  void note_turn();
  void copy_counters();

  ipc::Heritage heritage_;
  ipc::Incarnation who_;
  Settings settings_;
  milliseconds longest_wait_;
  Setup setup_;
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(context_);
  asio::signal_set signals_{context_};
  loop::Clock clock_{std::chrono::steady_clock::now()};
  loop::Allowance allowance_;
  loop::MemoryTotal memory_;
  ipc::CounterBlock counters_;
  std::optional<Peers> peers_;  // both or neither
  slot::SidSource sids_;
  loop::Poller poller_;
  std::optional<application::Application> application_;  // made before the engine, and gone before it
  Io io_;
  engineio::Server engine_;
  client::Clients clients_;
  client::Admission admission_;
  client::Listeners listeners_;
  slot::Router router_;
  slot::Front front_;
  client::Acceptor acceptor_;
  Shutdown shutdown_;
  std::optional<Tenancy> tenancy_;
  loop::Watch poller_watch_;
  std::optional<int> exit_code_;
  /// Of engine_'s counts, what stands in counters_ already.
  struct {
    std::uint64_t overflowed = 0;
    std::uint64_t stalled = 0;
    std::uint64_t shed = 0;
  } counted_;
  loop::TurnMeter turn_meter_;
  std::uint64_t handler_ticks_at_turn_ = 0;
  bool cut_short_ = false;  ///< somebody was told to wait for the next turn, in this one
  bool poller_ready_ = true;
  bool new_input_first_ = true;  ///< else what had to wait for this turn
};

Worker::Impl::Impl(const ipc::Heritage* heritage, Settings settings, Setup setup)
    : heritage_(heritage == nullptr ? ipc::Heritage{} : *heritage),
      who_{heritage_.slot, heritage_.lane, heritage_.generation},
      settings_(with_default_memory(std::move(settings), heritage_.slots)),
      longest_wait_(longest_wait(settings_)),
      setup_(std::move(setup)),
      counters_(ipc::CounterBlock::create(who_)),
      peers_(heritage == nullptr
                 ? std::optional<Peers>()
                 : std::optional<Peers>(std::in_place, context_, heritage_, inherited_peers(heritage_),
                                        settings_, counters_, from_peers())),
      sids_(peers_ ? &peers_->buckets() : nullptr, heritage_.slot),
      application_(std::in_place, clock_, application_options(heritage_, settings_),
                   [this](std::span<char, base::kIdBytes> id) { sids_.fill(id); }),
      io_(*application_),
      engine_(engine_options(settings_), clock_, application_->socketio(),
              {.new_sid = [this](std::span<char, base::kIdBytes> sid) { sids_.fill(sid); },
               .wall_clock_ms = {},
               .refuse = {},
               .choose_protocol =
                   [this](std::span<const std::string_view> offered) {
                     return application_->choose_protocol(offered);
                   },
               .memory = &memory_}),
      clients_(poller_, clock_, allowance_, memory_, counters_, settings_.limits, settings_.listeners),
      admission_(settings_.limits, clock_, counters_),
      listeners_(settings_.limits, settings_.listeners),
      router_(clients_, listeners_, engine_, peers_ ? &peers_->handovers() : nullptr,
              peers_ ? &peers_->placement() : nullptr),
      front_(clients_, engine_, *application_, router_, admission_, settings_.limits, listeners_, clock_,
             counters_),
      acceptor_(poller_, clock_, counters_,
                [this](base::Descriptor socket, const client::PeerAddress& peer, std::uint16_t listener) {
                  front_.welcome(std::move(socket), peer, listener);
                }),
      shutdown_({clock_, allowance_, counters_, acceptor_, clients_, engine_, application_->socketio(),
                 front_.http()}),
      poller_watch_(context_, poller_.descriptor(), [this] { poller_ready_ = true; }) {
  clients_.set_on_uncounted(
      [this](const client::ClientConnection& connection) { admission_.leave(connection.peer()); });
  if (heritage != nullptr) join_cluster();
}

Worker::Impl::~Impl() {
  application_->socketio().set_elsewhere(nullptr);
  clients_.close_all();  // while those that they call are all alive
  application_.reset();  // and this while its clients' sessions are
}

Peers::Callbacks Worker::Impl::from_peers() {
  return {.deliver =
              [this](const socketio::Broadcast& broadcast) { application_->socketio().deliver(broadcast); },
          .on_gap =
              [this](const ipc::Gap& gap) {
                application_->report_gap({gap.writer.slot, gap.writer.generation, gap.lost_at_least});
              },
          .on_arrival = [this](ipc::ReceivedHandover arrival) { front_.take_in(std::move(arrival)); }};
}

void Worker::Impl::join_cluster() {
  application_->socketio().set_adapter(&peers_->rings());
  for (int i = 0; i < heritage_.listeners; ++i) acceptor_.add(base::Descriptor(ipc::kFirstListener + i));
  tenancy_.emplace(who_, base::Descriptor(ipc::kControlChannel),
                   Tenancy::Parts{context_, clock_, counters_, acceptor_, clients_, engine_, *application_,
                                  router_, front_, *peers_, shutdown_},
                   Tenancy::Callbacks{.set_up = [this] { return set_up_application(); },
                                      .end = [this](int code) { exit_code_ = code; }});
}

engineio::Options Worker::Impl::engine_options(const Settings& settings) {
  engineio::Options options = settings.engineio;
  options.max_queued_bytes = settings.limits.send_queue_bytes;
  options.send_stall = settings.limits.send_stall;
  return options;
}

application::Options Worker::Impl::application_options(const ipc::Heritage& heritage,
                                                       const Settings& settings) {
  application::Options options;
  options.socketio.connect_timeout = settings.connect_timeout;
  // Ten attachments, the most that a packet may have, and its text: what Node takes.
  options.socketio.max_packet_bytes = 11 * settings.engineio.max_payload_bytes;
  options.path = settings.engineio.path;
  options.slot = heritage.slot;
  options.worker_generation = heritage.generation;
  options.config = settings.app;
  return options;
}

void Worker::Impl::listen_alone() {
  std::string addresses;
  for (const std::string& address : settings_.listen) {
    base::Descriptor listener = client::listen_on(address);
    addresses += (addresses.empty() ? "" : ", ") + client::address_of(listener);
    acceptor_.add(std::move(listener));
  }
  acceptor_.start();
  base::log(base::LogLevel::Info, fmt::format("serving on {} with 1 worker", addresses));
}

int Worker::Impl::run() {
  counters_.beat(clock_.now());
  hear_signals();
  if (tenancy_) {
    tenancy_->say_hello();
  } else if (const std::string why = set_up_application(); why.empty()) {
    listen_alone();
  } else {
    base::log(base::LogLevel::Error, fmt::format("{}; the worker leaves", why));
    return 1;
  }
  turn_meter_.restart();
  while (!exit_code_) turn();
  return *exit_code_;
}

/// A handler of the application's wins. What the terminal or an operator sends to a whole group is the
/// supervisor's to act on.
void Worker::Impl::hear_signals() {
  if (!base::has_handler(SIGTERM)) signals_.add(SIGTERM);
  if (tenancy_) {
    base::do_nothing_at({SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTTIN});
    base::ignore_terminal_output_stops();
  } else if (!base::has_handler(SIGINT)) {
    signals_.add(SIGINT);
  }
  base::unblock_signals({SIGTERM, SIGINT});
  wait_for_signal();
}

void Worker::Impl::wait_for_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    wait_for_signal();
    on_signal(signal);
  });
}

void Worker::Impl::on_signal(int signal) {
  if (tenancy_ && tenancy_->take_signal(signal)) return;
  const char* const name = signal == SIGTERM ? "SIGTERM" : "SIGINT";
  if (shutdown_.is_draining()) {
    base::log(base::LogLevel::Info, fmt::format("{} again: leaving at once", name));
    exit_code_ = 0;
    return;
  }
  base::log(base::LogLevel::Info, fmt::format("{}: draining {} sessions", name, engine_.session_count()));
  shutdown_.drain(tenancy_ ? kOwnDrainWindow : milliseconds(0), kOwnDrainDeadline);
}

/// "" or why it failed.
std::string Worker::Impl::set_up_application() {
  std::string why;
  try {
    setup_(io_);
    turn_meter_.restart();
    return "";
  } catch (const std::exception& error) {
    why = error.what();
  } catch (...) {
    why = "an exception that is no std::exception";
  }
  return "application: set up: " + why;
}

void Worker::Impl::turn() {
  turn_meter_.begin_turn();
  wait();
  turn_meter_.wake_up();
  clock_.advance_to(std::chrono::steady_clock::now());
  clock_.set_wall_time(std::time(nullptr));
  counters_.add(ipc::Counter::LoopTurns);
  take_input();
  if (peers_) {
    peers_->take_handovers();
    begin_share(kTimeForRings);
    peers_->take_broadcasts(allowance_);
    tenancy_->check();
  }
  acceptor_.tick();
  begin_share(kTimeForCloses);
  clients_.check_deadlines();
  application_->tick(allowance_);
  begin_share(kTimeForCloses);
  engine_.tick(allowance_);
  if (tenancy_) {
    begin_share(kTimeForMoves);
    tenancy_->turn(allowance_);
  }
  begin_share(kTimeForCloses);
  shutdown_.turn();
  if (shutdown_.is_over() && !exit_code_) end();
  shed_for_memory();
  begin_share(kTimeForOutput);
  clients_.flush();
  if (peers_) peers_->flush(clock_.now());
  begin_share(kTimeForCloses);
  clients_.bury();
  note_turn();
  copy_counters();
  counters_.beat(clock_.now());
}

void Worker::Impl::end() {
  if (tenancy_) tenancy_->say_leaving();
  exit_code_ = 0;
}

/// What is new, and what had to wait. The last piece of a share may take much longer than the share: then the
/// others have their turn first in the next one.
void Worker::Impl::take_input() {
  begin_share(kTimeForInput);
  const loop::TimePoint began = allowance_.began_at();
  take_input(new_input_first_);
  begin_share(kTimeForInput);
  if (allowance_.began_at() - began > 2 * kTimeForInput) {
    new_input_first_ = !new_input_first_;
  } else {
    take_input(!new_input_first_);
  }
}

void Worker::Impl::take_input(bool is_new) {
  if (!is_new) return clients_.redeliver();
  if (poller_ready_) poller_ready_ = poller_.dispatch(allowance_);
}

/// Of the turn, for the next part of it.
void Worker::Impl::begin_share(std::chrono::microseconds time) {
  cut_short_ = cut_short_ || allowance_.denied();
  allowance_.begin(kUnitsPerShare, time);
}

/// Without the static files that are kept, which no client can make more.
std::uint64_t Worker::Impl::held_for_clients() const {
  const std::uint64_t all = memory_.bytes() + application_->socketio().held_for_ended();
  return all - std::min<std::uint64_t>(all, application_->kept_file_bytes());
}

/// The largest go first, until what is left fits; one look at most for each that may have to go.
void Worker::Impl::shed_for_memory() {
  const std::uint64_t most = settings_.limits.memory_bytes;
  const std::uint64_t all = held_for_clients();
  // Of those that were closed in earlier turns.
  std::uint64_t held =
      all - std::min<std::uint64_t>(all, clients_.released_bytes() + engine_.released_bytes());
  for (int i = 0; held > most && i < kShedPerTurn; ++i) {
    const std::size_t of_connection = clients_.largest_bytes();
    const std::size_t of_session = engine_.largest_bytes();
    if (of_connection == 0 && of_session == 0) break;
    held -= std::min<std::uint64_t>(held, std::max(of_connection, of_session));
    of_connection >= of_session ? clients_.shed_largest() : engine_.shed_largest();
  }
  admission_.set_short_of_memory(held > most);
}

void Worker::Impl::note_turn() {
  if (std::exchange(cut_short_, false) || allowance_.denied()) counters_.add(ipc::Counter::TurnsCutShort);
  const std::uint64_t handler_ticks = application_->handler_clock().ticks();
  const std::uint64_t in_handlers = handler_ticks - std::exchange(handler_ticks_at_turn_, handler_ticks);
  if (const auto cpu = turn_meter_.end_turn(in_handlers)) {
    const auto microseconds = static_cast<std::uint64_t>(cpu->count());
    if (microseconds > counters_.get(ipc::Counter::LongestTurn))
      counters_.set(ipc::Counter::LongestTurn, microseconds);
  }
}

void Worker::Impl::wait() {
  if (tenancy_) {
    tenancy_->before_wait();
    peers_->arm();
  }
  if (!poller_ready_) poller_watch_.arm();
  if (!has_work()) {
    if (!peers_ || peers_->fall_asleep()) {
      const auto until = std::min(next_deadline(), std::chrono::steady_clock::now() + longest_wait_);
      context_.run_one_until(until);
    }
    if (peers_) peers_->wake_up();
  }
  // Also without a wait: rings that always have something must not keep clients, signals and the supervisor
  // from being heard.
  for (int i = 0; i < kHandlersPerTurn && context_.poll_one() > 0; ++i) {
  }
}

bool Worker::Impl::has_work() const {
  return poller_ready_ || clients_.has_work() || shutdown_.has_work() || (peers_ && peers_->has_work()) ||
         (tenancy_ && tenancy_->has_work()) ||
         engine_.next_deadline().value_or(loop::TimePoint::max()) <= clock_.now();
}

loop::TimePoint Worker::Impl::next_deadline() const {
  auto next = std::min({clients_.next_deadline(), acceptor_.next_deadline(), shutdown_.next_deadline()});
  next = std::min(next, engine_.next_deadline().value_or(next));
  next = std::min(next, application_->next_deadline().value_or(next));
  if (tenancy_) next = std::min(next, tenancy_->next_deadline());
  if (peers_ && peers_->deferred()) next = std::min(next, clock_.now() + kDeferredRetry);
  return next;
}

void Worker::Impl::copy_counters() {
  using ipc::Counter;
  const engineio::Counts& engine = engine_.counts();
  const socketio::Stats& socketio = application_->socketio().stats();
  counters_.set(Counter::HttpErrors, front_.http().counts().errors);
  counters_.set(Counter::SessionsOpened, engine.opened);
  counters_.set(Counter::SessionsOpen, engine_.session_count());
  counters_.set(Counter::SessionsPolling, engine.polling);
  counters_.set(
      Counter::SessionsRefused,
      sum(engine.refused) + engine.closed[static_cast<std::size_t>(engineio::CloseReason::ParseError)]);
  // Of connections, these are counted where they end.
  const auto add_new = [this](Counter counter, std::uint64_t now, std::uint64_t& counted) {
    counters_.add(counter, now - std::exchange(counted, now));
  };
  add_new(Counter::DroppedOverfull, engine.overflowed, counted_.overflowed);
  add_new(Counter::DroppedStalled, engine.stalled, counted_.stalled);
  add_new(Counter::ShedForMemory, engine.shed, counted_.shed);
  counters_.set(Counter::SocketsOpen, socketio.sockets_open);
  counters_.set(Counter::PacketsIn, socketio.packets_in);
  counters_.set(Counter::PacketsOut, socketio.packets_out);
  counters_.set(Counter::MemoryAccounted, held_for_clients());
  counters_.set(Counter::HandlerExceptions, application_->handler_exceptions());
  counters_.set(Counter::LogLinesDropped, base::log_lines_dropped());
}

Worker::Worker(const ipc::Heritage& heritage, Settings settings, Setup setup)
    : impl_(std::make_unique<Impl>(&heritage, std::move(settings), std::move(setup))) {}
Worker::Worker(Settings settings, Setup setup)
    : impl_(std::make_unique<Impl>(nullptr, std::move(settings), std::move(setup))) {}
Worker::~Worker() = default;
int Worker::run() { return impl_->run(); }

}  // namespace limpet::process
