#include "worker/process/shutdown.h"

#include <algorithm>
#include <utility>

namespace limpet::process {
namespace {

using migration::Departure;
using std::chrono::milliseconds;

constexpr milliseconds kProgressInterval{1000};
/// How long behind its window a drain waits for the next polls of closed polling sessions.
constexpr milliseconds kDrainLinger{1000};

}  // namespace

void Shutdown::join_cluster(Peers& peers, migration::Migration& migration, OnProgress on_progress) {
  peers_ = &peers;
  migration_ = &migration;
  on_progress_ = std::move(on_progress);
}

void Shutdown::begin(Departure::Kind kind, milliseconds window, milliseconds deadline) {
  if (!counted_before_) counted_before_ = counted();
  parts_.acceptor.close();
  if (peers_ != nullptr) peers_->handovers().stop_reading();
  departure_.emplace(parts_.clock.now(), kind, window, deadline);
  progress_at_ = parts_.clock.now() + kProgressInterval;
}

void Shutdown::drain(milliseconds window, milliseconds deadline) {
  begin(Departure::Kind::Draining, window, deadline);
  if (migration_ != nullptr) migration_->stop_giving();
  parts_.http.drain();
  linger_until_ = parts_.clock.now() + window + kDrainLinger;
}

void Shutdown::move(milliseconds window, milliseconds deadline, base::Descriptor stream) {
  begin(Departure::Kind::Moving, window, deadline);
  told_empty_ = false;
  migration_->begin_to_give(std::move(stream));
}

ipc::Leaving Shutdown::counted() const {
  return {.moved = parts_.counters.get(ipc::Counter::SessionsDeparted),
          .drained = parts_.counters.get(ipc::Counter::SessionsDrained)};
}

ipc::Leaving Shutdown::so_far() const {
  const ipc::Leaving now = counted();
  const ipc::Leaving before = counted_before_.value_or(ipc::Leaving{});
  return {.moved = now.moved - before.moved, .drained = now.drained - before.drained};
}

void Shutdown::report_progress() {
  if (!on_progress_) return;
  const migration::Giver* const giver = migration_->giver();
  const std::uint64_t on_their_way = giver == nullptr ? 0 : giver->sessions_on_their_way();
  const ipc::Leaving left = so_far();
  on_progress_({.sessions_left = parts_.engine.session_count() + on_their_way,
                .moved = left.moved,
                .drained = left.drained});
}

void Shutdown::turn() {
  if (!departure_) return;
  is_draining() ? go_on_draining() : go_on_moving();
}

void Shutdown::close_due_sessions() {
  const std::size_t before = parts_.engine.session_count();
  const std::size_t due = departure_->due(parts_.clock.now(), before);
  if (due == 0) return;
  const std::size_t left = parts_.engine.drain(due, parts_.allowance);
  const std::size_t ended = before - std::min(before, left);
  departure_->closed(ended);
  parts_.counters.add(ipc::Counter::SessionsDrained, ended);
}

/// What clients owe is waited for as long as the window lasts; what we owe them, to the deadline. Heads and
/// connections that go to another worker are not owed to this one.
void Shutdown::end_unfinished(bool gives_connections) {
  more_unfinished_ = false;
  if (!departure_->ends_unfinished(parts_.clock.now())) return;
  const bool all = gives_connections ? parts_.http.end_unfinished(parts_.allowance)
                                     : parts_.http.end_waiting(parts_.allowance);
  more_unfinished_ = !all;
  if (!all) return;
  departure_->looked_for_unfinished(parts_.clock.now());
  // A PROXY header that has not come: HTTP does not know of that connection.
  if (!gives_connections) parts_.clients.limit_header_timeouts(kDrainLinger);
}

bool Shutdown::has_nothing_unsent() const {
  return peers_ == nullptr || (!peers_->deferred() && migration_->buckets_are_quiet());
}

void Shutdown::go_on_draining() {
  const loop::TimePoint now = parts_.clock.now();
  close_due_sessions();
  const bool gives_connections = migration_ != nullptr && migration_->gives_connections();
  end_unfinished(gives_connections);
  const bool told =
      parts_.engine.session_count() == 0 && (!parts_.engine.has_lingering() || now >= linger_until_);
  // Idle connections are where the last polls come from: only when no session is left that wants one.
  const bool ends_idle = told && !gives_connections;
  more_idle_ = ends_idle && !parts_.http.end_idle(parts_.allowance);
  const bool empty = told && parts_.clients.is_empty();
  if ((empty && has_nothing_unsent()) || departure_->is_over(now)) return finish();
  if (progress_at_ > now) return;
  progress_at_ = now + kProgressInterval;
  report_progress();
}

void Shutdown::go_on_moving() {
  const loop::TimePoint now = parts_.clock.now();
  if (parts_.engine.session_count() > 0) close_due_sessions();
  migration::Giver* const giver = migration_->giver();
  end_unfinished(giver != nullptr && !giver->broken());
  const bool gone = parts_.engine.session_count() == 0 && !parts_.engine.has_lingering();
  const bool given = gone && giver != nullptr && !giver->broken() && giver->settled();
  if (given) giver->finish();
  const bool all_quiet = given && parts_.clients.is_empty() && !peers_->rings().deferred() &&
                         parts_.socketio.awaited_replies() == 0 && !migration_->has_predecessor();
  if (all_quiet || departure_->is_over(now)) return finish();
  if (progress_at_ > now && !(given && !std::exchange(told_empty_, true))) return;
  progress_at_ = now + kProgressInterval;
  report_progress();
}

void Shutdown::finish() {
  parts_.socketio.give_up_moved_replies();
  over_ = true;
}

bool Shutdown::has_work() const noexcept {
  if (!departure_) return false;
  return more_idle_ || more_unfinished_ || (departure_->owes() && parts_.engine.session_count() > 0);
}

loop::TimePoint Shutdown::next_deadline() const noexcept {
  if (!departure_) return loop::TimePoint::max();
  const loop::TimePoint now = parts_.clock.now();
  const loop::TimePoint next = std::min(departure_->next_due(now), progress_at_);
  return is_draining() && now < linger_until_ ? std::min(next, linger_until_) : next;
}

}  // namespace limpet::process
