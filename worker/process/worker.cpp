#include "worker/process/worker.h"

#include <fmt/format.h>
#include <unistd.h>

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
#include "ipc/shared/bucket_table.h"
#include "ipc/shared/slot_board.h"
#include "worker/adapter/ring_adapter.h"
#include "worker/client/acceptor.h"
#include "worker/client/admission.h"
#include "worker/client/clients.h"
#include "worker/client/listen.h"
#include "worker/loop/accounts.h"
#include "worker/loop/turn_meter.h"
#include "worker/loop/watch.h"
#include "worker/migration/departure.h"
#include "worker/migration/migration.h"
#include "worker/slot/front.h"
#include "worker/slot/handovers.h"
#include "worker/slot/router.h"
#include "worker/slot/sid_source.h"
#include "worker/slot/supervisor_link.h"
#include "worker/socketio/server.h"

namespace limpet::process {
namespace {

namespace asio = boost::asio;
using migration::Departure;
using std::chrono::milliseconds;

/// The longest wait: a safety net for a lost wake-up, and the beat of an idle worker.
constexpr milliseconds kLongestWait{250};
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
/// A worker whose supervisor has died, or that got SIGTERM, drains in its own time.
constexpr milliseconds kOrphanWindow{2000};
constexpr milliseconds kOrphanDeadline{5000};
constexpr milliseconds kDrainProgressInterval{1000};
/// Within which the supervisor answers one to which somebody has sent SIGTERM.
constexpr milliseconds kAnswerDeadline{1000};
/// How long behind its window a drain waits for the next polls of closed polling sessions.
constexpr milliseconds kDrainLinger{1000};

std::uint64_t sum(const auto& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), std::uint64_t{0});
}

/// A supervisor of another build does not say it; an application alone has all.
Settings with_default_memory(Settings settings, std::uint16_t slots) {
  std::size_t& memory = settings.limits.memory_bytes;
  if (memory == 0) memory = base::default_memory_of_worker(slots);
  return settings;
}

std::string with_slashes(std::string path) {
  if (!path.starts_with('/')) path.insert(path.begin(), '/');
  if (!path.ends_with('/')) path.push_back('/');
  return path;
}

}  // namespace

class Worker::Core {
 public:
  Core(const ipc::Heritage* heritage, Settings settings, Setup setup);
  ~Core();
  int run();

 private:
  static engineio::Options engine_options(const Settings& settings);
  static socketio::Options socketio_options(const ipc::Heritage& heritage, const Settings& settings);
  void join_cluster(const ipc::Heritage& heritage);
  void listen_alone();
  void say_hello();
  void on_message(const ipc::SupervisorMessage& message, std::vector<base::Descriptor> descriptors);
  void on_scaling(const ipc::SupervisorMessage& message, std::vector<base::Descriptor> descriptors);
  void on_descriptors_lost(const ipc::SupervisorMessage& message);
  void on_supervisor_lost();
  void on_signal(int signal);
  void ask_to_be_replaced();
  void tell_signalled();
  void check_answer();
  bool set_up_application();
  /// Says why to whoever started this worker, and leaves.
  void fail(const std::string& why);
  void start_drain(milliseconds window, milliseconds deadline);
  void start_migration(milliseconds window, milliseconds deadline, base::Descriptor stream);
  void continue_migration();
  [[nodiscard]] ipc::Leaving since_leaving() const;
  void begin_to_leave();
  void report_drain();
  [[nodiscard]] bool is_draining() const noexcept {
    return departure_ && departure_->kind() == Departure::Kind::Draining;
  }
  void drain_due_sessions();
  void continue_drain();
  void end_unfinished(bool gives_connections);
  void leave();

  void turn();
  void wait();
  [[nodiscard]] bool has_work() const;
  [[nodiscard]] loop::TimePoint next_deadline() const;
  void take_input();
  void take_input(bool is_new);
  void begin_share(std::chrono::microseconds time);
  [[nodiscard]] std::uint64_t held_for_clients() const;
  void shed_for_memory();
  void note_turn();
  void keep_descriptors_for_sessions();
  void copy_counters();
  void hear_signals();
  void wait_for_signal();

