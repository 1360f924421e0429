#include "worker/process/clients.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

namespace limpet::process {
namespace {

/// How long a peer may take to close its end after ours; then it gets a reset.
constexpr std::chrono::milliseconds kLingerTimeout{2000};
/// Queues kept for reuse, and the most frames one may have had room for.
constexpr std::size_t kSpareQueues = 4096;
constexpr std::size_t kSpareQueueFrames = 64;

}  // namespace

Clients::Clients(Poller& poller, http::Clock& clock, ipc::CounterBlock& counters,
                 const Settings::Limits& limits, const std::vector<Settings::Listener>& listeners)
    : poller_(poller),
      clock_(clock),
      counters_(counters),
      limits_(limits),
      read_buffer_(std::make_unique<std::array<char, 64 * 1024>>()) {
  const auto add = [this](const auto& from) {
    lists_.push_back(
        std::make_unique<Lists>(Lists{from.header_timeout, from.body_timeout, from.idle_timeout, {}}));
  };
  for (const Settings::Listener& each : listeners) add(each);
  add(limits);
}

Clients::~Clients() { close_all(); }

ClientConnection* Clients::adopt(ipc::Descriptor socket, const PeerAddress& peer, std::uint16_t listener,
                                 std::string_view unread) {
  const int number = socket.get();
  auto connection = std::make_unique<ClientConnection>(*this, std::move(socket), peer, listener);
  connection->watched_ = EPOLLIN | EPOLLRDHUP;
  if (!poller_.add(number, connection->watched_, *connection)) return nullptr;
  put_in_list(*connection, static_cast<std::size_t>(http::Stream::Waiting::Nothing));
  if (!unread.empty()) {
    connection->unread_ = std::make_unique<std::vector<char>>(unread.begin(), unread.end());
    connection->redeliver_ = true;
    redeliver_.push_back(connection.get());
  }
  counters_.set(ipc::Counter::ConnectionsOpen, ++open_);
  return connection.release();  // lives in its list; bury() destroys it
}

void Clients::redeliver() {
  resumed_.swap(redeliver_);  // a receiver may pause and resume its stream again: that is for the next turn
  for (ClientConnection* connection : resumed_) {
    connection->redeliver_ = false;
    if (connection->state_ != ClientConnection::State::Open || connection->paused_) continue;
    if (connection->unread_ != nullptr) connection->deliver({});
  }
  resumed_.clear();
}

void Clients::flush() {
  // write() may queue nothing, and on_writable may: those connections are appended and written in this same
  // call.
  constexpr std::size_t kAhead = 4;  // connections lie scattered: ask for those that come soon
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    if (i + kAhead < dirty_.size()) __builtin_prefetch(&dirty_[i + kAhead]->first_, 1);
    ClientConnection& connection = *dirty_[i];
    connection.dirty_ = false;
    if (connection.state_ == ClientConnection::State::Dead) continue;
    const std::size_t unsent_before = connection.unsent_;
    const bool all = connection.write();
    if (connection.state_ == ClientConnection::State::Dead) continue;
    if (!all) {
      connection.told_unwritable_ = true;
      const bool open = connection.state_ == ClientConnection::State::Open;
      connection.watch(open ? connection.watched_ | EPOLLOUT : EPOLLOUT);
      if (connection.unsent_ < unsent_before) count_from_now(connection);
      continue;
    }
    if (connection.state_ == ClientConnection::State::Leaving) {
      connection.move_away({connection.unread_->data(), connection.unread_->size()});
      continue;
    }
    connection.watch(connection.watched_ & ~static_cast<std::uint32_t>(EPOLLOUT));
    if (connection.state_ == ClientConnection::State::Finishing) {
      ::shutdown(connection.socket_.get(), SHUT_WR);
      connection.state_ = ClientConnection::State::Lingering;
      connection.watch(EPOLLIN | EPOLLRDHUP);
      put_in_list(connection, kLingering);
    } else if (connection.told_unwritable_) {
      connection.told_unwritable_ = false;
      count_from_now(connection);
      if (connection.receiver() != nullptr) connection.receiver()->on_writable(connection);
    }
  }
  dirty_.clear();
  gathered_frames_.clear();
}

/// A peer that takes bytes is neither gone nor idle: what it waits for, or we for it, begins with the last
/// byte.
void Clients::count_from_now(ClientConnection& connection) {
  if (connection.state_ != ClientConnection::State::Open) {
    put_in_list(connection, kFinishing);
  } else if (connection.waiting_ == http::Stream::Waiting::NextRequest) {
    put_in_list(connection, static_cast<std::size_t>(connection.waiting_));
  }
}

