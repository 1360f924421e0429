#include "tests/bench/load_generator/crowd.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace limpet::bench {
namespace {

/// Below every accept queue: a full one would make clients wait a second for their next SYN.
constexpr std::size_t kConnectingAtOnce = 128;
/// A silence after which clients that have not joined are taken for forgotten; the kernel retries a SYN
/// earlier.
constexpr std::chrono::seconds kForgotten{4};
constexpr std::size_t kBufferBytes = 256 * 1024;
constexpr int kEventsPerTurn = 1024;

/// Counts who has joined; anything else is premature.
class Gathering : public Workload {
 public:
  void on_joined(Client&) override { ++joined; }
  void on_packet(Client&, std::string_view) override {
    throw std::runtime_error("crowd: a packet before anyone sent one");
  }
  std::size_t joined = 0;
};

}  // namespace

Crowd::Crowd(std::uint16_t port, std::vector<Caller> callers, std::size_t size)
    : port_(port),
      callers_(std::move(callers)),
      epoll_(base::require(epoll_create1(EPOLL_CLOEXEC), "crowd: make an epoll set")),
      clients_(size),
      buffer_(kBufferBytes) {
  raise_open_files(size);
}

void Crowd::connect(std::size_t number) {
  clients_[number].connect(callers_[number % callers_.size()], port_, epoll_.get(),
                           static_cast<std::uint32_t>(number));
}

void Crowd::connect_all() {
  Gathering gathering;
  std::size_t started = 0;
  while (gathering.joined < size()) {
    while (started < size() && started - gathering.joined < kConnectingAtOnce) connect(started++);
    if (act(gathering, kForgotten) == 0) retry_forgotten(started);
  }
}

void Crowd::retry_forgotten(std::size_t started) {
  for (std::size_t number = 0; number < started; ++number) {
    if (clients_[number].state() == Client::State::Joined) continue;
    if (++retried_ > size()) throw std::runtime_error("crowd: the server answers no new client");
    clients_[number].drop();
    connect(number);
  }
}

void Crowd::turn(Workload& workload) {
  if (act(workload, kPatience) == 0) throw std::runtime_error("the server has been silent for too long");
}

void Crowd::turn_for(Workload& workload, std::chrono::milliseconds wait) { (void)act(workload, wait); }

int Crowd::act(Workload& workload, std::chrono::milliseconds wait) {
  std::array<epoll_event, kEventsPerTurn> events;
  const int ready = epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, static_cast<int>(wait.count()));
  if (ready == -1 && errno == EINTR) return act(workload, wait);
  base::require(ready, "crowd: wait for readiness");
  for (int at = 0; at < ready; ++at) {
    clients_[events[static_cast<std::size_t>(at)].data.u32].on_ready(epoll_.get(), workload, buffer_);
  }
  return ready;
}

}  // namespace limpet::bench
