#include "ipc/frame_stream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

#include "ipc/check.h"

namespace limpet::ipc {
namespace {

constexpr std::size_t kReadBytes = 256u << 10;
/// Linux passes at most this many descriptors in one message (SCM_MAX_FD).
constexpr std::size_t kMostDescriptorsAtOnce = 253;

union ControlRoom {
  char bytes[CMSG_SPACE(kMostDescriptorsAtOnce * sizeof(int))];
  cmsghdr alignment;
};

}  // namespace

FrameStream::FrameStream(Descriptor socket) : socket_(std::move(socket)) {
  const int flags = require(::fcntl(socket_.get(), F_GETFL), "frame stream: read the flags of the socket");
  require(::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK), "frame stream: make the socket non-blocking");
  widen_buffers(socket_.get());
}

std::pair<Descriptor, Descriptor> FrameStream::pair() {
  int ends[2];
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
          "create a migration stream");
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

void FrameStream::end() noexcept {
  ::shutdown(socket_.get(), SHUT_RDWR);
  broken_ = true;
}

void FrameStream::send(std::span<const std::byte> bytes, std::span<const int> descriptors) {
  CHECK(bytes.size() <= kFrameLimitBytes, "a frame of " + std::to_string(bytes.size()) + " bytes");
  CHECK(descriptors.size() <= kFrameDescriptorsLimit,
        std::to_string(descriptors.size()) + " descriptors beside one frame");
  if (broken()) return;
  const Header header{static_cast<std::uint32_t>(bytes.size()),
                      static_cast<std::uint32_t>(descriptors.size())};
  Pending frame;
  frame.bytes.resize(sizeof header + bytes.size());
  std::memcpy(frame.bytes.data(), &header, sizeof header);
  std::copy(bytes.begin(), bytes.end(), frame.bytes.begin() + sizeof header);
  frame.descriptors.assign(descriptors.begin(), descriptors.end());
  queued_bytes_ += frame.bytes.size();
  queue_.push_back(std::move(frame));
  (void)flush();
}

bool FrameStream::flush() {
  while (!broken() && !queue_.empty()) {
    Pending& frame = queue_.front();
    const std::ptrdiff_t written = write_some(frame);
    if (written < 0) give_up_writing();
    if (written <= 0) break;
    frame.written += static_cast<std::size_t>(written);
    queued_bytes_ -= static_cast<std::size_t>(written);
    frame.descriptors.clear();  // they went with the first byte
    if (frame.written == frame.bytes.size()) queue_.pop_front();
  }
  return !broken();
}

void FrameStream::give_up_writing() noexcept {
  nobody_reads_ = true;
  queue_.clear();
  queued_bytes_ = 0;
}

std::ptrdiff_t FrameStream::write_some(const Pending& frame) {
  iovec part{const_cast<std::byte*>(frame.bytes.data()) + frame.written, frame.bytes.size() - frame.written};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
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
  for (;;) {
    if (take_frame(into)) return ReceiveStatus::Message;
    if (broken_) return ReceiveStatus::Truncated;
    const ReceiveStatus status = read_some();
    if (status != ReceiveStatus::Message) return status;
  }
}

bool FrameStream::take_frame(Datagram* into) {
  Header header{};
  const std::size_t left = unread_.size() - taken_;
  if (left < sizeof header) return false;
  std::memcpy(&header, unread_.data() + taken_, sizeof header);
  if (header.bytes > kFrameLimitBytes || header.descriptors > kFrameDescriptorsLimit) {
    broken_ = true;
    return false;
  }
  if (left < sizeof header + header.bytes) return false;
  if (arrived_.size() < header.descriptors) {
    broken_ = true;  // they come with the first byte
    return false;
  }
  const auto begin = unread_.begin() + static_cast<std::ptrdiff_t>(taken_ + sizeof header);
  into->bytes.assign(begin, begin + header.bytes);
  into->descriptors.clear();
  for (std::uint32_t i = 0; i < header.descriptors; ++i) {
    into->descriptors.push_back(std::move(arrived_.front()));
    arrived_.pop_front();
  }
  taken_ += sizeof header + header.bytes;
  if (taken_ == unread_.size()) {
    unread_.clear();
    taken_ = 0;
  }
  return true;
}

ReceiveStatus FrameStream::read_some() {
  if (taken_ > 0) {
    unread_.erase(unread_.begin(), unread_.begin() + static_cast<std::ptrdiff_t>(taken_));
    taken_ = 0;
  }
  const std::size_t before = unread_.size();
  unread_.resize(before + kReadBytes);
  iovec part{unread_.data() + before, kReadBytes};
  ControlRoom room;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room.bytes;
  message.msg_controllen = sizeof room.bytes;
  const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  const int error = errno;
  unread_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (got < 0) {
    if (error == EAGAIN || error == EINTR) return ReceiveStatus::Empty;
    return error == ECONNRESET ? ReceiveStatus::Closed : ReceiveStatus::Failed;
  }
  for (Descriptor& each : take_descriptors(message)) arrived_.push_back(std::move(each));
  // Descriptors that had no number here are lost, and with them the order of the others.
  if ((message.msg_flags & MSG_CTRUNC) != 0) broken_ = true;
  if (got == 0) return ReceiveStatus::Closed;
  return broken_ ? ReceiveStatus::Truncated : ReceiveStatus::Message;
}

}  // namespace limpet::ipc
