// The answer to an event for which the client waits. A small value that can be kept and called later, once;
// when its socket is gone, or was answered already, or the client did not ask, calling it does nothing and
// returns false.
#pragma once

#include <utility>

#include "worker/limpet/detail/encode.h"
#include "worker/socketio/ack_state.h"

namespace limpet {

class Ack {
 public:
  Ack() = default;
  /// For the library.
  explicit Ack(socketio::AckRef state) noexcept : state_(std::move(state)) {}

  /// The client waits for an answer and has got none.
  explicit operator bool() const noexcept { return state_.get() != nullptr && !state_.get()->answered; }

  /// Answers with these values; the types are those of emit.
  template <typename... T>
  bool operator()(const T&... values) const {
    if (!*this) return false;
    const std::string_view nsp = namespace_name();
    if (nsp.empty()) return false;
    detail::Encoder encoder(socketio::PacketType::Ack, nsp, state_.get()->id,
                            (std::size_t{0} + ... + detail::attachments_in(values)),
                            (std::size_t{32} + ... + detail::size_hint_of(values)));
    (detail::encode_argument(encoder, values), ...);
    return send(encoder);
  }

 private:
  /// Empty if the socket is gone.
  [[nodiscard]] std::string_view namespace_name() const noexcept;
  bool send(detail::Encoder& encoder) const;

  socketio::AckRef state_;
};

}  // namespace limpet
