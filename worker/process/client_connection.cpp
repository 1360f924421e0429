#include "worker/process/client_connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <utility>

#include "worker/process/clients.h"

namespace limpet::process {
namespace {

/// Buffers handed to one sendmsg(2); Linux takes 1,024.
constexpr std::size_t kMaxVectors = 256;

bool would_block(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

ClientConnection::ClientConnection(Clients& clients, ipc::Descriptor socket, const PeerAddress& peer,
                                   std::uint16_t listener)
    : clients_(clients), socket_(std::move(socket)), listener_(listener), peer_(peer) {}

ClientConnection::~ClientConnection() {
  if (rest_ != nullptr) clients_.give_back(std::move(rest_));
}

void ClientConnection::send(http::Buffer bytes) {
  if (state_ != State::Open || bytes.size() == 0) return;
  const std::size_t unsent = unsent_ + bytes.size();
  if (unsent > clients_.limits_.send_queue_bytes) [[unlikely]] {
    clients_.counters_.add(ipc::Counter::SessionsDropped);
    die(ENOBUFS);
    return;
  }
  unsent_ = static_cast<std::uint32_t>(unsent);
  if (!first_) {
    first_ = std::move(bytes);
  } else {
    if (rest_ == nullptr) rest_ = clients_.take_queue();
    rest_->frames.push_back(std::move(bytes));
  }
  if (!dirty_) {
    dirty_ = true;
    clients_.dirty_.push_back(this);
  }
}

void ClientConnection::take_from(const char* unread, std::optional<std::uint16_t> to_slot) noexcept {
  set_receiver(nullptr);
  clients_.taken_from_ = unread;
  if (to_slot) moving_to_ = *to_slot;
}

void ClientConnection::finish() {
  if (state_ != State::Open) return;
  state_ = State::Finishing;
  clients_.put_in_list(*this, Clients::kFinishing);
  if (!dirty_) {
    dirty_ = true;
    clients_.dirty_.push_back(this);
  }
}

void ClientConnection::abort() { die(ECONNABORTED); }

void ClientConnection::pause_reading(bool paused) {
  if (paused_ == paused) return;
  paused_ = paused;
  if (paused || state_ != State::Open) return;
  // Masked while it was paused and bytes came; see on_ready.
  if ((watched_ & EPOLLIN) == 0) watch(watched_ | EPOLLIN);
  if (unread_ != nullptr && !redeliver_) {
    redeliver_ = true;
    clients_.redeliver_.push_back(this);
  }
}

bool ClientConnection::may_go_on(std::uint32_t) { return true; }

void ClientConnection::set_waiting(Waiting what) {
  if (state_ != State::Open) return;
  if (what == waiting_ && what == Waiting::Nothing) return;
  if (one_request_ && what == Waiting::NextRequest) return finish();
  waiting_ = what;
  clients_.put_in_list(*this, static_cast<std::size_t>(what));
}

void ClientConnection::on_ready(std::uint32_t events) {
  if (state_ == State::Dead) return;
  if ((events & EPOLLOUT) != 0 && !dirty_) {
    dirty_ = true;
    clients_.dirty_.push_back(this);
  }
  if (state_ == State::Finishing || state_ == State::Leaving) {
    // Only what is queued counts now; flush() watches for nothing but room.
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) die(ECONNRESET);
    return;
  }
  if (state_ == State::Lingering) {
    discard_input();
    return;
  }
  if (paused_) {
    // Nobody wants bytes now. The peer's end is told all the same: a parked poll must not outlive its client.
    if ((events & EPOLLERR) != 0) {
      die(ECONNRESET);
    } else if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0) {
      end_of_input();
    } else if ((events & EPOLLIN) != 0) {
      watch(watched_ & ~static_cast<std::uint32_t>(EPOLLIN));
    }
    return;
  }
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) read();
}

void ClientConnection::read() {
  auto& buffer = *clients_.read_buffer_;
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (got > 0) {
    clients_.counters_.add(ipc::Counter::BytesIn, static_cast<std::uint64_t>(got));
    deliver({buffer.data(), static_cast<std::size_t>(got)});
  } else if (got == 0) {
    end_of_input();
  } else if (!would_block(errno)) {
    die(errno);
  }
}

void ClientConnection::deliver(std::span<char> fresh) {
  if (unread_ == nullptr) {
    const std::size_t consumed = feed(fresh);
    keep_unread(fresh.subspan(consumed));
    return;
  }
  // Swapped out while the receiver works on them: it may move the connection away, which reads unread_.
  const auto bytes = std::move(unread_);
  bytes->insert(bytes->end(), fresh.begin(), fresh.end());
  const std::size_t consumed = feed(*bytes);
  keep_unread(std::span(*bytes).subspan(consumed));
}

std::size_t ClientConnection::feed(std::span<char> bytes) {
  std::size_t consumed = 0;
  while (consumed < bytes.size() && state_ == State::Open && !paused_ && receiver() != nullptr) {
    http::StreamReceiver* const before = receiver();
    const std::size_t taken = before->on_bytes(*this, bytes.subspan(consumed));
    const char* const from = std::exchange(clients_.taken_from_, nullptr);
    consumed = from == nullptr ? consumed + taken : static_cast<std::size_t>(from - bytes.data());
    // A receiver takes all it can; a new one (an upgrade) is asked as well.
    if (receiver() == before) break;
  }
  return consumed;
}

