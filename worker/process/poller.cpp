#include "worker/process/poller.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <utility>

#include "ipc/check.h"

namespace limpet::process {
namespace {

/// Events of one batch: bounds a turn, so that rings and timers get their share.
constexpr int kBatch = 256;

epoll_event event_of(std::uint32_t events, Poller::Subscriber& subscriber) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &subscriber;
  return event;
}

}  // namespace

Poller::Poller() : set_(ipc::require(::epoll_create1(EPOLL_CLOEXEC), "create an epoll set")) {}

bool Poller::add(int descriptor, std::uint32_t events, Subscriber& subscriber) noexcept {
  epoll_event event = event_of(events, subscriber);
  return ::epoll_ctl(set_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void Poller::modify(int descriptor, std::uint32_t events, Subscriber& subscriber) noexcept {
  epoll_event event = event_of(events, subscriber);
  const int result = ::epoll_ctl(set_.get(), EPOLL_CTL_MOD, descriptor, &event);
  CHECK(result == 0, "a descriptor of ours is not in our epoll set");
}

void Poller::remove(int descriptor) noexcept { ::epoll_ctl(set_.get(), EPOLL_CTL_DEL, descriptor, nullptr); }

bool Poller::dispatch(const http::Allowance& allowance) {
  std::array<epoll_event, kBatch> events;
  const int got = ::epoll_wait(set_.get(), events.data(), kBatch, 0);
  const std::size_t ready = got > 0 ? static_cast<std::size_t>(got) : 0;
  const std::size_t first = std::exchange(first_, 0) % std::max<std::size_t>(ready, 1);
  for (std::size_t i = 0; i < ready; ++i) {
    const std::size_t at = first + i < ready ? first + i : first + i - ready;
    static_cast<Subscriber*>(events[at].data.ptr)->on_ready(events[at].events);
    if (!allowance.denied()) continue;
    first_ = at;  // it was denied, or had its share: nobody after it was called
    return true;
  }
  return ready == kBatch;
}

}  // namespace limpet::process