  ipc::Heritage heritage_;
  ipc::Incarnation who_;
  Settings settings_;
  Setup setup_;
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(context_);
  asio::signal_set signals_{context_};
  loop::Clock clock_{std::chrono::steady_clock::now()};
  loop::Allowance allowance_;
  loop::MemoryTotal memory_;
  ipc::CounterBlock counters_;
  std::optional<ipc::BucketTable> buckets_;
  std::optional<ipc::SlotBoard> board_;
  slot::SidSource sids_;
  loop::Poller poller_;
  std::optional<socketio::Server> socketio_;  // made before the engine, and gone before it
  Io io_;
  engineio::Server engine_;
  client::Clients clients_;
  client::Admission admission_;
  std::optional<adapter::RingAdapter> rings_;
  std::optional<slot::Handovers> handovers_;
  std::optional<slot::Placement> placement_;
  client::Listeners listeners_;
  std::optional<slot::Router> router_;
  std::optional<slot::Front> front_;
  std::optional<migration::Migration> migration_;
  std::optional<client::Acceptor> acceptor_;
  std::optional<slot::SupervisorLink> link_;
  loop::Watch poller_watch_;
  std::optional<loop::Watch> doorbell_watch_;
  std::optional<Departure> departure_;
  bool told_empty_ = false;  ///< that all have left for the successor
  loop::TimePoint drain_progress_at_{};
  loop::TimePoint drain_linger_until_{};
  std::optional<ipc::Leaving> before_leaving_;  ///< moved and drained until it began to leave
  std::optional<int> exit_code_;
  /// Sessions that this slot had when this worker took its seat from another; nullopt: it has not.
  std::optional<std::uint64_t> expected_sessions_;
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
  bool more_in_rings_ = false;
  bool more_in_inbox_ = false;
  bool more_to_end_ = false;
  bool more_unfinished_ = false;
  std::uint32_t supervisor_level_ = 0;  ///< nothing of a higher one is sent to it (ipc/messages/messages.h)
  loop::TimePoint answer_due_ = loop::TimePoint::max();  ///< of the supervisor, to one that was sent SIGTERM
  bool supervisor_lost_ = false;
  bool expecting_parent_death_signal_ = false;
};

Worker::Core::Core(const ipc::Heritage* heritage, Settings settings, Setup setup)
    : heritage_(heritage == nullptr ? ipc::Heritage{} : *heritage),
      who_{heritage_.slot, heritage_.lane, heritage_.generation},
      settings_(with_default_memory(std::move(settings), heritage_.slots)),
      setup_(std::move(setup)),
      counters_(ipc::CounterBlock::create(who_)),
      buckets_([&]() -> std::optional<ipc::BucketTable> {
        if (heritage == nullptr) return std::nullopt;
        std::string why;
        auto table = ipc::BucketTable::map(base::Descriptor(ipc::kClusterPage), &why);
        if (!table) throw std::runtime_error("map the bucket table: " + why);
        return table;
      }()),
      sids_(buckets_ ? &*buckets_ : nullptr, heritage_.slot),
      socketio_(std::in_place, clock_, socketio_options(heritage_, settings_),
                [this](std::span<char, base::kIdBytes> id) { sids_.fill(id); }),
      io_(*socketio_),
      engine_(engine_options(settings_), clock_, *socketio_,
              {.new_sid = [this](std::span<char, base::kIdBytes> sid) { sids_.fill(sid); },
               .wall_clock_ms = {},
               .refuse = {},
               .choose_protocol =
                   [this](std::span<const std::string_view> offered) {
                     return socketio_->choose_protocol(offered);
                   },
               .memory = &memory_}),
      clients_(poller_, clock_, allowance_, memory_, counters_, settings_.limits, settings_.listeners),
      admission_(settings_.limits, clock_, counters_),
      listeners_(settings_.limits, settings_.listeners),
      poller_watch_(context_, poller_.descriptor(), [this] { poller_ready_ = true; }) {
  if (heritage != nullptr) join_cluster(heritage_);
  router_.emplace(clients_, listeners_, engine_, handovers_ ? &*handovers_ : nullptr,
                  placement_ ? &*placement_ : nullptr);
  front_.emplace(clients_, engine_, *socketio_, *router_, admission_, settings_.limits, listeners_, clock_,
                 counters_);
  clients_.set_on_uncounted(
      [this](const client::ClientConnection& connection) { admission_.leave(connection.peer()); });
  if (heritage != nullptr) {
    migration_.emplace(
        migration::MigrationParts{context_, clients_, engine_, *socketio_, *rings_, *router_, *front_,
                                  *handovers_, counters_, clock_},
        [this](const ipc::BucketsMoved& moved) { link_->send(moved); },
        [this](const std::string& why) { fail("take the sessions of the worker before: " + why); });
    socketio_->set_elsewhere(&*migration_);
    router_->set_streams(&*migration_);
  }
  acceptor_.emplace(poller_, clock_, counters_,
                    [this](base::Descriptor socket, const client::PeerAddress& peer, std::uint16_t listener) {
                      front_->welcome(std::move(socket), peer, listener);
                    });
  if (heritage != nullptr) {
    for (int i = 0; i < heritage_.listeners; ++i) acceptor_->add(base::Descriptor(ipc::kFirstListener + i));
  }
}

