// Asio's word that a descriptor is readable, once for each arm(). Holds no bytes and does not own the
// descriptor.
#pragma once

#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace limpet::process {

class Watch {
 public:
  /// `on_readable` runs inside the context, after arm(). Throws std::system_error.
  Watch(boost::asio::io_context& context, int descriptor, std::function<void()> on_readable);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// Asks for the next readiness; nothing if it is asked for already.
  void arm();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace limpet::process
