// Accepts from the slot's listening sockets, and those of closed slots that it is the heir of, while the
// worker is seated: a bounded number per turn, and a
// pause instead of a spin when the process or the machine is out of descriptors. Owns the listening
// descriptors; connections that wait in their queues outlive this worker, because the supervisor holds the
// sockets open too.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/descriptor.h"
#include "base/log_gate.h"
#include "ipc/shared/counters.h"
#include "worker/client/peer_address.h"
#include "worker/loop/clock.h"
#include "worker/loop/poller.h"

namespace limpet::client {

class Acceptor {
 public:
  using OnAccept =
      std::function<void(base::Descriptor socket, const PeerAddress& peer, std::uint16_t listener)>;

  Acceptor(loop::Poller& poller, loop::Clock& clock, ipc::CounterBlock& counters, OnAccept on_accept);
  ~Acceptor();

  /// A bound, listening socket; the order of calls is the number of the listener.
  void add(base::Descriptor listener);
  /// The sockets of a closed slot as well, in the same order. Again: the new ones take the place of the old.
  void borrow(std::uint16_t slot, std::vector<base::Descriptor> listeners);
  void give_back(std::uint16_t slot);
  void start();
  /// The borrowed ones are forgotten.
  void stop();
  /// Gives the descriptors back: nothing can be accepted through this worker any more.
  void close();
  /// So many numbers of descriptors are left to others: the limit of the process without them is the one for
  /// what is accepted.
  void keep_free(std::uint64_t descriptors) noexcept { kept_free_ = descriptors; }
  /// Listens again after a pause that has passed.
  void tick();
  [[nodiscard]] loop::TimePoint next_deadline() const noexcept { return retry_at_; }

 private:
  struct Listener final : loop::Poller::Subscriber {
    Listener(Acceptor& owner, base::Descriptor socket, std::uint16_t number)
        : acceptor(owner), descriptor(std::move(socket)), index(number) {}
    void on_ready(std::uint32_t events) override;
    Acceptor& acceptor;
    base::Descriptor descriptor;
    std::uint16_t index;
    int accepts_per_turn = 1;
  };
  using Listeners = std::vector<std::unique_ptr<Listener>>;
  static void add_to(Acceptor& owner, Listeners& listeners, base::Descriptor listener);
  void watch(const Listeners& listeners);
  void unwatch(const Listeners& listeners);
  void pause_watching();
  void accept_from(Listener& listener);
  void pause(const char* why);
  /// The kernel gives the lowest number that is free: as many are in use at least.
  [[nodiscard]] bool must_leave_the_rest() const noexcept {
    return kept_free_ > 0 && last_number_ + kept_free_ >= descriptor_limit_;
  }

  loop::Poller& poller_;
  loop::Clock& clock_;
  ipc::CounterBlock& counters_;
  OnAccept on_accept_;
  base::LogGate log_gate_;
  Listeners listeners_;
  std::map<std::uint16_t, Listeners> borrowed_;  ///< by slot
  std::uint64_t descriptor_limit_;
  std::uint64_t kept_free_ = 0;
  std::uint64_t last_number_ = 0;  ///< of what was accepted last
  loop::TimePoint retry_at_ = loop::TimePoint::max();
  bool watching_ = false;
};

}  // namespace limpet::client