Worker::Core::~Core() {
  socketio_->set_elsewhere(nullptr);
  clients_.close_all();  // while those that they call are all alive
  socketio_.reset();     // and this while its clients' sessions are
}

engineio::Options Worker::Core::engine_options(const Settings& settings) {
  engineio::Options options;
  options.path = with_slashes(settings.socketio.path);
  options.ping_interval = settings.socketio.ping_interval;
  options.ping_timeout = settings.socketio.ping_timeout;
  options.upgrade_timeout = settings.socketio.upgrade_timeout;
  options.max_payload_bytes = settings.socketio.max_payload_bytes;
  options.polling = settings.socketio.polling;
  options.websocket = settings.socketio.websocket;
  options.max_queued_bytes = settings.limits.send_queue_bytes;
  options.send_stall = settings.limits.send_stall;
  return options;
}

socketio::Options Worker::Core::socketio_options(const ipc::Heritage& heritage, const Settings& settings) {
  socketio::Options options;
  options.connect_timeout = settings.socketio.connect_timeout;
  // Ten attachments, the most that a packet may have, and its text: what Node takes.
  options.max_packet_bytes = 11 * settings.socketio.max_payload_bytes;
  options.path = with_slashes(settings.socketio.path);
  options.slot = heritage.slot;
  options.worker_generation = heritage.generation;
  options.config = settings.app;
  return options;
}

void Worker::Core::join_cluster(const ipc::Heritage& heritage) {
  const ipc::RingOptions ring{.capacity_bytes = settings_.ring.capacity_bytes,
                              .lanes = heritage.lanes,
                              .lap_after = settings_.ring.lap_after,
                              .deferred_bytes = settings_.ring.deferred_bytes};
  rings_.emplace(
      who_, ring, counters_, [this](const socketio::Broadcast& broadcast) { socketio_->deliver(broadcast); },
      [this](const ipc::Gap& gap) {
        socketio_->report_gap({gap.writer.slot, gap.writer.generation, gap.lost_at_least});
      });
  socketio_->set_adapter(&*rings_);
  // Readiness is enough: the counter behind it is drained at once, or Asio would call for ever.
  doorbell_watch_.emplace(context_, rings_->doorbell(), [this] {
    std::uint64_t rings = 0;
    [[maybe_unused]] const ssize_t got = ::read(rings_->doorbell(), &rings, sizeof rings);
  });

  std::vector<base::Descriptor> senders;
  for (std::uint16_t slot = 0; slot < heritage.slots; ++slot)
    senders.emplace_back(heritage.inbox_sender(slot));
  handovers_.emplace(context_, *buckets_, heritage.slot, base::Descriptor(ipc::kInbox), std::move(senders),
                     counters_,
                     [this](ipc::ReceivedHandover arrival) { front_->take_in(std::move(arrival)); });
  std::string why;
  board_ = ipc::SlotBoard::map(base::Descriptor(ipc::kSlotBoard), &why);
  if (!board_)
    base::log(base::LogLevel::Warning,
              fmt::format("slot board: map: {}; every slot counts as one that takes part", why));
  placement_.emplace(board_ ? &*board_ : nullptr, heritage.slot, heritage.slots, settings_.placement_seed,
                     settings_.placement);
  link_.emplace(
      context_, base::Descriptor(ipc::kControlChannel),
      [this](ipc::SupervisorMessage message, std::vector<base::Descriptor> descriptors) {
        on_message(message, std::move(descriptors));
      },
      [this](const ipc::SupervisorMessage& message) { on_descriptors_lost(message); },
      [this] { on_supervisor_lost(); });
}

