#include "worker/client/client_connection.h"

#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <limits>
#include <utility>

#include "base/pages.h"
#include "worker/client/clients.h"
#include "worker/http/server.h"

namespace limpet::client {
namespace {

/// Buffers handed to one sendmsg(2); Linux takes 1,024.
constexpr std::size_t kMaxVectors = 256;
/// What one connection writes before others have their turn.
constexpr std::size_t kMaxWritten = 256 * 1024;
constexpr int kMaxWrites = 4;
/// The same of a file.
constexpr std::uint64_t kMaxFileWritten = 512 * 1024;
/// Frames that were sent and are let go, for one unit.
constexpr std::uint32_t kSentFramesOfUnit = 2;
/// A connection that owes its client more than this does not travel: first it sends that.
constexpr std::size_t kMaxMovedUnsent = 64 * 1024;
/// What a queued buffer costs beside its bytes: its handle, and its block if nobody shares it.
constexpr std::size_t kBufferCost = 48;
/// Unsent answers to its own input at which a connection is read no more, and below which it is again.
constexpr std::size_t kMostAnswers = 256 * 1024;
constexpr std::size_t kFewAnswers = kMostAnswers / 2;
/// A connection with more than these times limits.send_queue unsent is dropped at once.
constexpr std::size_t kOverfull = 4;
/// One recv(2) of up to 64 KiB.
constexpr std::uint32_t kUnitsOfRead = 4;
/// Unread bytes are moved to the front of their memory when at least so many were consumed, and half of all.
constexpr std::size_t kWorthMoving = 64 * 1024;

constexpr std::uint32_t kInput = EPOLLIN | EPOLLRDHUP;

bool would_block(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

ClientConnection::ClientConnection(Clients& clients, base::Descriptor socket, const PeerAddress& peer,
                                   std::uint16_t listener)
    : clients_(clients), socket_(std::move(socket)), peer_(peer), listener_(listener) {}

ClientConnection::~ClientConnection() {
  if (backlog_ != nullptr) clients_.give_back(std::move(backlog_));
}

void ClientConnection::send(loop::Buffer bytes) {
  if (state_ != State::Open || bytes.size() == 0) return;
  if (unsent_ > clients_.limits_.send_queue_bytes && !has_room()) [[unlikely]]
    return;
  unsent_ += bytes.size();
  if (!first_) {
    first_ = std::move(bytes);
  } else {
    Backlog& more = backlog();
    if (clients_.visited_ == this) more.answers += bytes.size() + kBufferCost;
    more.frames.push_back(std::move(bytes));
    // Small ones cost more than they have bytes: looked at now and then.
    if (more.frames.size() % 1024 == 0 && !has_room()) return;
  }
  make_dirty();
}

/// Limits are looked at before the next send(), as behind a single one of any size.
void ClientConnection::send_all(loop::LongFifo<loop::Buffer> frames, std::size_t bytes) {
  if (state_ != State::Open) return clients_.released_.add(std::move(frames), bytes);
  if (frames.empty()) return;
  unsent_ += bytes;
  if (!first_) first_ = frames.pop_front();
  // Few: answers to what it has sent.
  loop::LongFifo<loop::Buffer>& before = backlog().frames;
  for (std::size_t left = before.size(); left > 0; --left) frames.push_front(std::move(before[left - 1]));
  before = std::move(frames);
  drop_empty_backlog();
  make_dirty();
}

void ClientConnection::send_file(loop::FileRange range) {
  if (state_ != State::Open || range.length == 0) return;
  backlog().files.push_back(std::move(range));
  send(clients_.file_mark_);
}

bool ClientConnection::is_file_mark(const loop::Buffer& frame) const noexcept {
  return frame.view().data() == clients_.file_mark_.view().data();
}

bool ClientConnection::can_travel() const noexcept { return unsent_ <= kMaxMovedUnsent && !has_file(); }

void ClientConnection::make_dirty() {
  if (dirty_) return;
  dirty_ = true;
  clients_.dirty_.push_back(this);
}

/// What counts against limits.send_queue: not the buffer that is being written, for a single emit or answer
/// may have any size.
std::size_t ClientConnection::owed_bytes() const noexcept {
  if (backlog_ == nullptr) return 0;
  return unsent_ - (first_.size() - sent_of_first_) + backlog_->frames.size() * kBufferCost;
}

/// False: it is dropped. The kernel is asked first, because the limit is for what the client does not take,
/// not for what was queued in this turn.
bool ClientConnection::has_room() {
  const std::size_t most = kOverfull * clients_.limits_.send_queue_bytes;
  if (owed_bytes() <= most) return true;
  while (write() == Written::Later) {
  }
  if (state_ == State::Dead) return false;
  if (owed_bytes() <= most) return true;
  clients_.note_drop(*this, ipc::Counter::DroppedOverfull);
  clients_.counters_.add(ipc::Counter::SessionsDropped);
  die(ENOBUFS);
  return false;
}

void ClientConnection::take_from(const char* unread, Destination to) noexcept {
  set_receiver(nullptr);
  clients_.taken_from_ = unread;
  if (!to) return;
  moves_ = to.to;
  to_slot_ = to.slot;
  opens_session_ = to.opens_session;
}

void ClientConnection::finish() {
  if (state_ != State::Open) return;
  state_ = State::Finishing;
  moved_ = 0;
  clients_.put_in_list(*this, Clients::kFinishing);
  make_dirty();
}

void ClientConnection::abort() { die(ECONNABORTED); }

void ClientConnection::drop_unsent() {
  if (sent_of_first_ == 0) first_ = {};
  if (backlog_ != nullptr) {
    clients_.released_.add(std::exchange(backlog_->frames, {}), unsent_);
    backlog_->files.clear();
    backlog_->answers = 0;
  }
  unsent_ = first_.size() - sent_of_first_;
  note_account();
  drop_empty_backlog();
}

void ClientConnection::pause_reading(bool paused) {
  if (paused_ == paused) return;
  paused_ = paused;
  if (!paused && state_ == State::Open && !waits_for_room_) resume_reading();
}

void ClientConnection::resume_reading() {
  // Masked while nobody wanted bytes and some came; see on_ready.
  watch(watched_ | kInput);
  if (backlog_ == nullptr || !backlog_->has_unread() || redeliver_) return;
  redeliver_ = true;
  clients_.redeliver_.push_back(this);
}

bool ClientConnection::may_go_on(std::uint32_t units) {
  // One file at a time: each has a descriptor open.
  if (backlog_ != nullptr && (backlog_->answers > kMostAnswers || has_file())) {
    waits_for_room_ = yields_ = true;
    return false;
  }
  if (clients_.visit_units_ >= units && clients_.allowance_.take(units)) {
    clients_.visit_units_ -= units;
    return true;
  }
  yields_ = true;
  return false;
}

void ClientConnection::charge(std::uint32_t units) {
  clients_.visit_units_ -= std::min(units, clients_.visit_units_);
  (void)clients_.allowance_.take(units);
}

void ClientConnection::expect(std::size_t bytes) { clients_.expected_ = bytes; }

void ClientConnection::discount(std::size_t bytes) {
  if (waiting_ != Waiting::Body) return;
  moved_ -= static_cast<std::uint32_t>(std::min<std::size_t>(bytes, moved_));
}

void ClientConnection::hold(std::ptrdiff_t bytes) {
  if (state_ == State::Dead) return;
  backlog().held += static_cast<std::size_t>(bytes);
  note_account();
  drop_empty_backlog();
}

void ClientConnection::set_waiting(Waiting what) {
  if (state_ != State::Open) return;
  if (what == waiting_ && (what == Waiting::Nothing || what == Waiting::Body)) return;
  if (one_request_ && what == Waiting::NextRequest) return finish();
  waiting_ = what;
  taking_ = false;
  moved_ = 0;
  clients_.put_in_list(*this, static_cast<std::size_t>(what));
}

void ClientConnection::on_ready(std::uint32_t events) {
  if (state_ == State::Dead) return;
  if ((events & EPOLLOUT) != 0) make_dirty();
  if (state_ == State::Finishing || state_ == State::Leaving) {
    // Only what is queued counts now; flush() watches for nothing but room.
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) die(ECONNRESET);
    return;
  }
  if (state_ == State::Lingering) {
    discard_input();
    return;
  }
  if (waits_for_room_) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) die(ECONNRESET);
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
  // What it has is to be taken first; the kernel tells again.
  if (redeliver_) return;
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) read();
}

