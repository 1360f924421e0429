// The answer to an event for which the client waits. A small value that can be kept and called later, once;
// when its socket is gone, or was answered already, or the client did not ask, calling it does nothing and
// returns false.
#pragma once

#include <cstdint>
#include <utility>

#include "worker/limpet/encode.h"

namespace limpet {

namespace socketio {
class Server;
/// Shared by the copies of one Ack.
struct AckState {
  Server* server;
  std::uint64_t id;
  std::uint32_t index;
  std::uint32_t epoch;
  std::uint32_t references;
  bool answered;
};
}  // namespace socketio

class Ack {
 public:
  Ack() = default;
  explicit Ack(socketio::AckState* state) noexcept : state_(state) {}
  Ack(const Ack& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) ++state_->references;
  }
  Ack(Ack&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Ack& operator=(Ack other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~Ack() {
    if (state_ != nullptr && --state_->references == 0) delete state_;
  }

  /// The client waits for an answer and has got none.
  explicit operator bool() const noexcept { return state_ != nullptr && !state_->answered; }

  /// Answers with these values; the types are those of emit.
  template <typename... T>
  bool operator()(const T&... values) const {
    if (!*this) return false;
    const std::string_view nsp = namespace_name();
    if (nsp.empty()) return false;
    socketio::Encoder encoder(socketio::PacketType::Ack, nsp, state_->id,
                              (std::size_t{0} + ... + socketio::attachments_in(values)),
                              (std::size_t{32} + ... + socketio::size_hint_of(values)));
    (socketio::encode_argument(encoder, values), ...);
    return send(encoder);
  }

 private:
  /// Empty if the socket is gone.
  [[nodiscard]] std::string_view namespace_name() const noexcept;
  bool send(socketio::Encoder& encoder) const;

  socketio::AckState* state_ = nullptr;
};

}  // namespace limpet
