#include "worker/client/clients.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace limpet::client {
namespace {

/// How long a peer may take to close its end after ours; then it gets a reset.
constexpr std::chrono::milliseconds kLingerTimeout{2000};
/// A late body or answer is looked at so often.
constexpr std::chrono::milliseconds kLateInterval{1000};
/// Backlogs kept for reuse, and the most memory that the frames of one may take.
constexpr std::size_t kSpareBacklogs = 4096;
constexpr std::size_t kSpareBacklogBytes = 512;
/// What a connection costs while it is idle: itself, its HTTP connection, what the allocator adds.
constexpr std::ptrdiff_t kConnectionBytes = 512;

// What pieces of work cost (loop/allowance.h).
constexpr std::uint32_t kUnitsOfWrite = 4;
constexpr std::uint32_t kUnitsOfEnd = 8;
constexpr std::uint32_t kUnitsOfBurial = 2;

}  // namespace

Clients::Clients(loop::Poller& poller, loop::Clock& clock, loop::Allowance& allowance,
                 loop::MemoryTotal& memory, ipc::CounterBlock& counters, const Limits& limits,
                 const std::vector<ListenerSettings>& listeners)
    : poller_(poller),
      clock_(clock),
      allowance_(allowance),
      memory_(memory),
      accounts_(memory),
      counters_(counters),
      limits_(limits),
      read_buffer_(std::make_unique<std::array<char, 64 * 1024>>()) {
  const auto add = [this](const auto& from) {
    lists_.push_back(
        std::make_unique<Lists>(Lists{from.header_timeout, from.body_timeout, from.idle_timeout, {}}));
  };
  for (const ListenerSettings& each : listeners) add(each);
  add(limits);
}

Clients::~Clients() { close_all(); }

ClientConnection* Clients::adopt(base::Descriptor socket, const PeerAddress& peer, std::uint16_t listener,
                                 std::string_view unread) {
  const int number = socket.get();
  auto connection = std::make_unique<ClientConnection>(*this, std::move(socket), peer, listener);
  connection->watched_ = EPOLLIN | EPOLLRDHUP;
  if (!poller_.add(number, connection->watched_, *connection)) return nullptr;
  put_in_list(*connection, static_cast<std::size_t>(loop::Stream::Waiting::Nothing));
  if (!unread.empty()) {
    connection->backlog().unread.assign(unread.begin(), unread.end());
    connection->note_account();
    connection->redeliver_ = true;
    redeliver_.push_back(connection.get());
  }
  memory_.add(kConnectionBytes);
  ++open_;
  return connection.release();  // lives in its list; bury() destroys it
}

void Clients::redeliver() {
  // Those that are here now: a receiver that has to wait again is behind the others, and for the next turn.
  std::size_t visits = redeliver_.size();
  while (visits-- > 0 && allowance_.take()) {
    ClientConnection* const connection = redeliver_.pop_front();
    connection->redeliver_ = false;
    if (connection->state_ != ClientConnection::State::Open || connection->paused_) continue;
    if (connection->backlog_ != nullptr && connection->backlog_->has_unread()) connection->deliver({});
  }
}

void Clients::flush() {
  // Writing may queue nothing, and on_writable may: those connections are appended and written in this same
  // call; so are those that want to write more than others should wait for.
  constexpr std::size_t kAhead = 4;  // connections lie scattered: ask for those that come soon
  std::size_t done = 0;
  for (; done < dirty_.size() && allowance_.take(kUnitsOfWrite); ++done) {
    if (done + kAhead < dirty_.size()) __builtin_prefetch(&dirty_[done + kAhead]->first_, 1);
    ClientConnection& connection = *dirty_[done];
    connection.dirty_ = false;
    if (connection.state_ == ClientConnection::State::Dead) continue;
    const std::size_t unsent_before = connection.unsent_;
    const ClientConnection::Written written = connection.write();
    if (connection.state_ != ClientConnection::State::Dead) settle(connection, written, unsent_before);
  }
  dirty_.drop(done);
  gathered_frames_.clear();
}