void ClientConnection::read() {
  if (!clients_.allowance_.take(kUnitsOfRead)) return;
  auto& buffer = *clients_.read_buffer_;
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (got > 0) {
    clients_.counters_.add(ipc::Counter::BytesIn, static_cast<std::uint64_t>(got));
    if (waiting_ == Waiting::Body) count_moved(static_cast<std::size_t>(got));
    (void)clients_.allowance_.take(loop::units_of_bytes(static_cast<std::size_t>(got)));
    deliver({buffer.data(), static_cast<std::size_t>(got)});
  } else if (got == 0) {
    end_of_input();
  } else if (!would_block(errno)) {
    die(errno);
  }
}

void ClientConnection::deliver(std::span<char> fresh) {
  clients_.visited_ = this;
  clients_.expected_ = 0;
  clients_.visit_units_ = fresh.empty() ? Clients::kUnitsOfVisit : Clients::kUnitsOfFirstVisit;
  if (backlog_ == nullptr || !backlog_->has_unread()) {
    const std::size_t consumed = feed(fresh);
    keep_unread(fresh.subspan(consumed));
  } else {
    // Taken out while the receiver works on them: it may move the connection away, which reads them.
    std::vector<char> bytes = std::exchange(backlog_->unread, {});
    const std::size_t begin = std::exchange(backlog_->unread_begin, 0);
    base::make_resident_ahead(bytes, fresh.size());
    bytes.insert(bytes.end(), fresh.begin(), fresh.end());
    put_back(std::move(bytes), begin);
  }
  clients_.visited_ = nullptr;
  after_visit();
}

