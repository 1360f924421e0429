#include "ipc/messages/channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "base/check.h"

namespace limpet::ipc {
namespace {

constexpr int kBufferBytes = 4 << 20;
/// What the kernel keeps of a send buffer for itself (net/unix/af_unix.c: `len > sk->sk_sndbuf - 32` is
/// EMSGSIZE).
constexpr int kSendBufferOverheadBytes = 32;
/// What a queued descriptor counts against the limit of the queue: they are scarcer than bytes.
constexpr std::size_t kQueuedDescriptorBytes = 4096;

/// Room for a control message of descriptors, aligned as the CMSG macros want it.
union ControlRoom {
  char bytes[CMSG_SPACE(kDescriptorsLimit * sizeof(int))];
  cmsghdr alignment;
};

/// SO_*BUFFORCE is for the privileged and passes over net.core.*mem_max; the other one is cut to it.
void widen(int socket, int forced_option, int option) {
  const int bytes = kBufferBytes;
  if (::setsockopt(socket, SOL_SOCKET, forced_option, &bytes, sizeof bytes) == 0) return;
  (void)::setsockopt(socket, SOL_SOCKET, option, &bytes, sizeof bytes);
}

std::size_t largest_message(int socket) {
  int bytes = 0;
  socklen_t size = sizeof bytes;
  base::require(::getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, &size),
                "channel: read the size of the send buffer");
  return std::min<std::size_t>(kMessageLimitBytes, std::max(0, bytes - kSendBufferOverheadBytes));
}

/// One for the thread: a second system call to learn the size first would race with other readers of an
/// inbox. Not initialized, so that only what messages touch becomes memory.
std::span<std::byte> receive_room() {
  thread_local const std::unique_ptr<std::byte[]> room(new std::byte[kMessageLimitBytes]);
  return {room.get(), kMessageLimitBytes};
}

void attach_descriptors(msghdr& header, ControlRoom& room, std::span<const int> descriptors) {
  header.msg_control = room.bytes;
  header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size_bytes());
}

SendStatus status_of_failed_send(int error) {
  switch (error) {
    case EAGAIN:
      return SendStatus::Queued;
    case EMSGSIZE:
      return SendStatus::TooLarge;
    // The machine, or our limit of descriptors in flight, is at its end; the socket is well.
    case ENOBUFS:
    case ENOMEM:
    case ETOOMANYREFS:
      return SendStatus::Full;
    default:
      CHECK(error != EBADF && error != ENOTSOCK && error != EINVAL,
            std::string("a message could not be sent: ") + std::strerror(error));
      return SendStatus::Closed;
  }
}

std::size_t queue_cost(std::size_t bytes, std::size_t descriptors) {
  return bytes + descriptors * kQueuedDescriptorBytes;
}

}  // namespace

std::vector<base::Descriptor> take_descriptors(msghdr& header) {
  std::vector<base::Descriptor> taken;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(part) + i * sizeof(int), sizeof number);
      taken.emplace_back(number);
    }
  }
  return taken;
}

void widen_buffers(int socket) noexcept {
  widen(socket, SO_SNDBUFFORCE, SO_SNDBUF);
  widen(socket, SO_RCVBUFFORCE, SO_RCVBUF);
}

Channel::Channel(base::Descriptor socket, std::size_t queue_limit_bytes)
    : socket_(std::move(socket)), queue_limit_bytes_(queue_limit_bytes) {
  const int flags = base::require(::fcntl(socket_.get(), F_GETFL), "channel: read the flags of the socket");
  base::require(::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK), "channel: make the socket non-blocking");
  widen_buffers(socket_.get());
  message_limit_bytes_ = largest_message(socket_.get());
}

std::pair<base::Descriptor, base::Descriptor> Channel::pair() {
  int ends[2];
  base::require(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
                "create a channel");
  return {base::Descriptor(ends[0]), base::Descriptor(ends[1])};
}

SendStatus Channel::send(std::span<const std::byte> bytes, std::span<const int> descriptors) {
  CHECK(!bytes.empty(), "a datagram without bytes would look like the end of the channel");
  CHECK(descriptors.size() <= kDescriptorsLimit,
        std::to_string(descriptors.size()) + " descriptors in one message");
  // Known before it is queued, so that flush() meets no message that can never leave.
  if (bytes.size() > message_limit_bytes_) return SendStatus::TooLarge;
  // Not past the queue: messages stay in order.
  if (queue_.empty()) {
    const SendStatus status = send_now(bytes, descriptors);
    if (status != SendStatus::Queued) return status;
  }
  return enqueue(bytes, descriptors);
}

SendStatus Channel::enqueue(std::span<const std::byte> bytes, std::span<const int> descriptors) {
  const std::size_t cost = queue_cost(bytes.size(), descriptors.size());
  if (cost > queue_limit_bytes_ - queued_bytes_) return SendStatus::Full;
  Pending pending;
  for (const int lent : descriptors) {
    pending.descriptors.emplace_back(::fcntl(lent, F_DUPFD_CLOEXEC, 0));
    if (!pending.descriptors.back()) return SendStatus::Full;  // the process has no number left for it
  }
  pending.bytes.assign(bytes.begin(), bytes.end());
  queue_.push_back(std::move(pending));
  queued_bytes_ += cost;
  return SendStatus::Queued;
}

SendStatus Channel::flush() {
  while (!queue_.empty()) {
    const Pending& next = queue_.front();
    std::vector<int> numbers;
    for (const base::Descriptor& descriptor : next.descriptors) numbers.push_back(descriptor.get());
    const SendStatus status = send_now(next.bytes, numbers);
    if (status == SendStatus::Full) return SendStatus::Queued;
    if (status != SendStatus::Sent) return status;
    queued_bytes_ -= queue_cost(next.bytes.size(), numbers.size());
    queue_.pop_front();
  }
  return SendStatus::Sent;
}

SendStatus Channel::send_now(std::span<const std::byte> bytes, std::span<const int> descriptors) {
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  ControlRoom room{};
  if (!descriptors.empty()) attach_descriptors(header, room, descriptors);
  ssize_t sent;
  do sent = ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent == -1 && errno == EINTR);
  return sent >= 0 ? SendStatus::Sent : status_of_failed_send(errno);
}

ReceiveStatus Channel::receive(Datagram* into) {
  const std::span<std::byte> room = receive_room();
  iovec part{room.data(), room.size()};
  ControlRoom control;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes;
  header.msg_controllen = sizeof control.bytes;
  ssize_t got;
  do got = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (got == -1 && errno == EINTR);
  if (got == -1) {
    if (errno == EAGAIN) return ReceiveStatus::Empty;
    return errno == ECONNRESET ? ReceiveStatus::Closed : ReceiveStatus::Failed;
  }
  std::vector<base::Descriptor> descriptors = take_descriptors(header);
  const bool cut = (header.msg_flags & MSG_CTRUNC) != 0;
  // As many as there is room for: then it is the room that was too small, and the sender no Channel.
  const bool sent_too_many = cut && descriptors.size() >= kDescriptorsLimit;
  if ((header.msg_flags & MSG_TRUNC) != 0 || sent_too_many) return ReceiveStatus::Truncated;
  if (got == 0) return ReceiveStatus::Closed;
  into->bytes.assign(room.begin(), room.begin() + got);
  into->descriptors = std::move(descriptors);
  into->descriptors_lost = cut;
  return cut ? ReceiveStatus::DescriptorsLost : ReceiveStatus::Message;
}

}  // namespace limpet::ipc
