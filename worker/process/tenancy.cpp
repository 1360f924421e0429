#include "worker/process/tenancy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <tuple>
#include <utility>

#include "base/log.h"

namespace limpet::process {
namespace {

/// Within which the supervisor answers one to which somebody has sent SIGTERM.
constexpr std::chrono::milliseconds kAnswerDeadline{1000};

}  // namespace

Tenancy::Tenancy(const ipc::Incarnation& who, base::Descriptor channel, const Parts& parts,
                 Callbacks callbacks)
    : who_(who),
      parts_(parts),
      callbacks_(std::move(callbacks)),
      migration_(
          {parts.context, parts.clients, parts.engine, parts.application, parts.peers.rings(), parts.router,
           parts.front, parts.peers.handovers(), parts.counters, parts.clock},
          [this](const ipc::BucketsMoved& moved) { link_.send(moved); },
          [this](const std::string& why) { fail("take the sessions of the worker before: " + why); }),
      link_(
          parts.context, std::move(channel),
          [this](const ipc::SupervisorMessage& message, Descriptors descriptors) {
            on_message(message, std::move(descriptors));
          },
          [this](const ipc::SupervisorMessage& message) { on_descriptors_lost(message); },
          [this] { on_supervisor_lost(); }) {
  parts_.application.socketio().set_elsewhere(&migration_);
  parts_.router.set_streams(&migration_);
  parts_.shutdown.join_cluster(parts_.peers, migration_,
                               [this](const ipc::DrainProgress& progress) { link_.send(progress); });
}

void Tenancy::say_hello() {
  const adapter::RingAdapter& rings = parts_.peers.rings();
  const std::array<int, 4> descriptors{rings.ring(), rings.reader_page(), parts_.counters.descriptor(),
                                       rings.doorbell()};
  link_.send(ipc::Hello{.build = LIMPET_VERSION, .who = who_}, descriptors);
}

/// Who takes a message of the supervisor, and in which states of the worker; in the others it is of no
/// effect.
template <class Message>
struct Tenancy::Row {
  /// Columns: booting, serving, leaving.
  std::array<bool, 3> counts;
  void (Tenancy::*take)(const Message& message, Descriptors descriptors);
};

struct Tenancy::Messages {
  // A message without a row does not compile.
  static constexpr std::tuple kRows = {
      Row<ipc::Welcome>{{true, false, false}, &Tenancy::take_welcome},
      Row<ipc::Knows>{{true, true, true}, &Tenancy::take_level},
      Row<ipc::GoOn>{{true, true, true}, &Tenancy::take_answer},
      Row<ipc::Leave>{{true, true, true}, &Tenancy::take_end},
      Row<ipc::PeerJoined>{{true, true, true}, &Tenancy::take_peer},
      Row<ipc::PeerLeft>{{true, true, true}, &Tenancy::forget_peer},
      Row<ipc::TakeSeat>{{true, true, false}, &Tenancy::take_seat},
      Row<ipc::GiveUpSeat>{{true, true, true}, &Tenancy::give_up_seat},
      Row<ipc::Drain>{{true, true, true}, &Tenancy::drain},
      Row<ipc::Succeed>{{true, true, true}, &Tenancy::succeed},
      Row<ipc::Migrate>{{true, true, true}, &Tenancy::migrate},
      Row<ipc::ExpectSessions>{{true, true, false}, &Tenancy::expect_sessions},
      Row<ipc::MoveBuckets>{{true, true, false}, &Tenancy::move_buckets},
      Row<ipc::BorrowSlot>{{true, true, false}, &Tenancy::borrow_slot},
      Row<ipc::ReturnSlot>{{true, true, false}, &Tenancy::return_slot},
  };
};

Tenancy::State Tenancy::state() const noexcept {
  if (parts_.shutdown.has_begun()) return State::Leaving;
  return is_set_up_ ? State::Serving : State::Booting;
}

void Tenancy::on_message(const ipc::SupervisorMessage& message, Descriptors descriptors) {
  std::visit([&]<class Message>(const Message& body) { take(body, std::move(descriptors)); }, message);
}

template <class Message>
void Tenancy::take(const Message& message, Descriptors descriptors) {
  if (ended_) return;
  const Row<Message>& row = std::get<Row<Message>>(Messages::kRows);
  if (row.counts.at(static_cast<std::size_t>(state()))) (this->*row.take)(message, std::move(descriptors));
}

void Tenancy::take_welcome(const ipc::Welcome& welcome, Descriptors) {
  supervisor_level_ = welcome.level;
  tell_signalled();
  if (const std::string why = callbacks_.set_up(); !why.empty()) return fail(why);
  is_set_up_ = true;
  link_.send(ipc::Ready{});
}

void Tenancy::take_level(const ipc::Knows& knows, Descriptors) {
  supervisor_level_ = knows.level;
  tell_signalled();
}

void Tenancy::take_answer(const ipc::GoOn&, Descriptors) { answer_due_ = loop::TimePoint::max(); }

void Tenancy::take_end(const ipc::Leave&, Descriptors) { end(0); }

void Tenancy::take_peer(const ipc::PeerJoined& joined, Descriptors descriptors) {
  parts_.peers.rings().join(joined.who, std::move(descriptors[0]), std::move(descriptors[1]),
                            std::move(descriptors[2]));
}

void Tenancy::forget_peer(const ipc::PeerLeft& left, Descriptors) { parts_.peers.rings().leave(left.who); }

void Tenancy::take_seat(const ipc::TakeSeat&, Descriptors) {
  if (migration_.has_predecessor()) expected_sessions_ = parts_.peers.sessions_of_own_slot();
  keep_descriptors_for_sessions();
  parts_.acceptor.start();
  parts_.peers.handovers().start_reading();
}

void Tenancy::give_up_seat(const ipc::GiveUpSeat&, Descriptors) {
  parts_.acceptor.stop();
  parts_.peers.handovers().stop_reading();
}

void Tenancy::drain(const ipc::Drain& order, Descriptors) {
  parts_.shutdown.drain(order.window, order.deadline);
}

void Tenancy::succeed(const ipc::Succeed&, Descriptors descriptors) {
  migration_.succeed(std::move(descriptors[0]));
}

void Tenancy::migrate(const ipc::Migrate& order, Descriptors descriptors) {
  parts_.shutdown.move(order.window, order.deadline, std::move(descriptors[0]));
}

void Tenancy::expect_sessions(const ipc::ExpectSessions&, Descriptors descriptors) {
  migration_.expect_buckets(std::move(descriptors[0]));
}

void Tenancy::move_buckets(const ipc::MoveBuckets& order, Descriptors descriptors) {
  migration_.move_buckets(order, std::move(descriptors[0]));
}

void Tenancy::borrow_slot(const ipc::BorrowSlot& order, Descriptors descriptors) {
  parts_.peers.handovers().borrow(order.slot, std::move(descriptors[0]));
  descriptors.erase(descriptors.begin());
  parts_.acceptor.borrow(order.slot, std::move(descriptors));
}

void Tenancy::return_slot(const ipc::ReturnSlot& order, Descriptors) {
  parts_.peers.handovers().give_back(order.slot);
  parts_.acceptor.give_back(order.slot);
}

/// A message without its descriptors: what it was to bring about is done in the next best way, and everything
/// else goes on.
void Tenancy::on_descriptors_lost(const ipc::SupervisorMessage& message) {
  if (std::holds_alternative<ipc::Succeed>(message)) {
    fail("no descriptor is left for the stream of sessions");  // the old worker goes on with them
  } else if (const auto* order = std::get_if<ipc::Migrate>(&message)) {
    // The successor serves already: they come back to it.
    parts_.shutdown.drain(order->window, order->deadline);
  } else {
    // Whatever that worker publishes is not heard here.
    if (const auto* joined = std::get_if<ipc::PeerJoined>(&message))
      parts_.application.report_gap({joined->who.slot, joined->who.generation, 0});
    // Nor is it known which peers, buckets or sockets this worker lacks from now on: another one has them
    // all.
    if (!parts_.shutdown.has_begun() && ipc::is_known_at<ipc::Signalled>(supervisor_level_))
      link_.send(ipc::Signalled{});
  }
}

void Tenancy::end(int code) {
  ended_ = true;
  callbacks_.end(code);
}

void Tenancy::fail(const std::string& why) {
  base::log(base::LogLevel::Error, fmt::format("{}; the worker leaves", why));
  link_.send(ipc::Failed{why});
  link_.turn();
  end(1);
}

void Tenancy::say_leaving() {
  ended_ = true;
  link_.send(parts_.shutdown.so_far());
  link_.turn();
}

bool Tenancy::take_signal(int signal) {
  // The parent-death signal, of one that is known to be dead.
  if (supervisor_lost_) return signal == SIGTERM && std::exchange(expects_parent_death_signal_, false);
  ask_to_be_replaced();
  return true;
}

/// Somebody has sent SIGTERM to this worker, or to all that the supervisor has started: the supervisor has
/// its successor take the sessions, or it drains everybody.
void Tenancy::ask_to_be_replaced() {
  if (parts_.shutdown.has_begun() || answer_due_ != loop::TimePoint::max()) return;
  base::log(base::LogLevel::Info, "SIGTERM: told to the supervisor; serving until that has another worker");
  answer_due_ = parts_.clock.now() + kAnswerDeadline;
  tell_signalled();
}

/// Once the supervisor can hear it.
void Tenancy::tell_signalled() {
  if (answer_due_ == loop::TimePoint::max() || !ipc::is_known_at<ipc::Signalled>(supervisor_level_)) return;
  link_.send(ipc::Signalled{});
}

void Tenancy::on_supervisor_lost() {
  supervisor_lost_ = true;
  // It is told twice, by the channel's end and by the parent-death signal; that may have come first.
  expects_parent_death_signal_ = answer_due_ == loop::TimePoint::max();
  if (ended_) return;
  base::log(base::LogLevel::Warning,
            fmt::format("control channel: the supervisor is gone; draining {} sessions, then leaving",
                        parts_.engine.session_count()));
  if (!parts_.shutdown.has_begun()) parts_.shutdown.drain(kOwnDrainWindow, kOwnDrainDeadline);
}

void Tenancy::before_wait() {
  link_.turn();
  if (!parts_.router.waits_for_supervisor()) return;
  link_.receive();
  parts_.front.ask_again();
}

void Tenancy::turn(loop::Allowance& allowance) { migration_.turn(allowance); }

void Tenancy::check() {
  if (expected_sessions_) keep_descriptors_for_sessions();
  if (parts_.clock.now() < answer_due_) return;
  answer_due_ = loop::TimePoint::max();
  if (ended_ || parts_.shutdown.has_begun()) return;
  base::log(base::LogLevel::Warning,
            fmt::format("SIGTERM: the supervisor does not answer; draining {} sessions",
                        parts_.engine.session_count()));
  parts_.shutdown.drain(kOwnDrainWindow, kOwnDrainDeadline);
  parts_.shutdown.report_progress();
}

/// Whoever connects now must not take the descriptors of those that are on their way from the worker before:
/// the new one waits in the kernel's queue, the other would be lost.
void Tenancy::keep_descriptors_for_sessions() {
  if (!expected_sessions_) return;
  if (!migration_.expects_sessions()) expected_sessions_.reset();
  const std::uint64_t expected = expected_sessions_.value_or(0);
  const std::uint64_t arrived = parts_.counters.get(ipc::Counter::SessionsArrived);
  parts_.acceptor.keep_free(expected - std::min(expected, arrived));
}

loop::TimePoint Tenancy::next_deadline() const { return std::min(migration_.next_deadline(), answer_due_); }

}  // namespace limpet::process