std::size_t ClientConnection::feed(std::span<char> bytes) {
  std::size_t consumed = 0;
  while (consumed < bytes.size() && state_ == State::Open && !paused_ && receiver() != nullptr) {
    loop::StreamReceiver* const before = receiver();
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
  if (moves()) return leave(rest);
  if (rest.empty()) return;
  Backlog& kept = backlog();
  kept.unread.assign(rest.begin(), rest.end());
  kept.unread_begin = 0;
  make_room_for_expected(kept);
}

/// Growing step by step copies a large piece several times, each time into memory that is paid for anew. Not
/// for whoever has sent little of what it has announced. The last read may bring what is behind it as well.
void ClientConnection::make_room_for_expected(Backlog& kept) const {
  const std::size_t expected = clients_.expected_;
  const std::size_t there = kept.unread.size() - kept.unread_begin;
  if (expected < kWorthMoving || !http::is_worth_reserving(there, expected)) return;
  const std::size_t before = kept.unread.capacity();
  kept.unread.reserve(kept.unread_begin + expected + clients_.read_buffer_->size());
  if (kept.unread.capacity() != before) base::prefer_huge_pages(kept.unread.data(), kept.unread.capacity());
}

/// Feeds `bytes` from `begin` on, and keeps what is left where it is.
void ClientConnection::put_back(std::vector<char> bytes, std::size_t begin) {
  begin += feed(std::span(bytes).subspan(begin));
  if (state_ != State::Open) return;
  if (moves()) return leave(std::span(bytes).subspan(begin));
  if (begin == bytes.size()) return drop_empty_backlog();
  if (begin >= kWorthMoving && begin * 2 >= bytes.size()) {
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(begin));
    begin = 0;
  }
  Backlog& kept = backlog();
  kept.unread = std::move(bytes);
  kept.unread_begin = begin;
  make_room_for_expected(kept);
}

void ClientConnection::after_visit() {
  const bool yields = yields_;
  yields_ = false;
  if (state_ != State::Open) return;
  note_account();
  if (backlog_ == nullptr || !backlog_->has_unread()) {
    waits_for_room_ = false;
  } else if (waits_for_room_) {
    watch(watched_ & ~kInput);
  } else if (yields && !paused_ && !redeliver_) {
    redeliver_ = true;
    clients_.redeliver_.push_back(this);
  }
}