void Worker::Core::listen_alone() {
  std::string addresses;
  for (const std::string& address : settings_.listen) {
    base::Descriptor listener = client::listen_on(address);
    addresses += (addresses.empty() ? "" : ", ") + client::address_of(listener);
    acceptor_->add(std::move(listener));
  }
  acceptor_->start();
  base::log(base::LogLevel::Info, fmt::format("serving on {} with 1 worker", addresses));
}

void Worker::Core::say_hello() {
  const std::array<int, 4> descriptors{rings_->ring(), rings_->reader_page(), counters_.descriptor(),
                                       rings_->doorbell()};
  link_->send(ipc::Hello{.build = LIMPET_VERSION, .who = who_}, descriptors);
}

int Worker::Core::run() {
  counters_.beat(clock_.now());
  hear_signals();
  if (link_) {
    say_hello();
  } else {
    if (!set_up_application()) return 1;
    listen_alone();
  }
  turn_meter_.restart();
  while (!exit_code_) turn();
  return *exit_code_;
}

/// A handler of the application's wins. What the terminal or an operator sends to a whole group is the
/// supervisor's to act on.
void Worker::Core::hear_signals() {
  if (!base::has_handler(SIGTERM)) signals_.add(SIGTERM);
  if (link_) {
    base::do_nothing_at({SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTTIN});
    base::ignore_terminal_output_stops();
  } else if (!base::has_handler(SIGINT)) {
    signals_.add(SIGINT);
  }
  base::unblock_signals({SIGTERM, SIGINT});
  wait_for_signal();
}

void Worker::Core::wait_for_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    wait_for_signal();
    on_signal(signal);
  });
}

void Worker::Core::on_signal(int signal) {
  if (link_ && !supervisor_lost_) return ask_to_be_replaced();
  if (signal == SIGTERM && std::exchange(expecting_parent_death_signal_, false)) return;
  if (is_draining()) {
    base::log(base::LogLevel::Info,
              fmt::format("{} again: leaving at once", signal == SIGTERM ? "SIGTERM" : "SIGINT"));
    exit_code_ = 0;
    return;
  }
  base::log(base::LogLevel::Info,
            fmt::format("{}: draining {} sessions", signal == SIGTERM ? "SIGTERM" : "SIGINT",
                        engine_.session_count()));
  start_drain(link_ ? kOrphanWindow : milliseconds(0), kOrphanDeadline);
}

/// Somebody has sent SIGTERM to this worker, or to all that the supervisor has started: the supervisor has
/// its successor take the sessions, or it drains everybody.
void Worker::Core::ask_to_be_replaced() {
  if (departure_ || answer_due_ != loop::TimePoint::max()) return;
  base::log(base::LogLevel::Info, "SIGTERM: told to the supervisor; serving until that has another worker");
  answer_due_ = clock_.now() + kAnswerDeadline;
  tell_signalled();
}

/// Once the supervisor can hear it.
void Worker::Core::tell_signalled() {
  if (answer_due_ == loop::TimePoint::max() || supervisor_level_ < ipc::kLevelOfSignals) return;
  link_->send(ipc::Signalled{});
}

void Worker::Core::check_answer() {
  if (clock_.now() < answer_due_) return;
  answer_due_ = loop::TimePoint::max();
  if (exit_code_ || departure_) return;
  base::log(
      base::LogLevel::Warning,
      fmt::format("SIGTERM: the supervisor does not answer; draining {} sessions", engine_.session_count()));
  start_drain(kOrphanWindow, kOrphanDeadline);
  report_drain();
}

