#include "worker/process/acceptor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstring>

namespace limpet::process {
namespace {

/// Connections accepted from one listener in one turn.
constexpr int kAcceptsPerTurn = 64;
/// Of a socket that all slots share: one worker must not take a whole burst.
constexpr int kSharedAcceptsPerTurn = 2;
constexpr std::chrono::milliseconds kPauseWithoutDescriptors{100};

}  // namespace

Acceptor::Acceptor(Poller& poller, http::Clock& clock, ipc::CounterBlock& counters, OnAccept on_accept)
    : poller_(poller), clock_(clock), counters_(counters), on_accept_(std::move(on_accept)) {}

Acceptor::~Acceptor() { close(); }

void Acceptor::add(ipc::Descriptor listener) {
  // Accepted sockets inherit it. Fails on a Unix socket, which needs none.
  const int on = 1;
  ::setsockopt(listener.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int domain = AF_UNSPEC;
  socklen_t size = sizeof domain;
  (void)::getsockopt(listener.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size);
  const auto index = static_cast<std::uint16_t>(listeners_.size());
  listeners_.push_back(std::make_unique<Listener>(*this, std::move(listener), index));
  listeners_.back()->accepts_per_turn = domain == AF_UNIX ? kSharedAcceptsPerTurn : kAcceptsPerTurn;
}

void Acceptor::start() {
  retry_at_ = http::TimePoint::max();
  if (watching_) return;
  watching_ = true;
  for (const auto& listener : listeners_) {
    if (!poller_.add(listener->descriptor.get(), EPOLLIN, *listener))
      ipc::throw_system_error("watch a listening socket");
  }
}

void Acceptor::stop() {
  retry_at_ = http::TimePoint::max();
  if (!watching_) return;
  watching_ = false;
  for (const auto& listener : listeners_) poller_.remove(listener->descriptor.get());
}

void Acceptor::close() {
  stop();
  for (const auto& listener : listeners_) listener->descriptor = {};
}

void Acceptor::tick() {
  if (retry_at_ <= clock_.now()) start();
}

void Acceptor::pause() {
  stop();
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
      on_accept_(ipc::Descriptor(socket), PeerAddress::from(address), listener.index);
      // All slots share this socket: whoever wakes first must not take everything that waits.
      if (address.ss_family == AF_UNIX) return;
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      spdlog::warn("accept: {}; accepting again in {} ms", std::strerror(errno),
                   kPauseWithoutDescriptors.count());
      pause();
      return;
    }
    if (errno == EAGAIN) return;
    // ECONNABORTED and network errors of the one connection (accept(2)): the next one may be fine.
  }
}

}  // namespace limpet::process
