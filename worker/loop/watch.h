// Asio's word that a descriptor is ready, once for each arm(). Holds no bytes and does not own the
// descriptor.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace limpet::loop {

class Watch {
 public:
  enum class For : std::uint8_t { Input, Room };

  /// `on_ready` runs inside the context, after arm(). Throws std::system_error.
  Watch(boost::asio::io_context& context, int descriptor, std::function<void()> on_ready);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// Asks for the next readiness; nothing if it is asked for already.
  void arm(For what = For::Input);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace limpet::loop
