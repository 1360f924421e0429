// One end of a SOCK_SEQPACKET connection: one message a datagram, descriptors beside it (SCM_RIGHTS). Used
// for control channels, inboxes and the control socket. Owns the descriptor and a bounded private queue for
// what the peer has not room for. Non-blocking; never waits. A truncated datagram is fatal for the channel;
// descriptors for which this process has no number left are not: they are lost, the channel goes on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/descriptor.h"

struct msghdr;

namespace limpet::ipc {

inline constexpr std::size_t kMessageLimitBytes = 4u
                                                  << 20;  ///< of one message; a longer one arrives Truncated
inline constexpr std::size_t kDescriptorsLimit = 16;      ///< beside one message

/// Room for 4 MiB on its way, as far as the system allows. Channel does it for its own end.
void widen_buffers(int socket) noexcept;
/// The descriptors that recvmsg(2) has installed: to be taken in any case, or they stay open for ever.
[[nodiscard]] std::vector<base::Descriptor> take_descriptors(msghdr& header);

/// The bytes of one message and the descriptors that came with it; they belong to exactly this message.
struct Datagram {
  std::vector<std::byte> bytes;  ///< storage aligned for Cap'n Proto words (operator new's alignment)
  std::vector<base::Descriptor> descriptors;
  bool descriptors_lost = false;  ///< some that were sent had no number here; `descriptors` are not all
};

enum class ReceiveStatus : std::uint8_t {
  Message,
  Empty,            ///< nothing now
  Closed,           ///< the peer is gone
  DescriptorsLost,  ///< a message, but this process has no number for all of its descriptors
  Truncated,        ///< bytes, or more than kDescriptorsLimit, were cut off: fatal, close the channel
  Failed,           ///< a system error: fatal
};

enum class SendStatus : std::uint8_t {
  Sent,
  Queued,    ///< the peer has no room: kept here, in order; call flush() when writable
  Full,      ///< the private queue, or the machine, is at its limit: this message was not taken
  TooLarge,  ///< the socket can never take it (EMSGSIZE): not taken
  Closed,
};

class Channel {
 public:
  /// Takes a connected SOCK_SEQPACKET socket; makes it non-blocking, with room for 4 MiB where the system
  /// allows.
  explicit Channel(base::Descriptor socket, std::size_t queue_limit_bytes = 8u << 20);
  /// Two connected ends.
  static std::pair<base::Descriptor, base::Descriptor> pair();

  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
  /// `bytes` are not empty, `descriptors` at most kDescriptorsLimit (CHECKed). `descriptors` are lent:
  /// duplicated by the kernel, or by this queue, where each counts as 4 KiB against the limit.
  [[nodiscard]] SendStatus send(std::span<const std::byte> bytes, std::span<const int> descriptors = {});
  /// Sends what is queued. Queued if something is left.
  [[nodiscard]] SendStatus flush();
  [[nodiscard]] bool wants_write() const noexcept { return !queue_.empty(); }
  [[nodiscard]] ReceiveStatus receive(Datagram* into);

 private:
  struct Pending {
    std::vector<std::byte> bytes;
    std::vector<base::Descriptor> descriptors;
  };
  SendStatus send_now(std::span<const std::byte> bytes, std::span<const int> descriptors);
  SendStatus enqueue(std::span<const std::byte> bytes, std::span<const int> descriptors);

  base::Descriptor socket_;
  std::deque<Pending> queue_;
  std::size_t queued_bytes_ = 0;
  std::size_t queue_limit_bytes_;
  std::size_t message_limit_bytes_ = 0;
};

}  // namespace limpet::ipc
