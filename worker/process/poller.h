// Readiness of every client socket of a worker: one epoll set of our own. Asio watches this set as one
// descriptor, so a turn of the loop is one batch, and an idle client costs no Asio state (docs/DECISIONS.md).
// Owns the set, not the descriptors in it. Level-triggered.
#pragma once

#include <cstdint>

#include "ipc/descriptor.h"
#include "worker/http/allowance.h"

namespace limpet::process {

class Poller {
 public:
  class Subscriber {
   public:
    /// `events`: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP. May be called for a descriptor that was
    /// removed earlier in the same batch: a subscriber lives to the end of the turn, and ignores such a call.
    virtual void on_ready(std::uint32_t events) = 0;

   protected:
    ~Subscriber() = default;
  };

  /// Throws std::system_error.
  Poller();

  [[nodiscard]] int descriptor() const noexcept { return set_.get(); }
  /// False if the kernel has no room (ENOSPC, ENOMEM): the caller closes the descriptor.
  [[nodiscard]] bool add(int descriptor, std::uint32_t events, Subscriber& subscriber) noexcept;
  void modify(int descriptor, std::uint32_t events, Subscriber& subscriber) noexcept;
  void remove(int descriptor) noexcept;
  /// Calls the subscribers that are ready, at most one batch, and none after `allowance` was denied to one;
  /// never waits. Those that were not called come first in the next turn. True if more may be ready.
  bool dispatch(const http::Allowance& allowance);

 private:
  ipc::Descriptor set_;
  std::size_t first_ = 0;  ///< in the next batch: the kernel tells of those that stay ready in the same order
};

}  // namespace limpet::process
