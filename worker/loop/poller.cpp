#include "worker/loop/poller.h"

#include "base/check.h"

namespace limpet::loop {
namespace {

epoll_event event_of(std::uint32_t events, Poller::Subscriber& subscriber) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &subscriber;
  return event;
}

}  // namespace

Poller::Poller() : set_(base::require(::epoll_create1(EPOLL_CLOEXEC), "create an epoll set")) {}

bool Poller::add(int descriptor, std::uint32_t events, Subscriber& subscriber) noexcept {
  epoll_event event = event_of(events, subscriber);
  return ::epoll_ctl(set_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void Poller::modify(int descriptor, std::uint32_t events, Subscriber& subscriber) noexcept {
  epoll_event event = event_of(events, subscriber);
  const int result = ::epoll_ctl(set_.get(), EPOLL_CTL_MOD, descriptor, &event);
  CHECK(result == 0, "a descriptor of ours is not in our epoll set");
}

void Poller::remove(int descriptor, const Subscriber& subscriber) noexcept {
  ::epoll_ctl(set_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
  // Most often the one that is being called.
  for (std::size_t i = next_; i < end_; ++i) {
    if (batch_[i].data.ptr != &subscriber) continue;
    batch_[i].data.ptr = nullptr;
    return;
  }
}

bool Poller::dispatch(const Allowance& allowance) {
  if (!dispatch_batch(allowance)) return true;
  const bool more = next_batch();
  return !dispatch_batch(allowance) || more;
}

bool Poller::dispatch_batch(const Allowance& allowance) {
  for (; next_ < end_; ++next_) {
    const epoll_event event = batch_[next_];
    if (event.data.ptr == nullptr) continue;
    static_cast<Subscriber*>(event.data.ptr)->on_ready(event.events);
    if (allowance.denied()) return false;  // it is called again: it may have been denied all it wanted
  }
  return true;
}

bool Poller::next_batch() {
  const int got = ::epoll_wait(set_.get(), batch_.data(), kBatch, 0);
  next_ = 0;
  end_ = got > 0 ? static_cast<std::size_t>(got) : 0;
  return end_ == kBatch;
}

}  // namespace limpet::loop
