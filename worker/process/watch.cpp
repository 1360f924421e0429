#include "worker/process/watch.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

namespace limpet::process {

namespace asio = boost::asio;

struct Watch::State {
  State(asio::io_context& context, int number, std::function<void()> callback)
      : descriptor(context, number), on_readable(std::move(callback)) {}
  asio::posix::stream_descriptor descriptor;
  std::function<void()> on_readable;
  bool armed = false;
};

Watch::Watch(asio::io_context& context, int descriptor, std::function<void()> on_readable)
    : state_(std::make_shared<State>(context, descriptor, std::move(on_readable))) {}

Watch::~Watch() {
  if (state_->descriptor.is_open())
    (void)state_->descriptor.release();  // the caller's; pending waits are cancelled
}

void Watch::arm() {
  if (state_->armed) return;
  state_->armed = true;
  state_->descriptor.async_wait(asio::posix::descriptor_base::wait_read,
                                [state = std::weak_ptr(state_)](const boost::system::error_code& error) {
                                  const auto alive = state.lock();
                                  if (error || alive == nullptr) return;
                                  alive->armed = false;
                                  alive->on_readable();
                                });
}

}  // namespace limpet::process
