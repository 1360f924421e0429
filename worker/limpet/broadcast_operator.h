// Chooses the clients of one emit, on all workers: `io.to("a").to("b").except("c").emit(…)` reaches each
// client that is in a or b and not in c, once. Each call gives a new value, at the same cost however many
// rooms there are (room_list.h); nothing is sent before emit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>

#include "base/limits.h"
#include "worker/limpet/detail/encode.h"
#include "worker/limpet/detail/room_list.h"
#include "worker/socketio/broadcast.h"

namespace limpet {

using socketio::EmitResult;

namespace socketio {
class Server;
struct NamespaceState;
}  // namespace socketio

class BroadcastOperator {
 public:
  /// Adds a room; a socket's id is a room of its own. Without any: everybody in the namespace. Throws
  /// std::length_error for a name of more than 65,535 bytes, and if there are more than 65,535 rooms.
  [[nodiscard]] BroadcastOperator to(std::string_view room) const& {
    return BroadcastOperator(*this).to(room);
  }
  [[nodiscard]] BroadcastOperator to(std::string_view room) && {
    rooms_.add(room, socketio::kMostRooms);
    return std::move(*this);
  }
  /// Adds all of them.
  template <detail::RoomRange R>
  [[nodiscard]] BroadcastOperator to(R&& rooms) const& {
    return BroadcastOperator(*this).to(rooms);
  }
  template <detail::RoomRange R>
  [[nodiscard]] BroadcastOperator to(R&& rooms) && {
    for (auto&& room : rooms) rooms_.add(room, socketio::kMostRooms);
    return std::move(*this);
  }
  [[nodiscard]] BroadcastOperator to(std::initializer_list<std::string_view> rooms) const& {
    return BroadcastOperator(*this).to<std::initializer_list<std::string_view>&>(rooms);
  }
  [[nodiscard]] BroadcastOperator to(std::initializer_list<std::string_view> rooms) && {
    return std::move(*this).to<std::initializer_list<std::string_view>&>(rooms);
  }
  template <typename Rooms>
  [[nodiscard]] BroadcastOperator in(Rooms&& rooms) const& {
    return to(std::forward<Rooms>(rooms));
  }
  template <typename Rooms>
  [[nodiscard]] BroadcastOperator in(Rooms&& rooms) && {
    return std::move(*this).to(std::forward<Rooms>(rooms));
  }
  [[nodiscard]] BroadcastOperator in(std::initializer_list<std::string_view> rooms) const& {
    return to(rooms);
  }
  [[nodiscard]] BroadcastOperator in(std::initializer_list<std::string_view> rooms) && {
    return std::move(*this).to(rooms);
  }
  /// Leaves out who is in that room, or in one of these. Throws as to() does.
  [[nodiscard]] BroadcastOperator except(std::string_view room) const& {
    return BroadcastOperator(*this).except(room);
  }
  [[nodiscard]] BroadcastOperator except(std::string_view room) && {
    except_.add(room, most_exceptions());
    return std::move(*this);
  }
  template <detail::RoomRange R>
  [[nodiscard]] BroadcastOperator except(R&& rooms) const& {
    return BroadcastOperator(*this).except(rooms);
  }
  template <detail::RoomRange R>
  [[nodiscard]] BroadcastOperator except(R&& rooms) && {
    for (auto&& room : rooms) except_.add(room, most_exceptions());
    return std::move(*this);
  }
  [[nodiscard]] BroadcastOperator except(std::initializer_list<std::string_view> rooms) const& {
    return BroadcastOperator(*this).except<std::initializer_list<std::string_view>&>(rooms);
  }
  [[nodiscard]] BroadcastOperator except(std::initializer_list<std::string_view> rooms) && {
    return std::move(*this).except<std::initializer_list<std::string_view>&>(rooms);
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
    detail::Encoder encoder(socketio::PacketType::Event, namespace_name(), std::nullopt,
                            (std::size_t{0} + ... + detail::attachments_in(arguments)),
                            ((32 + event.size()) + ... + detail::size_hint_of(arguments)));
    encoder.event(event);
    (detail::encode_argument(encoder, arguments), ...);
    return send(encoder);
  }

  /// For the library. `nsp` null: the socket it came from is gone.
  BroadcastOperator(socketio::Server* server, socketio::NamespaceState* nsp) noexcept
      : server_(server), nsp_(nsp) {}
  void leave_out(const std::array<char, base::kIdBytes>& socket_id) noexcept { sender_ = socket_id; }

 private:
  [[nodiscard]] std::string_view namespace_name() const noexcept;
  EmitResult send(detail::Encoder& encoder) const;
  /// The sender is one of them.
  [[nodiscard]] std::size_t most_exceptions() const noexcept {
    return socketio::kMostRooms - (sender_ ? 1 : 0);
  }

  socketio::Server* server_;
  socketio::NamespaceState* nsp_;
  std::optional<std::array<char, base::kIdBytes>> sender_;
  bool local_ = false;
  bool is_volatile_ = false;
  detail::RoomList rooms_;
  detail::RoomList except_;
};

}  // namespace limpet
