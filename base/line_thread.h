// A thread that writes lines to a descriptor on which a write may block for as long as it likes: for an
// output that can be written to in no other way. The queue is bounded; who fills it never waits. All signals
// are blocked in the thread, so that they reach the main thread; it starts no process.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/line_drops.h"

namespace limpet::base {

class LineThread {
 public:
  static constexpr std::size_t kQueueBytes = std::size_t{256} << 10;

  /// Throws std::system_error if no thread can be had. The descriptor stays the caller's and must stay open.
  LineThread(int descriptor, std::shared_ptr<LineDrops> drops);
  /// Does not wait: a thread that is stuck in a write stays there until the process ends.
  ~LineThread();
  LineThread(const LineThread&) = delete;
  LineThread& operator=(const LineThread&) = delete;

  /// False if the queue is full. `tells`: the number that a line about dropped lines tells, else 0.
  [[nodiscard]] bool push(std::string line, std::uint64_t tells);
  /// Until everything is written, but no longer than `longest`.
  void flush(std::chrono::milliseconds longest);

 private:
  struct State;
  static void run(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;  // the thread's too: it may outlive this object
};

}  // namespace limpet::base