void ClientConnection::leave(std::span<char> unread) {
  // Answers to requests before this one: whoever has the socket next does not know of them.
  const Written written = write();
  if (written == Written::All) return move_away({unread.data(), unread.size()});
  if (state_ == State::Dead) return;
  state_ = State::Leaving;
  backlog().unread.assign(unread.begin(), unread.end());
  backlog().unread_begin = 0;
  moved_ = 0;
  clients_.put_in_list(*this, Clients::kFinishing);
  watch(EPOLLOUT);
  if (written == Written::Later) make_dirty();
}

void ClientConnection::move_away(std::string_view unread) {
  clients_.poller_.remove(socket_.get(), *this);
  clients_.mover_(std::move(socket_), *this, {moves_, opens_session_, to_slot_}, unread);
  taken_away_ = true;
  die(0);
}

ClientConnection::Detached ClientConnection::detach() {
  Detached detached;
  base::reserve_resident(detached.unsent, unsent_);
  detached.unsent = first_.view().substr(sent_of_first_);
  if (backlog_ != nullptr) {
    const std::span<char> unread = backlog_->unread_bytes();
    detached.unread.assign(unread.begin(), unread.end());
    for (const loop::Buffer& frame : backlog_->frames) detached.unsent += frame.view();
  }
  clients_.poller_.remove(socket_.get(), *this);
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
  if (!clients_.allowance_.take(kUnitsOfRead)) return;
  auto& buffer = *clients_.read_buffer_;
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (got > 0 || (got < 0 && would_block(errno))) return;
  die(got == 0 ? 0 : errno);
}

ClientConnection::Written ClientConnection::write() {
  const std::size_t enough = unsent_ - std::min(unsent_, kMaxWritten);
  std::uint64_t of_files = kMaxFileWritten;
  int writes = 0;
  while (first_) {
    if (has_file() && is_file_mark(first_)) [[unlikely]] {
      if (const Written written = write_file(of_files); written != Written::All) return written;
      continue;
    }
    if ((enough > 0 && unsent_ <= enough) || writes++ == kMaxWrites) return Written::Later;
    const bool several = backlog_ != nullptr && !backlog_->frames.empty();
    if (!(several ? write_many() : send_now(first_.view().substr(sent_of_first_, kMaxWritten))))
      return Written::KernelFull;
  }
  return Written::All;
}

bool ClientConnection::write_many() {
  if (unsent_ <= Clients::kGatherBytes && !has_file()) return send_now(clients_.gather(*this));
  if (first_.size() - sent_of_first_ > kMaxWritten)
    return send_now(first_.view().substr(sent_of_first_, kMaxWritten));
  std::array<iovec, kMaxVectors> vectors;
  const auto entry = [](std::string_view bytes) {
    return iovec{const_cast<char*>(bytes.data()), bytes.size()};
  };
  vectors[0] = entry(first_.view().substr(sent_of_first_));
  std::size_t total = vectors[0].iov_len;
  std::size_t count = 1;
  int flags = MSG_NOSIGNAL;
  for (const loop::Buffer& frame : backlog_->frames) {
    if (is_file_mark(frame)) {
      flags |= MSG_MORE;  // the head of an answer need not be a segment of its own
      break;
    }
    if (count == kMaxVectors || total > kMaxWritten) break;
    vectors[count] = entry(frame.view());
    total += vectors[count++].iov_len;
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = count;
  return note_written(::sendmsg(socket_.get(), &message, flags), total);
}

/// All: a part of it was taken, or the whole.
ClientConnection::Written ClientConnection::write_file(std::uint64_t& allowed) {
  if (allowed == 0) return Written::Later;
  loop::FileRange& range = backlog_->files.front();
  auto offset = static_cast<off_t>(range.offset);
  const ssize_t sent =
      ::sendfile(socket_.get(), range.file.descriptor(), &offset, std::min(range.length, allowed));
  if (sent <= 0) {
    // 0: it is shorter by now. Whatever came in its place would be taken for it.
    if (sent == 0 || !would_block(errno)) die(sent == 0 ? EIO : errno);
    return Written::KernelFull;
  }
  const auto taken = static_cast<std::uint64_t>(sent);
  range.offset += taken;
  range.length -= taken;
  allowed -= taken;
  clients_.counters_.add(ipc::Counter::BytesOut, range.length > 0 ? taken : taken - 1);  // and its mark
  if (taking_ || state_ != State::Open) count_moved(static_cast<std::size_t>(taken));
  if (range.length > 0) return Written::All;
  (void)backlog_->files.pop_front();
  drop_written(1);  // its mark
  return Written::All;
}

bool ClientConnection::send_now(std::string_view bytes) {
  return note_written(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), bytes.size());
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
  if (taking_ || state_ != State::Open) count_moved(written);
  std::uint32_t units = loop::units_of_bytes(written);
  if (written == unsent_) {
    unsent_ = 0;
    sent_of_first_ = 0;
    first_ = {};
    if (backlog_ != nullptr) {
      units += static_cast<std::uint32_t>(backlog_->frames.size()) / kSentFramesOfUnit;
      backlog_->frames.clear();
    }
    if (units > 0) (void)clients_.allowance_.take(units);
    return note_answers();
  }
  unsent_ -= written;
  written += sent_of_first_;
  sent_of_first_ = 0;
  std::uint32_t frames = 0;
  while (written >= first_.size()) {  // never all: that was above
    written -= first_.size();
    first_ = backlog_->frames.pop_front();
    ++frames;
  }
  units += frames / kSentFramesOfUnit;
  if (units > 0) (void)clients_.allowance_.take(units);
  sent_of_first_ = static_cast<std::uint32_t>(written);
  note_answers();
}