void Worker::Core::on_supervisor_lost() {
  supervisor_lost_ = true;
  // It is told twice, by the channel's end and by the parent-death signal; that may have come first.
  expecting_parent_death_signal_ = answer_due_ == loop::TimePoint::max();
  if (exit_code_) return;
  base::log(base::LogLevel::Warning,
            fmt::format("control channel: the supervisor is gone; draining {} sessions, then leaving",
                        engine_.session_count()));
  if (departure_) return;
  start_drain(kOrphanWindow, kOrphanDeadline);
}

/// A message without its descriptors: what it was to bring about is done in the next best way, and everything
/// else goes on.
void Worker::Core::on_descriptors_lost(const ipc::SupervisorMessage& message) {
  if (std::holds_alternative<ipc::Succeed>(message)) {
    fail("no descriptor is left for the stream of sessions");  // the old worker goes on with them
  } else if (const auto* migrate = std::get_if<ipc::Migrate>(&message)) {
    // The successor serves already: they come back to it.
    start_drain(migrate->window, migrate->deadline);
  } else {
    // Whatever that worker publishes is not heard here.
    if (const auto* joined = std::get_if<ipc::PeerJoined>(&message))
      socketio_->report_gap({joined->who.slot, joined->who.generation, 0});
    // Nor is it known which peers, buckets or sockets this worker lacks from now on: another one has them
    // all.
    if (!departure_ && supervisor_level_ >= ipc::kLevelOfSignals) link_->send(ipc::Signalled{});
  }
}

void Worker::Core::on_message(const ipc::SupervisorMessage& message,
                              std::vector<base::Descriptor> descriptors) {
  if (const auto* knows = std::get_if<ipc::Knows>(&message)) {
    supervisor_level_ = knows->level;
    tell_signalled();
  } else if (std::holds_alternative<ipc::GoOn>(message)) {
    answer_due_ = loop::TimePoint::max();
  } else if (std::holds_alternative<ipc::Leave>(message)) {
    exit_code_ = 0;
  } else if (const auto* welcome = std::get_if<ipc::Welcome>(&message)) {
    supervisor_level_ = welcome->level;
    tell_signalled();
    if (set_up_application()) link_->send(ipc::Ready{});
  } else if (const auto* joined = std::get_if<ipc::PeerJoined>(&message)) {
    rings_->join(joined->who, std::move(descriptors[0]), std::move(descriptors[1]),
                 std::move(descriptors[2]));
  } else if (const auto* left = std::get_if<ipc::PeerLeft>(&message)) {
    rings_->leave(left->who);
  } else if (std::holds_alternative<ipc::TakeSeat>(message)) {
    if (is_draining()) return;
    if (migration_->has_predecessor() && board_) expected_sessions_ = board_->sessions(heritage_.slot);
    keep_descriptors_for_sessions();
    acceptor_->start();
    handovers_->start_reading();
  } else if (std::holds_alternative<ipc::GiveUpSeat>(message)) {
    acceptor_->stop();
    handovers_->stop_reading();
  } else if (const auto* drain = std::get_if<ipc::Drain>(&message)) {
    start_drain(drain->window, drain->deadline);
  } else if (std::holds_alternative<ipc::Succeed>(message)) {
    migration_->succeed(std::move(descriptors[0]));
  } else if (const auto* migrate = std::get_if<ipc::Migrate>(&message)) {
    start_migration(migrate->window, migrate->deadline, std::move(descriptors[0]));
  } else {
    on_scaling(message, std::move(descriptors));
  }
}

/// Buckets and sockets of other slots.
void Worker::Core::on_scaling(const ipc::SupervisorMessage& message,
                              std::vector<base::Descriptor> descriptors) {
  if (departure_) return;
  if (std::holds_alternative<ipc::ExpectSessions>(message)) {
    migration_->expect_buckets(std::move(descriptors[0]));
  } else if (const auto* order = std::get_if<ipc::MoveBuckets>(&message)) {
    migration_->move_buckets(*order, std::move(descriptors[0]));
  } else if (const auto* borrow = std::get_if<ipc::BorrowSlot>(&message)) {
    handovers_->borrow(borrow->slot, std::move(descriptors[0]));
    descriptors.erase(descriptors.begin());
    acceptor_->borrow(borrow->slot, std::move(descriptors));
  } else if (const auto* back = std::get_if<ipc::ReturnSlot>(&message)) {
    handovers_->give_back(back->slot);
    acceptor_->give_back(back->slot);
  }
}

