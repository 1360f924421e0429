// Lines to a descriptor that is shared with strangers (stderr, stdout), without ever waiting for whoever
// reads them: a line that cannot be written now is dropped and counted. Never sets O_NONBLOCK on the
// description that it was given: a shell, or another worker, has the same one.
//
// What the descriptor is decides how:
//   a regular file     written as it is: a disk takes what it is given, or says that it is full
//   a socket           sent with MSG_DONTWAIT
//   a pipe, a terminal written through a non-blocking description of our own of the same pipe or terminal,
//                      opened through /proc/self/fd
//   what cannot be opened that way (another user's terminal; no /proc): a thread with a bounded queue
//   closed, or open for reading only: every line is dropped
//
// Lines of several processes do not mix on a pipe: one of at most PIPE_BUF bytes is taken whole or not at
// all (pipe(7)). Elsewhere half a line may be taken; the rest of it goes first the next time.
//
// SIGPIPE and SIGXFSZ must do nothing in the process (`open_log` sees to that). For one thread.
#pragma once

#include <chrono>
#include <climits>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/line_drops.h"

namespace limpet::base {

class LineThread;

class LineOutput {
 public:
  /// With its end. Atomic on a pipe.
  static constexpr std::size_t kLongestLine = PIPE_BUF;

  enum class Way : std::uint8_t { Nowhere, File, Socket, OwnDescription, Thread };

  /// The descriptor stays the caller's. `descriptors`: the folder in which its number can be opened again.
  explicit LineOutput(int descriptor, std::string descriptors = "/proc/self/fd");
  /// Waits a moment for the thread, if there is one.
  ~LineOutput();
  LineOutput(const LineOutput&) = delete;
  LineOutput& operator=(const LineOutput&) = delete;

  [[nodiscard]] Way way() const noexcept { return way_; }

  /// One line with its end, of at most kLongestLine bytes; filtered by the caller.
  void write(std::string_view line);
  /// A line that tells of `untold` dropped ones. False if it is lost too.
  [[nodiscard]] bool tell(std::string_view line, std::uint64_t untold);
  void drop() noexcept { drops_->add(); }

  [[nodiscard]] LineDrops& drops() noexcept { return *drops_; }
  /// Only a thread has something to flush.
  void flush(std::chrono::milliseconds longest);

 private:
  void choose_way();
  void use_thread();
  void open_own();
  bool offer(std::string_view line, std::uint64_t tells);
  bool put(std::string_view line);
  bool put_rest();
  [[nodiscard]] long put_now(std::string_view bytes);

  int descriptor_;
  std::string name_;  ///< to open it again
  Way way_ = Way::Nowhere;
  int own_ = -1;
  std::string rest_;  ///< of a line that was taken in part
  std::shared_ptr<LineDrops> drops_ = std::make_shared<LineDrops>();
  std::unique_ptr<LineThread> thread_;
};

}  // namespace limpet::base
