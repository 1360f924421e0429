// The listening socket of one unix:///PATH, which all slots share: Unix sockets have no SO_REUSEPORT. Owns
// the socket's file and a lock beside it (PATH.lock), and removes at its end what is still its own. What
// another supervisor left behind when it was killed is replaced; what another one serves, and a file that is
// no socket, is refused.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/address.h"
#include "base/descriptor.h"
#include "base/file_id.h"
#include "supervisor/system/lock_file.h"

namespace limpet::supervisor {

class UnixListener {
 public:
  /// `mode`: of the file. Throws std::system_error or std::runtime_error, naming the address.
  UnixListener(const base::Address& address, mode_t mode, int backlog);
  /// The one that an upgrade carries over.
  UnixListener(const base::Address& address, base::Descriptor socket, base::Descriptor lock);
  /// Whether somebody has removed the socket's file or the lock: nobody new gets in then.
  [[nodiscard]] bool is_swept() const;
  /// Both once more. Who is connected stays so; whoever accepts at the old socket hears of no new client.
  /// Throws as the first constructor does.
  void restore(mode_t mode, int backlog);
  /// Nobody came to accept at the socket that restore() made: a client that is refused knows more than one
  /// that waits.
  void withdraw() noexcept;
  UnixListener(UnixListener&&) noexcept = default;
  UnixListener& operator=(UnixListener&&) = delete;
  ~UnixListener();

  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
  [[nodiscard]] int lock() const noexcept { return lock_.descriptor(); }

 private:
  [[nodiscard]] LockFile take_lock() const;
  void open(mode_t mode, int backlog);

  base::Address address_;
  std::string path_;
  LockFile lock_;  ///< before the socket: gone behind it, for whoever finds none may start
  base::Descriptor socket_;
  std::optional<base::FileId> file_;  ///< of the socket
};

}  // namespace limpet::supervisor