bool Worker::Core::set_up_application() {
  std::string reason;
  try {
    setup_(io_);
    turn_meter_.restart();
    return true;
  } catch (const std::exception& error) {
    reason = error.what();
  } catch (...) {
    reason = "an exception that is no std::exception";
  }
  fail("application: set up: " + reason);
  return false;
}

void Worker::Core::fail(const std::string& why) {
  base::log(base::LogLevel::Error, fmt::format("{}; the worker leaves", why));
  if (link_) {
    link_->send(ipc::Failed{why});
    link_->turn();
  }
  exit_code_ = 1;
}

void Worker::Core::start_drain(milliseconds window, milliseconds deadline) {
  begin_to_leave();
  acceptor_->close();
  if (handovers_) handovers_->stop_reading();
  if (migration_) migration_->stop_giving();
  front_->http().drain();
  departure_.emplace(clock_.now(), Departure::Kind::Draining, window, deadline);
  drain_progress_at_ = clock_.now() + kDrainProgressInterval;
  drain_linger_until_ = clock_.now() + window + kDrainLinger;
}

void Worker::Core::drain_due_sessions() {
  const std::size_t before = engine_.session_count();
  const std::size_t due = departure_->due(clock_.now(), before);
  if (due == 0) return;
  const std::size_t left = engine_.drain(due, allowance_);
  const std::size_t ended = before - std::min(before, left);
  departure_->closed(ended);
  counters_.add(ipc::Counter::SessionsDrained, ended);
}

/// What clients owe is waited for as long as the window lasts; what we owe them, to the deadline. Heads and
/// connections that go to another worker are not owed to this one.
void Worker::Core::end_unfinished(bool gives_connections) {
  more_unfinished_ = false;
  if (!departure_->ends_unfinished(clock_.now())) return;
  http::Server& http = front_->http();
  const bool all = gives_connections ? http.end_unfinished(allowance_) : http.end_waiting(allowance_);
  more_unfinished_ = !all;
  if (!all) return;
  departure_->looked_for_unfinished(clock_.now());
  // A PROXY header that has not come: HTTP does not know of that connection.
  if (!gives_connections) clients_.limit_header_timeouts(kDrainLinger);
}

void Worker::Core::continue_drain() {
  drain_due_sessions();
  const bool gives_connections = migration_ && migration_->gives_connections();
  end_unfinished(gives_connections);
  const bool told =
      engine_.session_count() == 0 && (!engine_.has_lingering() || clock_.now() >= drain_linger_until_);
  // Idle connections are where the last polls come from: only when no session is left that wants one.
  const bool ends = told && !gives_connections;
  more_to_end_ = ends && !front_->http().end_idle(allowance_);
  const bool empty = told && clients_.is_empty();
  const bool unsent = (rings_ && rings_->deferred()) || (handovers_ && handovers_->deferred());
  if ((empty && !unsent && (!migration_ || migration_->buckets_are_quiet())) ||
      departure_->is_over(clock_.now())) {
    socketio_->give_up_moved_replies();
    leave();
  } else if (drain_progress_at_ <= clock_.now()) {
    drain_progress_at_ = clock_.now() + kDrainProgressInterval;
    if (link_) report_drain();
  }
}

void Worker::Core::start_migration(milliseconds window, milliseconds deadline, base::Descriptor stream) {
  begin_to_leave();
  acceptor_->close();
  handovers_->stop_reading();
  departure_.emplace(clock_.now(), Departure::Kind::Moving, window, deadline);
  told_empty_ = false;
  drain_progress_at_ = clock_.now() + kDrainProgressInterval;
  migration_->begin_to_give(std::move(stream));
}

