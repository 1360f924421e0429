// One worker process: everything it is made of, and its loop. With a heritage it is a tenant of a slot and
// does what the supervisor says; without one it is alone and serves its own listening sockets.
//
// One turn of the loop (docs/design.md): asleep → rings once more → wait → awake → accept and read, bounded →
// rings, bounded → timers → one write per connection → flush the own ring → beat.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "ipc/birth/heritage.h"
#include "worker/process/settings.h"

namespace limpet {
class Io;
}

namespace limpet::process {

class Worker {
 public:
  using Setup = std::function<void(Io&)>;

  /// Under a supervisor, from the descriptors of ipc/birth/heritage.h. Throws std::system_error or
  /// std::runtime_error.
  Worker(const ipc::Heritage& heritage, Settings settings, Setup setup);
  /// Alone, on settings.listen.
  Worker(Settings settings, Setup setup);
  ~Worker();

  /// Runs until drained or told to stop; gives the exit code.
  int run();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace limpet::process
