// Who acts on what comes from a worker's process: its messages, its end. The cluster; an interface so that
// its parts need not know it.
#pragma once

namespace limpet::supervisor {

class Worker;

class Watcher {
 public:
  virtual ~Watcher() = default;

  /// From now on what it says is read, and its end is taken.
  virtual void watch(Worker& worker) = 0;
  /// What it has said by now: before it is judged by its silence.
  virtual void read_messages(Worker& worker) = 0;
};

}  // namespace limpet::supervisor
