// One end of a migration stream: frames of any size up to a limit, in order, with descriptors beside them, on
// a connected SOCK_STREAM Unix socket. Owns the socket and a queue of what the peer has no room for.
// Non-blocking; never waits. What contradicts the format is fatal for the stream.
//
//   frame: u32 bytes, u32 descriptors (both in the machine's order: both ends are on one machine), payload
//
// The kernel ends a read behind the bytes that descriptors came with, and keeps the order of both, so the
// descriptors of a frame are the next ones that are not taken yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "ipc/messages/channel.h"

namespace limpet::ipc {

inline constexpr std::size_t kFrameLimitBytes = 64u << 20;
/// Linux takes 253 in one message (SCM_MAX_FD).
inline constexpr std::size_t kFrameDescriptorsLimit = 64;

class FrameStream {
 public:
  /// Takes a connected SOCK_STREAM Unix socket; makes it non-blocking.
  explicit FrameStream(base::Descriptor socket);
  /// Two connected ends.
  static std::pair<base::Descriptor, base::Descriptor> pair();

  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
  /// Queues a frame, and writes it at once if it is not large. `descriptors` are lent until the frame is
  /// written: their owner keeps them open until the peer has answered. CHECKs the limits.
  void send(std::vector<std::byte> bytes, std::span<const int> descriptors = {});
  /// The same with bytes that are lent as well: they stay until the peer has answered, or end() was called.
  void lend(std::span<const std::byte> bytes, std::span<const int> descriptors);
  /// Writes some of what is queued, as much as is quickly done. False: the peer is gone, and nothing more
  /// will be taken; nothing is queued then.
  bool flush();
  [[nodiscard]] std::size_t queued_bytes() const noexcept { return queued_bytes_; }
  /// Of the lent ones: those that are not written to the end.
  [[nodiscard]] std::size_t lent_frames() const noexcept { return lent_frames_; }
  [[nodiscard]] bool broken() const noexcept { return broken_ || nobody_reads_; }

  /// Both ways. The peer reads what was written before, and then the end; here it is the end at once.
  void end() noexcept;
  /// One frame, for which at most kReadBytes are read. Empty: it is not whole yet; drained() says whether
  /// there may be more of it now. Truncated: the format is broken. DescriptorsLost: this process has no
  /// number for those of a frame, and so no more of the stream. After anything but Message and Empty the
  /// stream is of no use. What a peer said before it went is read, whatever became of a send().
  [[nodiscard]] ReceiveStatus receive(Datagram* into);
  /// The last receive() has read all there was.
  [[nodiscard]] bool drained() const noexcept { return drained_; }

  static constexpr std::size_t kReadBytes = 256u << 10;

 private:
  struct Header {
    std::uint32_t bytes = 0;
    std::uint32_t descriptors = 0;
  };
  struct Pending {
    Header header;
    std::vector<std::byte> own;  ///< empty if they are lent
    std::span<const std::byte> bytes;
    std::vector<int> descriptors;
    std::size_t written = 0;  ///< of header and bytes
    bool lent = false;
    [[nodiscard]] std::size_t size() const noexcept { return sizeof header + bytes.size(); }
  };
  /// What is read of a frame that is not whole yet.
  struct Coming {
    explicit Coming(const Header& of) : header(of) {}
    Header header;
    std::vector<std::byte> bytes;
  };
  void queue(Pending frame);
  /// Bytes written; 0 if there is no room now; -1 if there never will be.
  std::ptrdiff_t write_some(const Pending& frame);
  void give_up_writing() noexcept;
  ReceiveStatus read_some();
  [[nodiscard]] bool take_header();
  [[nodiscard]] bool take_frame(Datagram* into);
  [[nodiscard]] std::size_t read_ahead() const noexcept { return read_end_ - read_begin_; }

  base::Descriptor socket_;
  std::deque<Pending> queue_;
  std::size_t queued_bytes_ = 0;
  bool broken_ = false;            // the format
  bool descriptors_lost_ = false;  // that is why
  bool nobody_reads_ = false;      // but there may be something to read
  bool drained_ = false;
  std::size_t lent_frames_ = 0;
  std::vector<std::byte> read_;  // kReadBytes, from the first receive() on; of them
  std::size_t read_begin_ = 0;   // from here
  std::size_t read_end_ = 0;     // to here nobody has taken yet
  std::optional<Coming> coming_;
  std::deque<base::Descriptor> arrived_;
};

}  // namespace limpet::ipc
