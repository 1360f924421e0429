// Chooses the clients of one emit, on all workers: `io.to("a").to("b").except("c").emit(…)` reaches each
// client that is in a or b and not in c, once. Each call gives a new value; nothing is sent before emit.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/limpet/encode.h"
#include "worker/socketio/broadcast.h"

namespace limpet {

using socketio::EmitResult;

namespace socketio {
class Server;
struct NamespaceState;
}  // namespace socketio

class BroadcastOperator {
 public:
  /// Adds a room; a socket's id is a room of its own. Without any: everybody in the namespace.
  [[nodiscard]] BroadcastOperator to(std::string_view room) const& {
    return BroadcastOperator(*this).to(room);
  }
  [[nodiscard]] BroadcastOperator to(std::string_view room) && {
    rooms_.emplace_back(room);
    return std::move(*this);
  }
  [[nodiscard]] BroadcastOperator in(std::string_view room) const& { return to(room); }
  [[nodiscard]] BroadcastOperator in(std::string_view room) && { return std::move(*this).to(room); }
  [[nodiscard]] BroadcastOperator except(std::string_view room) const& {
    return BroadcastOperator(*this).except(room);
  }
  [[nodiscard]] BroadcastOperator except(std::string_view room) && {
    except_.emplace_back(room);
    return std::move(*this);
  }
  /// Only clients of this worker.
  [[nodiscard]] BroadcastOperator local() const& { return BroadcastOperator(*this).local(); }
  [[nodiscard]] BroadcastOperator local() && {
    local_ = true;
    return std::move(*this);
  }
  /// Not for clients to whom it cannot be sent at once.
  [[nodiscard]] BroadcastOperator volatile_() const& { return BroadcastOperator(*this).volatile_(); }
  [[nodiscard]] BroadcastOperator volatile_() && {
    is_volatile_ = true;
    return std::move(*this);
  }

  /// What became of it for the other workers' clients; this worker's get it in any case.
  template <typename... T>
  EmitResult emit(std::string_view event, const T&... arguments) const {
    socketio::Encoder encoder(socketio::PacketType::Event, namespace_name(), std::nullopt,
                              (std::size_t{0} + ... + socketio::attachments_in(arguments)),
                              ((32 + event.size()) + ... + socketio::size_hint_of(arguments)));
    encoder.event(event);
    (socketio::encode_argument(encoder, arguments), ...);
    return send(encoder);
  }

  /// For the library. `nsp` null: the socket it came from is gone.
  BroadcastOperator(socketio::Server* server, socketio::NamespaceState* nsp) noexcept
      : server_(server), nsp_(nsp) {}
  void leave_out(const std::array<char, 20>& socket_id) noexcept { sender_ = socket_id; }

 private:
  [[nodiscard]] std::string_view namespace_name() const noexcept;
  EmitResult send(socketio::Encoder& encoder) const;

  socketio::Server* server_;
  socketio::NamespaceState* nsp_;
  std::optional<std::array<char, 20>> sender_;
  bool local_ = false;
  bool is_volatile_ = false;
  std::vector<std::string> rooms_;
  std::vector<std::string> except_;
};

}  // namespace limpet
