// Readiness of every client socket of a worker: one epoll set of our own. Asio watches this set as one
// descriptor, and an idle client costs no Asio state (docs/DECISIONS.md).
// Owns the set, not the descriptors in it. Level-triggered.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/descriptor.h"
#include "worker/loop/allowance.h"

namespace limpet::loop {

class Poller {
 public:
  class Subscriber {
   public:
    /// `events`: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP, of some turns ago when many are ready:
    /// what it stands for may have been read by now, or have been masked. Never after remove().
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
  void remove(int descriptor, const Subscriber& subscriber) noexcept;
  /// Calls the subscribers that are ready, none after `allowance` was denied to one; never waits. Whoever was
  /// not called comes first in the next turn, so that each has waited for the same others. True if more may
  /// be ready.
  bool dispatch(const Allowance& allowance);

 private:
  /// Events of one batch.
  static constexpr std::size_t kBatch = 256;

  /// Calls those of the batch that are left. False if one of them was denied.
  bool dispatch_batch(const Allowance& allowance);
  /// True if the kernel may have more than the batch has room for.
  bool next_batch();

  base::Descriptor set_;
  /// As the kernel told them. They are kept over turns: it moves whoever it has told of behind all others.
  std::array<epoll_event, kBatch> batch_;
  std::size_t next_ = 0;  ///< in batch_: whom to call, up to end_
  std::size_t end_ = 0;
};

}  // namespace limpet::loop