/// Answers are not told apart from what else is queued, but there are never more of them than of that.
void ClientConnection::note_answers() {
  if (backlog_ == nullptr) return;
  if (unsent_ <= clients_.limits_.send_queue_bytes) backlog_->unlink();
  const std::size_t frames = backlog_->frames.size();
  backlog_->answers = std::min(backlog_->answers, frames == 0 ? 0 : unsent_ + frames * kBufferCost);
  if (waits_for_room_ && backlog_->answers <= kFewAnswers && backlog_->files.empty()) {
    waits_for_room_ = false;
    if (state_ == State::Open && !paused_ && clients_.visited_ != this) resume_reading();
  }
  if (backlog_->noted.rank_kib > 0) note_account();
  drop_empty_backlog();
}

void ClientConnection::count_moved(std::size_t bytes) noexcept {
  constexpr auto kMost = std::numeric_limits<std::uint32_t>::max();
  moved_ = bytes > kMost - moved_ ? kMost : moved_ + static_cast<std::uint32_t>(bytes);
}

Backlog& ClientConnection::backlog() {
  if (backlog_ == nullptr) backlog_ = clients_.take_backlog(*this);
  return *backlog_;
}

void ClientConnection::drop_empty_backlog() {
  if (backlog_ == nullptr || !backlog_->frames.empty() || has_file() || backlog_->has_unread() ||
      backlog_->held > 0 || backlog_->is_linked() || backlog_->noted.rank_kib > 0)
    return;
  clients_.give_back(std::move(backlog_));
}

void ClientConnection::note_account() {
  if (backlog_ == nullptr || state_ == State::Dead) return;
  clients_.accounts_.note(*this, backlog_->noted,
                          backlog_->unread.capacity() + backlog_->frames.footprint() + backlog_->held,
                          unsent_);
}

void ClientConnection::die(int error) noexcept {
  if (state_ == State::Dead) return;
  state_ = State::Dead;
  error_ = static_cast<std::uint8_t>(error);
  unlink();
  if (backlog_ != nullptr) {
    backlog_->unlink();
    clients_.accounts_.forget(*this, backlog_->noted);  // it is nobody to be shed any more
  }
  // Now, not when it is buried: the kernel would go on telling of it, and the process has only so many
  // descriptors.
  if (socket_) clients_.poller_.remove(socket_.get(), *this);
  socket_ = {};
  clients_.dead_.push_back(this);
}

void ClientConnection::watch(std::uint32_t events) noexcept {
  if (events == watched_) return;
  watched_ = static_cast<std::uint16_t>(events);
  clients_.poller_.modify(socket_.get(), events, *this);
}

}  // namespace limpet::client
