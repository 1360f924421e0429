// Long queues of frames that nobody wants any more. To free a million of them takes as long as several turns,
// so they are freed some at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "worker/http/allowance.h"
#include "worker/http/buffer.h"
#include "worker/http/fifo.h"
#include "worker/http/long_fifo.h"

namespace limpet::http {

class ReleasedFrames {
 public:
  /// So many are freed in one piece.
  static constexpr std::size_t kAtOnce = 256;

  /// Few are freed here and now.
  void add(LongFifo<Buffer> frames) {
    if (frames.size() > kAtOnce) queues_.push_back(std::move(frames));
  }
  [[nodiscard]] bool empty() const noexcept { return queues_.empty(); }
  void free_some(Allowance& allowance) {
    while (!queues_.empty() && allowance.take(kUnitsOfFrames)) {
      LongFifo<Buffer>& frames = queues_.front();
      frames.drop(std::min(frames.size(), kAtOnce));
      if (frames.empty()) (void)queues_.pop_front();
    }
  }

 private:
  static constexpr std::uint32_t kUnitsOfFrames = 16;

  Fifo<LongFifo<Buffer>> queues_;
};

}  // namespace limpet::http
