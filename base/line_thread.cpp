#include "base/line_thread.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "base/signals.h"

namespace limpet::base {
namespace {

struct Entry {
  std::string line;
  std::uint64_t tells;
};

/// Blocks. False if the line cannot be written.
bool write_whole(int descriptor, std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(descriptor, line.data(), line.size());
    if (written >= 0) {
      line.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      // Somebody who shares the description has set O_NONBLOCK on it.
      pollfd writable{descriptor, POLLOUT, 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace

struct LineThread::State {
  State(int number, std::shared_ptr<LineDrops> shared_drops)
      : descriptor(number), drops(std::move(shared_drops)) {}

  const int descriptor;
  const std::shared_ptr<LineDrops> drops;
  std::mutex mutex;
  std::condition_variable changed;
  // Guarded by `mutex`. A line stays in the queue while it is being written.
  std::deque<Entry> queue;
  std::size_t bytes = 0;
  bool ends = false;
};

LineThread::LineThread(int descriptor, std::shared_ptr<LineDrops> drops)
    : state_(std::make_shared<State>(descriptor, std::move(drops))) {
  // Before the thread starts: it must never be the one that a signal interrupts.
  const SignalsBlocked guard;
  std::thread(&LineThread::run, state_).detach();
}

LineThread::~LineThread() {
  const std::lock_guard lock(state_->mutex);
  state_->ends = true;
  state_->changed.notify_all();
}

bool LineThread::push(std::string line, std::uint64_t tells) {
  const std::lock_guard lock(state_->mutex);
  if (state_->bytes + line.size() > kQueueBytes) return false;
  state_->bytes += line.size();
  state_->queue.push_back({std::move(line), tells});
  state_->changed.notify_all();
  return true;
}

void LineThread::flush(std::chrono::milliseconds longest) {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait_for(lock, longest, [this] { return state_->queue.empty(); });
}

void LineThread::run(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  for (;;) {
    state->changed.wait(lock, [&] { return state->ends || !state->queue.empty(); });
    if (state->queue.empty()) return;
    // `push` only appends: this reference stays good without the lock.
    const Entry& entry = state->queue.front();
    lock.unlock();
    const bool written = write_whole(state->descriptor, entry.line);
    lock.lock();
    if (!written && entry.tells > 0) state->drops->put_back(entry.tells);
    if (!written && entry.tells == 0) state->drops->add();
    state->bytes -= entry.line.size();
    state->queue.pop_front();
    state->changed.notify_all();
  }
}

}  // namespace limpet::base