void Clients::check_deadlines() {
  for (const auto& lists : lists_) {
    for (std::size_t waiting = 0; waiting < kWaitings; ++waiting) {
      const auto timeout = lists->timeout_of(waiting);
      if (timeout == std::chrono::milliseconds::max()) continue;
      for (ClientConnection& connection : lists->by_waiting[waiting]) {
        if (connection.waiting_since_ + timeout > clock_.now()) break;
        if (connection.state_ == ClientConnection::State::Dead) continue;
        if (waiting != kLingering) counters_.add(ipc::Counter::ConnectionsTimedOut);
        connection.die(ETIMEDOUT);
      }
    }
  }
}

void Clients::bury() {
  for (std::size_t i = 0; i < dead_.size(); ++i) {
    ClientConnection* const connection = dead_[i];
    if (!connection->taken_away_) {
      if (connection->receiver() != nullptr)
        connection->receiver()->on_closed(*connection, connection->error_);
      poller_.remove(connection->socket_.get());
    }
    counters_.set(ipc::Counter::ConnectionsOpen, --open_);
  }
  // on_closed may have made others dirty or resumed them, but never a dead one: those are safe to destroy
  // now.
  const auto is_dead = [](const ClientConnection* c) { return c->state_ == ClientConnection::State::Dead; };
  if (!dead_.empty()) {
    std::erase_if(dirty_, is_dead);
    std::erase_if(redeliver_, is_dead);
  }
  for (ClientConnection* connection : dead_) delete connection;
  dead_.clear();
}

void Clients::close_all() {
  for (const auto& lists : lists_) {
    for (List& list : lists->by_waiting) {
      for (ClientConnection& connection : list) connection.die(0);
    }
  }
  bury();
}

http::TimePoint Clients::next_deadline() const noexcept {
  auto next = http::TimePoint::max();
  for (const auto& lists : lists_) {
    for (std::size_t waiting = 0; waiting < kWaitings; ++waiting) {
      const auto timeout = lists->timeout_of(waiting);
      if (timeout == std::chrono::milliseconds::max() || lists->by_waiting[waiting].empty()) continue;
      next = std::min(next, lists->by_waiting[waiting].front().waiting_since_ + timeout);
    }
  }
  return next;
}

std::chrono::milliseconds Clients::Lists::timeout_of(std::size_t waiting) const noexcept {
  if (waiting == kLingering) return kLingerTimeout;
  if (waiting == kFinishing) return body_timeout;
  switch (static_cast<http::Stream::Waiting>(waiting)) {
    case http::Stream::Waiting::Header:
      return header_timeout;
    case http::Stream::Waiting::Body:
      return body_timeout;
    case http::Stream::Waiting::NextRequest:
      return idle_timeout;
    case http::Stream::Waiting::Response:
    case http::Stream::Waiting::Nothing:
      break;
  }
  return std::chrono::milliseconds::max();
}

void Clients::put_in_list(ClientConnection& connection, std::size_t waiting) {
  connection.unlink();
  connection.waiting_since_ = clock_.now();
  Lists& lists = *lists_[std::min<std::size_t>(connection.listener_, lists_.size() - 1)];
  lists.by_waiting[waiting].push_back(connection);
}

std::string_view Clients::gather(const ClientConnection& connection) {
  const auto& rest = connection.rest_->frames;
  const auto same = [](const http::Buffer& a, const http::Buffer& b) {
    return a.view().data() == b.view().data();
  };
  const bool made_already = connection.sent_of_first_ == 0 && gathered_frames_.size() == rest.size() + 1 &&
                            same(gathered_frames_.front(), connection.first_) &&
                            std::equal(rest.begin(), rest.end(), gathered_frames_.begin() + 1, same);
  if (made_already) return gathered_;
  gathered_.assign(connection.first_.view().substr(connection.sent_of_first_));
  for (const http::Buffer& frame : rest) gathered_.append(frame.view());
  gathered_frames_.clear();
  // Worth remembering only if somebody else has the frames too.
  if (connection.sent_of_first_ == 0 && connection.first_.shared()) {
    gathered_frames_.push_back(connection.first_);
    gathered_frames_.insert(gathered_frames_.end(), rest.begin(), rest.end());
  }
  return gathered_;
}

std::unique_ptr<ClientConnection::Queue> Clients::take_queue() {
  if (spare_queues_.empty()) return std::make_unique<ClientConnection::Queue>();
  auto queue = std::move(spare_queues_.back());
  spare_queues_.pop_back();
  return queue;
}

void Clients::give_back(std::unique_ptr<ClientConnection::Queue> queue) {
  queue->frames.clear();
  if (spare_queues_.size() < kSpareQueues && queue->frames.capacity() <= kSpareQueueFrames) {
    spare_queues_.push_back(std::move(queue));
  }
}

}  // namespace limpet::process
