#include "worker/loop/watch.h"

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <utility>

namespace limpet::loop {

namespace asio = boost::asio;

struct Watch::State {
  State(asio::io_context& context, int number, std::function<void()> callback)
      : descriptor(context, number), on_ready(std::move(callback)) {}
  asio::posix::stream_descriptor descriptor;
  std::function<void()> on_ready;
  std::array<bool, 2> armed{};  ///< by For
};

Watch::Watch(asio::io_context& context, int descriptor, std::function<void()> on_ready)
    : state_(std::make_shared<State>(context, descriptor, std::move(on_ready))) {}

Watch::~Watch() {
  if (state_->descriptor.is_open())
    (void)state_->descriptor.release();  // the caller's; pending waits are cancelled
}

void Watch::arm(For what) {
  const auto index = static_cast<std::size_t>(what);
  if (std::exchange(state_->armed[index], true)) return;
  using Wait = asio::posix::descriptor_base;
  state_->descriptor.async_wait(
      what == For::Input ? Wait::wait_read : Wait::wait_write,
      [state = std::weak_ptr(state_), index](const boost::system::error_code& error) {
        const auto alive = state.lock();
        if (error || alive == nullptr) return;
        alive->armed[index] = false;
        alive->on_ready();
      });
}

}  // namespace limpet::loop
