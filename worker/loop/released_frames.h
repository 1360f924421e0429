// Long queues of frames that nobody wants any more. To free a million of them takes as long as several turns,
// so they are freed some at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "worker/loop/allowance.h"
#include "worker/loop/buffer.h"
#include "worker/loop/fifo.h"
#include "worker/loop/long_fifo.h"

namespace limpet::loop {

class ReleasedFrames {
 public:
  /// So many are freed in one piece.
  static constexpr std::size_t kAtOnce = 256;

  /// Of `bytes` in all, about. Few are freed here and now.
  void add(LongFifo<Buffer> frames, std::size_t bytes) {
    if (frames.size() <= kAtOnce) return;
    bytes_ += bytes;
    queues_.push_back({std::move(frames), bytes});
  }
  [[nodiscard]] bool empty() const noexcept { return queues_.empty(); }
  /// What will be free as soon as there is time for it.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  void free_some(Allowance& allowance) {
    while (!queues_.empty() && allowance.take(kUnitsOfFrames)) {
      Queue& queue = queues_.front();
      const std::size_t count = std::min(queue.frames.size(), kAtOnce);
      const std::size_t part = queue.bytes / queue.frames.size() * count;
      queue.frames.drop(count);
      queue.bytes -= part;
      bytes_ -= part;
      if (!queue.frames.empty()) continue;
      bytes_ -= queue.bytes;
      (void)queues_.pop_front();
    }
  }

 private:
  static constexpr std::uint32_t kUnitsOfFrames = 16;

  struct Queue {
    LongFifo<Buffer> frames;
    std::size_t bytes = 0;
  };

  Fifo<Queue> queues_;
  std::size_t bytes_ = 0;
};

}  // namespace limpet::loop