void Clients::settle(ClientConnection& connection, ClientConnection::Written written,
                     std::size_t unsent_before) {
  if (written == ClientConnection::Written::All) return all_is_written(connection);
  connection.told_unwritable_ = true;
  if (written == ClientConnection::Written::Later) connection.make_dirty();
  wait_for_room(connection, connection.unsent_ < unsent_before);
}

void Clients::wait_for_room(ClientConnection& connection, bool some_was_taken) {
  const bool open = connection.state_ == ClientConnection::State::Open;
  if (!connection.dirty_) connection.watch(open ? connection.watched_ | EPOLLOUT : EPOLLOUT);
  if (open && !connection.taking_ && connection.waiting_ == loop::Stream::Waiting::NextRequest) {
    connection.taking_ = true;
    connection.moved_ = 0;
    put_in_list(connection, kTaking);
  }
  Backlog& backlog = connection.backlog();
  connection.note_account();
  if (connection.unsent_ <= limits_.send_queue_bytes) return connection.drop_empty_backlog();
  if (backlog.is_linked() && !some_was_taken) return;
  backlog.unlink();
  backlog.progress_at = clock_.now();
  stalling_.push_back(backlog);
}

void Clients::all_is_written(ClientConnection& connection) {
  using State = ClientConnection::State;
  if (connection.state_ == State::Leaving) {
    const std::span<char> unread = connection.backlog().unread_bytes();
    return connection.move_away({unread.data(), unread.size()});
  }
  connection.watch(connection.watched_ & ~static_cast<std::uint32_t>(EPOLLOUT));
  if (connection.state_ == State::Finishing) {
    ::shutdown(connection.socket_.get(), SHUT_WR);
    connection.state_ = State::Lingering;
    connection.watch(EPOLLIN | EPOLLRDHUP);
    put_in_list(connection, kLingering);
  } else if (connection.told_unwritable_) {
    connection.told_unwritable_ = false;
    // Whoever took its answer until now is not idle since before.
    if (connection.taking_) put_in_list(connection, static_cast<std::size_t>(connection.waiting_));
    connection.taking_ = false;
    if (connection.receiver() != nullptr) connection.receiver()->on_writable(connection);
  }
}

void Clients::check_deadlines() {
  for (const auto& lists : lists_)
    for (std::size_t waiting = 0; waiting < kWaitings; ++waiting) check(waiting, *lists);
  check_stalled();
}

void Clients::check(std::size_t waiting, Lists& lists) {
  const auto timeout = lists.timeout_of(waiting);
  if (timeout == std::chrono::milliseconds::max()) return;
  List& list = lists.by_waiting[waiting];
  while (!list.empty() && waited(list.front()) >= timeout && allowance_.take(kUnitsOfEnd))
    time_out(list.front(), waiting);
}

/// It leaves the front of its list.
void Clients::time_out(ClientConnection& connection, std::size_t waiting) {
  if (waiting == kLingering) return connection.die(ETIMEDOUT);
  if (waiting == kLate) return check_late(connection);
  const bool moves = waiting == static_cast<std::size_t>(loop::Stream::Waiting::Body) ||
                     waiting == kFinishing || waiting == kTaking;
  if (moves && connection.moved_ >= limits_.min_rate) return put_in_list(connection, kLate);
  if (moves && connection.moved_ > 0) note_drop(connection, ipc::Counter::DroppedSlow);
  end_for(connection, ipc::Counter::ConnectionsTimedOut);
}

/// Each second costs as many bytes as must move in it; what had moved before is there to be spent.
void Clients::check_late(ClientConnection& connection) {
  const auto cost = static_cast<std::uint64_t>(waited(connection).count()) * limits_.min_rate / 1000;
  if (connection.moved_ < cost) {
    counters_.add(ipc::Counter::ConnectionsTimedOut);
    return end_for(connection, ipc::Counter::DroppedSlow);
  }
  connection.moved_ -= static_cast<std::uint32_t>(cost);
  put_in_list(connection, kLate);
}

void Clients::end_for(ClientConnection& connection, ipc::Counter cause) {
  note_drop(connection, cause);
  connection.die(ETIMEDOUT);
}