/// Sessions leave as they can; from the window before the deadline on, those that cannot are drained.
void Worker::Core::continue_migration() {
  const loop::TimePoint now = clock_.now();
  if (engine_.session_count() > 0) drain_due_sessions();
  migration::Giver* const giver = migration_->giver();
  end_unfinished(giver != nullptr && !giver->broken());
  const bool gone = engine_.session_count() == 0 && !engine_.has_lingering();
  const bool given = gone && giver != nullptr && !giver->broken() && giver->settled();
  if (given) giver->finish();
  const bool all_quiet = given && clients_.is_empty() && !rings_->deferred() &&
                         socketio_->awaited_replies() == 0 && !migration_->has_predecessor();
  if (all_quiet || departure_->is_over(now)) {
    socketio_->give_up_moved_replies();
    leave();
  } else if (drain_progress_at_ <= now || (given && !std::exchange(told_empty_, true))) {
    drain_progress_at_ = now + kDrainProgressInterval;
    report_drain();
  }
}

/// Sessions that have moved or were drained since this worker began to leave; `ctl scale` may have had it
/// move others before.
ipc::Leaving Worker::Core::since_leaving() const {
  const ipc::Leaving before = before_leaving_.value_or(ipc::Leaving{});
  return {.moved = counters_.get(ipc::Counter::SessionsDeparted) - before.moved,
          .drained = counters_.get(ipc::Counter::SessionsDrained) - before.drained};
}

void Worker::Core::begin_to_leave() {
  if (!before_leaving_) before_leaving_ = since_leaving();
}

void Worker::Core::report_drain() {
  migration::Giver* const giver = migration_ ? migration_->giver() : nullptr;
  const std::uint64_t on_their_way = giver == nullptr ? 0 : giver->sessions_on_their_way();
  const ipc::Leaving so_far = since_leaving();
  link_->send(ipc::DrainProgress{.sessions_left = engine_.session_count() + on_their_way,
                                 .moved = so_far.moved,
                                 .drained = so_far.drained});
}

void Worker::Core::leave() {
  if (link_) {
    link_->send(since_leaving());
    link_->turn();
  }
  exit_code_ = 0;
}

void Worker::Core::turn() {
  turn_meter_.begin_turn();
  wait();
  turn_meter_.wake_up();
  clock_.advance_to(std::chrono::steady_clock::now());
  clock_.set_wall_time(std::time(nullptr));
  counters_.add(ipc::Counter::LoopTurns);
  take_input();
  if (handovers_) more_in_inbox_ = handovers_->turn();
  begin_share(kTimeForRings);
  if (rings_) more_in_rings_ = rings_->poll(allowance_);
  if (expected_sessions_) keep_descriptors_for_sessions();
  acceptor_->tick();
  begin_share(kTimeForCloses);
  clients_.check_deadlines();
  socketio_->tick(allowance_);
  begin_share(kTimeForCloses);
  engine_.tick(allowance_);
  if (migration_) {
    begin_share(kTimeForMoves);
    migration_->turn(allowance_);
  }
  begin_share(kTimeForCloses);
  check_answer();
  if (departure_) is_draining() ? continue_drain() : continue_migration();
  shed_for_memory();
  begin_share(kTimeForOutput);
  clients_.flush();
  if (rings_) rings_->flush(clock_.now());
  begin_share(kTimeForCloses);
  clients_.bury();
  note_turn();
  copy_counters();
  counters_.beat(clock_.now());
}

/// Whoever connects now must not take the descriptors of those that are on their way from the worker before:
/// the new one waits in the kernel's queue, the other would be lost.
void Worker::Core::keep_descriptors_for_sessions() {
  if (!expected_sessions_) return;
  if (!migration_->expects_sessions()) expected_sessions_.reset();
  const std::uint64_t expected = expected_sessions_.value_or(0);
  acceptor_->keep_free(expected - std::min(expected, counters_.get(ipc::Counter::SessionsArrived)));
}

