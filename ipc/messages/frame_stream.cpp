#include "ipc/messages/frame_stream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/pages.h"

namespace limpet::ipc {
namespace {

/// Of one flush().
constexpr int kWritesAtOnce = 64;
constexpr std::size_t kBytesAtOnce = 512u << 10;
/// Of one write. A frame that needs more is not written before the next flush().
constexpr std::size_t kWriteBytes = 256u << 10;
/// Linux passes at most this many descriptors in one message (SCM_MAX_FD).
constexpr std::size_t kMostDescriptorsAtOnce = 253;

union ControlRoom {
  char bytes[CMSG_SPACE(kMostDescriptorsAtOnce * sizeof(int))];
  cmsghdr alignment;
};

}  // namespace

FrameStream::FrameStream(base::Descriptor socket) : socket_(std::move(socket)) {
  const int flags =
      base::require(::fcntl(socket_.get(), F_GETFL), "frame stream: read the flags of the socket");
  base::require(::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK),
                "frame stream: make the socket non-blocking");
  widen_buffers(socket_.get());
}

std::pair<base::Descriptor, base::Descriptor> FrameStream::pair() {
  int ends[2];
  base::require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
                "create a migration stream");
  return {base::Descriptor(ends[0]), base::Descriptor(ends[1])};
}

void FrameStream::end() noexcept {
  ::shutdown(socket_.get(), SHUT_RDWR);
  broken_ = true;
}

void FrameStream::send(std::vector<std::byte> bytes, std::span<const int> descriptors) {
  Pending frame;
  frame.own = std::move(bytes);
  frame.bytes = frame.own;
  frame.descriptors.assign(descriptors.begin(), descriptors.end());
  queue(std::move(frame));
}

void FrameStream::lend(std::span<const std::byte> bytes, std::span<const int> descriptors) {
  Pending frame;
  frame.bytes = bytes;
  frame.descriptors.assign(descriptors.begin(), descriptors.end());
  frame.lent = true;
  queue(std::move(frame));
}

void FrameStream::queue(Pending frame) {
  CHECK(frame.bytes.size() <= kFrameLimitBytes,
        "a frame of " + std::to_string(frame.bytes.size()) + " bytes");
  CHECK(frame.descriptors.size() <= kFrameDescriptorsLimit,
        std::to_string(frame.descriptors.size()) + " descriptors beside one frame");
  if (broken()) return;
  frame.header = {static_cast<std::uint32_t>(frame.bytes.size()),
                  static_cast<std::uint32_t>(frame.descriptors.size())};
  queued_bytes_ += frame.size();
  if (frame.lent) ++lent_frames_;
  const bool at_once = frame.size() <= kWriteBytes;
  queue_.push_back(std::move(frame));
  if (at_once) (void)flush();
}

bool FrameStream::flush() {
  const std::size_t enough = queued_bytes_ - std::min(queued_bytes_, kBytesAtOnce);
  for (int writes = 0; !broken() && !queue_.empty() && writes < kWritesAtOnce; ++writes) {
    if (enough > 0 && queued_bytes_ <= enough) break;
    Pending& frame = queue_.front();
    const std::ptrdiff_t written = write_some(frame);
    if (written < 0) give_up_writing();
    if (written <= 0) break;
    frame.written += static_cast<std::size_t>(written);
    queued_bytes_ -= static_cast<std::size_t>(written);
    frame.descriptors.clear();  // they went with the first byte
    if (frame.written < frame.size()) continue;
    if (frame.lent) --lent_frames_;
    queue_.pop_front();
  }
  return !broken();
}

void FrameStream::give_up_writing() noexcept {
  nobody_reads_ = true;
  queue_.clear();
  queued_bytes_ = 0;
  lent_frames_ = 0;
}