/// Counted by its cause, and told in the log now and then; a time-out alone is no news.
void Clients::note_drop(const ClientConnection& connection, ipc::Counter cause) {
  counters_.add(cause);
  if (cause == ipc::Counter::ConnectionsTimedOut) return;
  base::log_at_most(drops_, clock_.now(), base::LogLevel::Warning, [&] {
    const ipc::CounterRow& row = ipc::kCounters[static_cast<std::size_t>(cause)];
    return fmt::format("client {}: {}: {}", connection.peer().text(), row.name, row.help);
  });
}

void Clients::check_stalled() {
  while (!stalling_.empty() && stalling_.front().progress_at + limits_.send_stall <= clock_.now() &&
         allowance_.take(kUnitsOfEnd)) {
    ClientConnection& connection = *stalling_.front().connection;
    stalling_.pop_front();
    if (connection.state_ == ClientConnection::State::Dead) continue;
    counters_.add(ipc::Counter::SessionsDropped);
    end_for(connection, ipc::Counter::DroppedStalled);
  }
}

void Clients::shed_largest() {
  ClientConnection& connection = *accounts_.largest();
  accounts_.forget(connection, connection.backlog().noted);
  // One that has been told goes on until its last frame is sent, and may be the largest once more.
  if (connection.state_ == ClientConnection::State::Open) note_drop(connection, ipc::Counter::ShedForMemory);
  if (connection.receiver() != nullptr && connection.state_ == ClientConnection::State::Open) {
    connection.receiver()->on_shed(connection);
  } else {
    connection.abort();
  }
}

void Clients::bury() {
  for (std::size_t left = dead_.size(); left > 0 && allowance_.take(kUnitsOfBurial); --left) {
    ClientConnection* const connection = dead_.pop_front();
    const std::size_t others = dead_.size();
    tell_end(*connection);
    left += dead_.size() - others;  // whom its receiver has ended
    destroy_unless_listed(connection);
  }
  released_.free_some(allowance_);
  counters_.set(ipc::Counter::ConnectionsOpen, open());
}

void Clients::tell_end(ClientConnection& connection) {
  if (connection.taken_away_ || connection.receiver() == nullptr) return;
  connection.taken_away_ = true;  // once, however often it is looked at
  connection.receiver()->on_closed(connection, connection.error_);
}

void Clients::destroy_unless_listed(ClientConnection* connection) {
  // A list of the turn still names it: that is worked off first.
  if (connection->dirty_ || connection->redeliver_) return dead_.push_back(connection);
  if (connection->counted() && on_uncounted_) on_uncounted_(*connection);
  --open_;
  memory_.add(-kConnectionBytes);
  delete connection;
}

void Clients::close_all() {
  for (const auto& lists : lists_) {
    for (List& list : lists->by_waiting)
      while (!list.empty()) list.front().die(0);
  }
  while (!dead_.empty()) {
    for (loop::Fifo<ClientConnection*>* list : {&dirty_, &redeliver_}) {
      for (ClientConnection* connection : *list) connection->dirty_ = connection->redeliver_ = false;
      list->clear();
    }
    ClientConnection* const connection = dead_.pop_front();
    tell_end(*connection);
    destroy_unless_listed(connection);
  }
}

void Clients::limit_header_timeouts(std::chrono::milliseconds most) {
  for (const auto& lists : lists_) lists->header_timeout = std::min(lists->header_timeout, most);
}

loop::TimePoint Clients::next_deadline() const noexcept {
  auto next = loop::TimePoint::max();
  for (const auto& lists : lists_) {
    for (std::size_t waiting = 0; waiting < kWaitings; ++waiting) {
      const auto timeout = lists->timeout_of(waiting);
      if (timeout == std::chrono::milliseconds::max() || lists->by_waiting[waiting].empty()) continue;
      next = std::min(next, clock_.now() + timeout - waited(lists->by_waiting[waiting].front()));
    }
  }
  if (!stalling_.empty()) next = std::min(next, stalling_.front().progress_at + limits_.send_stall);
  return next;
}

