#include "supervisor/system/loop.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <algorithm>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

namespace limpet::supervisor {

namespace asio = boost::asio;
using boost::system::error_code;

struct Loop::State {
  asio::io_context context{1};
  // The loop runs until stop(), also while nothing is awaited.
  asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(context);
};

Loop::Loop() : state_(std::make_unique<State>()) {}
Loop::~Loop() = default;
void Loop::run() { state_->context.run(); }
void Loop::stop() { state_->context.stop(); }

// Each State below lives on in the handlers that Asio still holds; `active` tells them whether anybody is
// there.

struct Readiness::State {
  asio::posix::stream_descriptor descriptor;
  asio::posix::stream_descriptor::wait_type kind;
  std::function<void()> on_ready;
  bool active = true;

  static void await(const std::shared_ptr<State>& state) {
    state->descriptor.async_wait(state->kind, [state](const error_code& error) {
      if (error || !state->active) return;
      state->on_ready();
      if (state->active) await(state);
    });
  }
};

Readiness::Readiness(Loop& loop, int descriptor, Kind kind, std::function<void()> on_ready)
    : state_(std::make_shared<State>(State{asio::posix::stream_descriptor(loop.state().context, descriptor),
                                           kind == Kind::Read ? asio::posix::stream_descriptor::wait_read
                                                              : asio::posix::stream_descriptor::wait_write,
                                           std::move(on_ready)})) {
  State::await(state_);
}

Readiness::~Readiness() {
  state_->active = false;
  state_->descriptor.release();  // the number is the owner's, who closes it
}

struct Timer::State {
  asio::steady_timer timer;
  std::function<void()> on_time;
  std::uint64_t round = 0;  ///< a handler of an earlier round finds that it is not meant
  bool running = false;
};

std::chrono::milliseconds left_until(std::chrono::steady_clock::time_point time) noexcept {
  using std::chrono::milliseconds;
  const auto left = std::chrono::duration_cast<milliseconds>(time - std::chrono::steady_clock::now());
  return std::max(left, milliseconds(0));
}

Timer::Timer(Loop& loop)
    : state_(std::make_shared<State>(State{asio::steady_timer(loop.state().context), {}})) {}

Timer::~Timer() { cancel(); }

void Timer::start(std::chrono::milliseconds after, std::function<void()> on_time) {
  state_->on_time = std::move(on_time);
  state_->running = true;
  state_->timer.expires_after(after);
  state_->timer.async_wait([state = state_, round = ++state_->round](const error_code&) {
    if (round != state->round || !state->running) return;
    state->running = false;
    const auto callback = std::move(state->on_time);
    callback();
  });
}

void Timer::cancel() {
  state_->running = false;
  state_->timer.cancel();
}

bool Timer::running() const noexcept { return state_->running; }

struct SignalSource::State {
  State(Loop& loop, std::function<void(int)> callback)
      : signals(loop.state().context), on_signal(std::move(callback)) {}

  asio::signal_set signals;
  std::function<void(int)> on_signal;
  bool active = true;

  static void await(const std::shared_ptr<State>& state) {
    state->signals.async_wait([state](const error_code& error, int number) {
      if (error || !state->active) return;
      state->on_signal(number);
      if (state->active) await(state);
    });
  }
};

SignalSource::SignalSource(Loop& loop, std::initializer_list<int> numbers, std::function<void(int)> on_signal)
    : state_(std::make_shared<State>(loop, std::move(on_signal))) {
  for (const int number : numbers) state_->signals.add(number);
  State::await(state_);
}

SignalSource::~SignalSource() {
  state_->active = false;
  state_->signals.cancel();
}

namespace {

base::Descriptor descriptor_of(int number) {
  sigset_t one;
  ::sigemptyset(&one);
  ::sigaddset(&one, number);
  return base::Descriptor(base::require(::signalfd(-1, &one, SFD_NONBLOCK | SFD_CLOEXEC), "signalfd"));
}

}  // namespace

BlockedSignal::BlockedSignal(Loop& loop, int number, std::function<void()> on_signal)
    : descriptor_(descriptor_of(number)),
      on_readable_(loop, descriptor_.get(), Readiness::Kind::Read, [this, on_signal = std::move(on_signal)] {
        signalfd_siginfo info;
        if (::read(descriptor_.get(), &info, sizeof info) == sizeof info) on_signal();
      }) {}

}  // namespace limpet::supervisor