/// What is new, and what had to wait. The last piece of a share may take much longer than the share: then the
/// others have their turn first in the next one.
void Worker::Core::take_input() {
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

void Worker::Core::take_input(bool is_new) {
  if (!is_new) return clients_.redeliver();
  if (poller_ready_) poller_ready_ = poller_.dispatch(allowance_);
}

/// Of the turn, for the next part of it.
void Worker::Core::begin_share(std::chrono::microseconds time) {
  cut_short_ = cut_short_ || allowance_.denied();
  allowance_.begin(kUnitsPerShare, time);
}

/// Without the static files that are kept, which no client can make more.
std::uint64_t Worker::Core::held_for_clients() const {
  const std::uint64_t all = memory_.bytes() + socketio_->held_for_ended();
  return all - std::min<std::uint64_t>(all, socketio_->kept_file_bytes());
}

/// The largest go first, until what is left fits; one look at most for each that may have to go.
void Worker::Core::shed_for_memory() {
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

void Worker::Core::note_turn() {
  if (std::exchange(cut_short_, false) || allowance_.denied()) counters_.add(ipc::Counter::TurnsCutShort);
  const std::uint64_t handler_ticks = socketio_->handler_clock().ticks();
  const std::uint64_t in_handlers = handler_ticks - std::exchange(handler_ticks_at_turn_, handler_ticks);
  if (const auto cpu = turn_meter_.end_turn(in_handlers)) {
    const auto microseconds = static_cast<std::uint64_t>(cpu->count());
    if (microseconds > counters_.get(ipc::Counter::LongestTurn))
      counters_.set(ipc::Counter::LongestTurn, microseconds);
  }
}

void Worker::Core::wait() {
  if (link_) link_->turn();
  if (router_->waits_for_supervisor()) {
    link_->receive();
    front_->ask_again();
  }
  if (doorbell_watch_) doorbell_watch_->arm();
  if (!poller_ready_) poller_watch_.arm();
  if (!has_work()) {
    if (!rings_ || rings_->fall_asleep()) {
      const auto until = std::min(next_deadline(), std::chrono::steady_clock::now() + kLongestWait);
      context_.run_one_until(until);
    }
    if (rings_) rings_->wake_up();
  }
  // Also without a wait: rings that always have something must not keep clients, signals and the supervisor
  // from being heard.
  for (int i = 0; i < kHandlersPerTurn && context_.poll_one() > 0; ++i) {
  }
}

bool Worker::Core::has_work() const {
  const bool more_to_drain = departure_ && departure_->owes() && engine_.session_count() > 0;
  return poller_ready_ || more_to_drain || more_in_rings_ || more_in_inbox_ || more_to_end_ ||
         more_unfinished_ || clients_.has_work() || (migration_ && migration_->busy()) ||
         engine_.next_deadline().value_or(loop::TimePoint::max()) <= clock_.now();
}

loop::TimePoint Worker::Core::next_deadline() const {
  auto next = std::min({clients_.next_deadline(), acceptor_->next_deadline(), answer_due_});
  next = std::min(next, engine_.next_deadline().value_or(next));
  if (migration_) next = std::min(next, migration_->next_deadline());
  next = std::min(next, socketio_->next_deadline().value_or(next));
  if (departure_) next = std::min({next, departure_->next_due(clock_.now()), drain_progress_at_});
  if (is_draining() && clock_.now() < drain_linger_until_) next = std::min(next, drain_linger_until_);
  if ((rings_ && rings_->deferred()) || (handovers_ && handovers_->deferred()))
    next = std::min(next, clock_.now() + kDeferredRetry);
  return next;
}

void Worker::Core::copy_counters() {
  using ipc::Counter;
  const engineio::Counts& engine = engine_.counts();
  const socketio::Stats& socketio = socketio_->stats();
  counters_.set(Counter::HttpErrors, front_->http().counts().errors);
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
  counters_.set(Counter::HandlerExceptions, socketio.handler_exceptions);
  counters_.set(Counter::LogLinesDropped, base::log_lines_dropped());
}

Worker::Worker(const ipc::Heritage& heritage, Settings settings, Setup setup)
    : core_(std::make_unique<Core>(&heritage, std::move(settings), std::move(setup))) {}
Worker::Worker(Settings settings, Setup setup)
    : core_(std::make_unique<Core>(nullptr, std::move(settings), std::move(setup))) {}
Worker::~Worker() = default;
int Worker::run() { return core_->run(); }

}  // namespace limpet::process