std::ptrdiff_t FrameStream::write_some(const Pending& frame) {
  const std::size_t of_header = std::min(frame.written, sizeof frame.header);
  const std::size_t of_bytes = frame.written - of_header;
  std::array<iovec, 2> parts;
  parts[0] = {reinterpret_cast<char*>(const_cast<Header*>(&frame.header)) + of_header,
              sizeof frame.header - of_header};
  parts[1] = {const_cast<std::byte*>(frame.bytes.data()) + of_bytes,
              std::min(frame.bytes.size() - of_bytes, kWriteBytes)};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  ControlRoom room{};
  if (!frame.descriptors.empty()) {
    const std::size_t size = frame.descriptors.size() * sizeof(int);
    message.msg_control = room.bytes;
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(control), frame.descriptors.data(), size);
  }
  const ssize_t written = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (written >= 0) return written;
  switch (errno) {
    case EAGAIN:
    case EINTR:
    case ENOBUFS:
    case ENOMEM:
    case ETOOMANYREFS:  // too many descriptors in flight: the peer has to take some first
      return 0;
    default:
      CHECK(errno != EBADF && errno != ENOTSOCK && errno != EINVAL,
            std::string("a frame could not be sent: ") + std::strerror(errno));
      return -1;
  }
}

ReceiveStatus FrameStream::receive(Datagram* into) {
  drained_ = false;
  if (take_frame(into)) return ReceiveStatus::Message;
  if (broken_) return descriptors_lost_ ? ReceiveStatus::DescriptorsLost : ReceiveStatus::Truncated;
  const ReceiveStatus status = read_some();
  if (status != ReceiveStatus::Message) return status;
  if (take_frame(into)) return ReceiveStatus::Message;
  return broken_ ? ReceiveStatus::Truncated : ReceiveStatus::Empty;
}

/// False: it is not there yet, or it is none.
bool FrameStream::take_header() {
  Header header{};
  if (read_ahead() < sizeof header) return false;
  std::memcpy(&header, read_.data() + read_begin_, sizeof header);
  if (header.bytes > kFrameLimitBytes || header.descriptors > kFrameDescriptorsLimit) broken_ = true;
  if (broken_) return false;
  read_begin_ += sizeof header;
  coming_.emplace(header);
  coming_->bytes.reserve(header.bytes);
  return true;
}

bool FrameStream::take_frame(Datagram* into) {
  if (!coming_ && !take_header()) return false;
  const auto begin = read_.begin() + static_cast<std::ptrdiff_t>(read_begin_);
  const std::size_t taken = std::min(read_ahead(), coming_->header.bytes - coming_->bytes.size());
  base::make_resident(coming_->bytes.data() + coming_->bytes.size(), taken);
  coming_->bytes.insert(coming_->bytes.end(), begin, begin + static_cast<std::ptrdiff_t>(taken));
  read_begin_ += taken;
  if (coming_->bytes.size() < coming_->header.bytes) return false;
  if (arrived_.size() < coming_->header.descriptors) broken_ = true;  // they come with the first byte
  if (broken_) return false;
  into->bytes = std::move(coming_->bytes);
  into->descriptors.clear();
  for (std::uint32_t i = 0; i < coming_->header.descriptors; ++i) {
    into->descriptors.push_back(std::move(arrived_.front()));
    arrived_.pop_front();
  }
  coming_.reset();
  return true;
}

ReceiveStatus FrameStream::read_some() {
  read_.resize(kReadBytes);
  // At most a part of a header.
  std::memmove(read_.data(), read_.data() + read_begin_, read_ahead());
  read_end_ -= std::exchange(read_begin_, 0);
  iovec part{read_.data() + read_end_, read_.size() - read_end_};
  ControlRoom room;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room.bytes;
  message.msg_controllen = sizeof room.bytes;
  const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0) {
    drained_ = errno == EAGAIN;
    if (errno == EAGAIN || errno == EINTR) return ReceiveStatus::Empty;
    return errno == ECONNRESET ? ReceiveStatus::Closed : ReceiveStatus::Failed;
  }
  read_end_ += static_cast<std::size_t>(got);
  for (base::Descriptor& each : take_descriptors(message)) arrived_.push_back(std::move(each));
  // Descriptors that had no number here are lost, and with them the order of the others.
  descriptors_lost_ = (message.msg_flags & MSG_CTRUNC) != 0;
  if (descriptors_lost_) broken_ = true;
  if (descriptors_lost_) return ReceiveStatus::DescriptorsLost;
  if (got == 0) return ReceiveStatus::Closed;
  return broken_ ? ReceiveStatus::Truncated : ReceiveStatus::Message;
}

}  // namespace limpet::ipc
