#include "worker/client/acceptor.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "base/descriptor_limit.h"
#include "base/log.h"

namespace limpet::client {
namespace {

/// Connections accepted from one listener in one turn.
constexpr int kAcceptsPerTurn = 16;
/// Of a socket that all slots share: one worker must not take a whole burst.
constexpr int kSharedAcceptsPerTurn = 2;
constexpr std::chrono::milliseconds kPauseWithoutDescriptors{100};

}  // namespace

Acceptor::Acceptor(loop::Poller& poller, loop::Clock& clock, ipc::CounterBlock& counters, OnAccept on_accept)
    : poller_(poller),
      clock_(clock),
      counters_(counters),
      on_accept_(std::move(on_accept)),
      descriptor_limit_(base::descriptor_limit()) {}

Acceptor::~Acceptor() { close(); }

void Acceptor::add(base::Descriptor listener) { add_to(*this, listeners_, std::move(listener)); }

void Acceptor::add_to(Acceptor& owner, Listeners& listeners, base::Descriptor listener) {
  // Accepted sockets inherit it. Fails on a Unix socket, which needs none.
  const int on = 1;
  ::setsockopt(listener.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int domain = AF_UNSPEC;
  socklen_t size = sizeof domain;
  (void)::getsockopt(listener.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size);
  const auto index = static_cast<std::uint16_t>(listeners.size());
  listeners.push_back(std::make_unique<Listener>(owner, std::move(listener), index));
  listeners.back()->accepts_per_turn = domain == AF_UNIX ? kSharedAcceptsPerTurn : kAcceptsPerTurn;
}

void Acceptor::borrow(std::uint16_t slot, std::vector<base::Descriptor> listeners) {
  give_back(slot);
  Listeners& place = borrowed_[slot];
  for (base::Descriptor& listener : listeners) add_to(*this, place, std::move(listener));
  if (watching_) watch(place);
}

void Acceptor::give_back(std::uint16_t slot) {
  const auto found = borrowed_.find(slot);
  if (found == borrowed_.end()) return;
  if (watching_) unwatch(found->second);
  borrowed_.erase(found);
}

void Acceptor::watch(const Listeners& listeners) {
  for (const auto& listener : listeners) {
    if (!poller_.add(listener->descriptor.get(), EPOLLIN, *listener))
      base::throw_system_error("watch a listening socket");
  }
}

void Acceptor::unwatch(const Listeners& listeners) {
  for (const auto& listener : listeners) poller_.remove(listener->descriptor.get(), *listener);
}

void Acceptor::start() {
  retry_at_ = loop::TimePoint::max();
  if (std::exchange(watching_, true)) return;
  watch(listeners_);
  for (const auto& [slot, listeners] : borrowed_) watch(listeners);
}

void Acceptor::pause_watching() {
  if (!std::exchange(watching_, false)) return;
  unwatch(listeners_);
  for (const auto& [slot, listeners] : borrowed_) unwatch(listeners);
}

void Acceptor::stop() {
  retry_at_ = loop::TimePoint::max();
  pause_watching();
  borrowed_.clear();
}

void Acceptor::close() {
  stop();
  for (const auto& listener : listeners_) listener->descriptor = {};
}

void Acceptor::tick() {
  if (retry_at_ > clock_.now()) return;
  if (must_leave_the_rest()) {
    retry_at_ = clock_.now() + kPauseWithoutDescriptors;
  } else {
    start();
  }
}

void Acceptor::pause(const char* why) {
  counters_.add(ipc::Counter::AcceptPauses);
  base::log_at_most(log_gate_, clock_.now(), base::LogLevel::Warning, [&] {
    return fmt::format("accept: {}; accepting again in {} ms, those that are here are served", why,
                       kPauseWithoutDescriptors.count());
  });
  pause_watching();
  retry_at_ = clock_.now() + kPauseWithoutDescriptors;
}

void Acceptor::Listener::on_ready(std::uint32_t) {
  if (acceptor.watching_) acceptor.accept_from(*this);
}

void Acceptor::accept_from(Listener& listener) {
  for (int i = 0; i < listener.accepts_per_turn; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const int socket = ::accept4(listener.descriptor.get(), reinterpret_cast<sockaddr*>(&address), &size,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket >= 0) {
      counters_.add(ipc::Counter::ConnectionsAccepted);
      on_accept_(base::Descriptor(socket), PeerAddress::from(address), listener.index);
      last_number_ = static_cast<std::uint64_t>(socket);
      // All slots share this socket: whoever wakes first must not take everything that waits.
      if (address.ss_family == AF_UNIX) return;
      if (must_leave_the_rest())
        return pause("the other descriptors are for sessions that are on their way here");
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
      return pause(std::strerror(errno));
    if (errno == EAGAIN) return;
    // ECONNABORTED and network errors of the one connection (accept(2)): the next one may be fine.
  }
}

}  // namespace limpet::client