void ClientConnection::keep_unread(std::span<char> rest) {
  if (state_ != State::Open) return;
  if (moving_to_ != kStays) return leave(rest);
  if (!rest.empty()) unread_ = std::make_unique<std::vector<char>>(rest.begin(), rest.end());
}

void ClientConnection::leave(std::span<char> unread) {
  // Answers to requests before this one: whoever has the socket next does not know of them.
  if (write()) return move_away({unread.data(), unread.size()});
  if (state_ == State::Dead) return;
  state_ = State::Leaving;
  unread_ = std::make_unique<std::vector<char>>(unread.begin(), unread.end());
  watch(EPOLLOUT);
  clients_.put_in_list(*this, Clients::kFinishing);
}

void ClientConnection::move_away(std::string_view unread) {
  clients_.poller_.remove(socket_.get());
  clients_.mover_(std::move(socket_), *this, moving_to_, unread);
  taken_away_ = true;
  die(0);
}

ClientConnection::Detached ClientConnection::detach() {
  Detached detached;
  if (unread_ != nullptr) detached.unread.assign(unread_->begin(), unread_->end());
  detached.unsent = first_.view().substr(sent_of_first_);
  if (rest_ != nullptr)
    for (const http::Buffer& frame : rest_->frames) detached.unsent += frame.view();
  clients_.poller_.remove(socket_.get());
  detached.socket = std::move(socket_);
  taken_away_ = true;
  die(0);
  return detached;
}

void ClientConnection::end_of_input() {
  // Perhaps only half closed: a peer that reads on gets what is queued.
  if (unsent_ == 0) return die(0);
  finish();
}

void ClientConnection::discard_input() {
  auto& buffer = *clients_.read_buffer_;
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (got > 0 || (got < 0 && would_block(errno))) return;
  die(got == 0 ? 0 : errno);
}

bool ClientConnection::write() {
  while (first_) {
    if (rest_ != nullptr) {
      if (!write_many()) return false;
      continue;
    }
    const std::string_view bytes = first_.view().substr(sent_of_first_);
    if (!note_written(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), bytes.size()))
      return false;
  }
  return true;
}

bool ClientConnection::write_many() {
  if (unsent_ <= Clients::kGatherBytes) {
    const std::string_view bytes = clients_.gather(*this);
    return note_written(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), bytes.size());
  }
  std::array<iovec, kMaxVectors> vectors;
  const auto entry = [](std::string_view bytes) {
    return iovec{const_cast<char*>(bytes.data()), bytes.size()};
  };
  vectors[0] = entry(first_.view().substr(sent_of_first_));
  std::size_t total = vectors[0].iov_len;
  std::size_t count = 1;
  for (const http::Buffer& frame : rest_->frames) {
    if (count == kMaxVectors) break;
    vectors[count] = entry(frame.view());
    total += vectors[count++].iov_len;
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = count;
  return note_written(::sendmsg(socket_.get(), &message, MSG_NOSIGNAL), total);
}

bool ClientConnection::note_written(ssize_t written, std::size_t wanted) {
  if (written < 0) {
    if (!would_block(errno)) die(errno);
    return false;
  }
  drop_written(static_cast<std::size_t>(written));
  return static_cast<std::size_t>(written) == wanted;
}

void ClientConnection::drop_written(std::size_t written) {
  clients_.counters_.add(ipc::Counter::BytesOut, written);
  if (written == unsent_) {
    unsent_ = 0;
    sent_of_first_ = 0;
    first_ = {};
    if (rest_ != nullptr) clients_.give_back(std::move(rest_));
    return;
  }
  unsent_ -= static_cast<std::uint32_t>(written);
  written += sent_of_first_;
  sent_of_first_ = 0;
  if (written < first_.size()) {
    sent_of_first_ = static_cast<std::uint32_t>(written);
    return;
  }
  written -= first_.size();
  first_ = {};
  if (rest_ == nullptr) return;
  auto& frames = rest_->frames;
  auto keep = frames.begin();
  while (keep != frames.end() && written >= keep->size()) written -= (keep++)->size();
  if (keep != frames.end()) {
    first_ = std::move(*keep++);
    sent_of_first_ = static_cast<std::uint32_t>(written);
  }
  frames.erase(frames.begin(), keep);
  if (frames.empty()) clients_.give_back(std::move(rest_));
}

void ClientConnection::die(int error) noexcept {
  if (state_ == State::Dead) return;
  state_ = State::Dead;
  error_ = static_cast<std::int16_t>(error);
  clients_.dead_.push_back(this);
}

void ClientConnection::watch(std::uint32_t events) noexcept {
  if (events == watched_) return;
  watched_ = events;
  clients_.poller_.modify(socket_.get(), events, *this);
}

}  // namespace limpet::process