std::chrono::milliseconds Clients::Lists::timeout_of(std::size_t waiting) const noexcept {
  if (waiting == kLingering) return kLingerTimeout;
  if (waiting == kLate) return kLateInterval;
  if (waiting == kFinishing || waiting == kTaking) return body_timeout;
  switch (static_cast<loop::Stream::Waiting>(waiting)) {
    case loop::Stream::Waiting::Header:
      return header_timeout;
    case loop::Stream::Waiting::Body:
      return body_timeout;
    case loop::Stream::Waiting::NextRequest:
      return idle_timeout;
    case loop::Stream::Waiting::Response:
    case loop::Stream::Waiting::Nothing:
      break;
  }
  return std::chrono::milliseconds::max();
}

void Clients::put_in_list(ClientConnection& connection, std::size_t waiting) {
  connection.unlink();
  connection.waiting_since_ = milliseconds();
  lists_of(connection).by_waiting[waiting].push_back(connection);
}

/// Of this process's clock, and of a time that began at any time: 32 bits suffice for what has a time-out,
/// for the difference is right whatever the two have become. Rounded up, so that nobody is early.
std::uint32_t Clients::milliseconds() const noexcept {
  const auto now = std::chrono::ceil<std::chrono::milliseconds>(clock_.now().time_since_epoch());
  return static_cast<std::uint32_t>(now.count());
}

std::chrono::milliseconds Clients::waited(const ClientConnection& connection) const noexcept {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(clock_.now().time_since_epoch());
  const auto passed =
      static_cast<std::int32_t>(static_cast<std::uint32_t>(now.count()) - connection.waiting_since_);
  return std::chrono::milliseconds(std::max(passed, 0));
}

Clients::Lists& Clients::lists_of(const ClientConnection& connection) noexcept {
  return *lists_[std::min<std::size_t>(connection.listener_, lists_.size() - 1)];
}

std::string_view Clients::gather(const ClientConnection& connection) {
  const auto& rest = connection.backlog_->frames;
  const auto same = [](const loop::Buffer& a, const loop::Buffer& b) {
    return a.view().data() == b.view().data();
  };
  const bool made_already = connection.sent_of_first_ == 0 && gathered_frames_.size() == rest.size() + 1 &&
                            same(gathered_frames_.front(), connection.first_) &&
                            std::equal(rest.begin(), rest.end(), gathered_frames_.begin() + 1, same);
  if (made_already) return gathered_;
  gathered_.assign(connection.first_.view().substr(connection.sent_of_first_));
  for (const loop::Buffer& frame : rest) gathered_.append(frame.view());
  gathered_frames_.clear();
  // Worth remembering only if somebody else has the frames too.
  if (connection.sent_of_first_ == 0 && connection.first_.shared()) {
    gathered_frames_.push_back(connection.first_);
    gathered_frames_.insert(gathered_frames_.end(), rest.begin(), rest.end());
  }
  return gathered_;
}

std::unique_ptr<Backlog> Clients::take_backlog(ClientConnection& connection) {
  if (spare_backlogs_.empty()) return std::make_unique<Backlog>(connection);
  auto backlog = std::move(spare_backlogs_.back());
  spare_backlogs_.pop_back();
  backlog->connection = &connection;
  return backlog;
}

void Clients::give_back(std::unique_ptr<Backlog> backlog) {
  accounts_.forget(*backlog->connection, backlog->noted);
  backlog->unlink();
  // A short one keeps its block for the next connection.
  if (backlog->frames.size() > loop::ReleasedFrames::kAtOnce)
    released_.add(std::exchange(backlog->frames, {}), backlog->connection->unsent_bytes());
  if (spare_backlogs_.size() >= kSpareBacklogs || backlog->frames.footprint() > kSpareBacklogBytes) return;
  backlog->frames.clear();
  backlog->files.clear();
  backlog->unread = std::vector<char>();  // and not {}, by which it would keep its memory
  backlog->unread_begin = backlog->answers = backlog->held = 0;
  spare_backlogs_.push_back(std::move(backlog));
}

}  // namespace limpet::client
