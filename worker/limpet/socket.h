// One client in one namespace. A Socket is a small value (law 11 of docs/design.md): copy it, keep it,
// compare it. When its client is gone it does nothing, and says so where it returns something.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "worker/limpet/auth.h"
#include "worker/limpet/broadcast_operator.h"
#include "worker/limpet/detail/encode.h"
#include "worker/limpet/detail/handler.h"
#include "worker/socketio/socket_handle.h"

namespace limpet {

namespace application {
class GuardedHandlers;
}
namespace detail {
template <typename T>
struct Parameter;
}
namespace socketio {
struct SocketState;
}

/// The request with which the client came. Views live as long as its connection; empty for a socket that is
/// gone.
struct Handshake {
  std::string_view url;   ///< "/socket.io/?EIO=4&transport=websocket"
  std::string_view head;  ///< header lines as they came
  std::string address;    ///< the client's, "127.0.0.1"
  Auth auth;              ///< what the client gave as `auth`; a boost::json::value that is parsed when asked
  std::int64_t issued = 0;  ///< ms since 1970
  std::string time;         ///< the same, "2026-01-31T12:00:00.000Z"
  bool secure = false;
  bool xdomain = false;  ///< it carried an Origin

  /// The first header of that name (any case); empty if there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
  /// A parameter of the url, decoded; empty if there is none.
  [[nodiscard]] std::string query(std::string_view name) const;
};

class SocketEmitter;

class Socket {
 public:
  Socket() = default;

  /// Differs per namespace; no secret. Stays known when the socket is gone.
  [[nodiscard]] std::string_view id() const& noexcept {
    return handle_.server == nullptr ? "" : socketio::view_of(handle_.id);
  }
  [[nodiscard]] std::string id() const&& { return std::string(static_cast<const Socket&>(*this).id()); }
  [[nodiscard]] bool connected() const noexcept;
  /// The connection handler runs for a client that was connected already: it came from the worker before this
  /// one, with its rooms and data(). Its handlers have to be bound again; it need not be greeted.
  [[nodiscard]] bool recovered() const noexcept;
  /// "/" or "/admin"; empty when gone.
  [[nodiscard]] std::string_view nsp() const noexcept;
  /// "websocket" or "polling", now; empty when gone.
  [[nodiscard]] std::string_view transport() const noexcept;
  [[nodiscard]] Handshake handshake() const;
  /// The application's own value for this client. Travels with it. When gone: a null that nobody keeps.
  [[nodiscard]] boost::json::value& data() const;

  /// Calls `handler` for each event of that name. Its parameters, in order: a Socket (optional), then one for
  /// each argument it wants, then an Ack (optional). See docs/guide.md for the types.
  template <typename F>
  bool on(std::string_view event, F&& handler) const {
    return add_handler(event, detail::make_handler(std::forward<F>(handler)), false);
  }
  template <typename F>
  bool once(std::string_view event, F&& handler) const {
    return add_handler(event, detail::make_handler(std::forward<F>(handler)), true);
  }
  bool off(std::string_view event) const;
  /// `handler(event name, arguments…)`, before the event's own handlers.
  template <typename F>
  bool on_any(F&& handler) const {
    return add_special(Special::Any, detail::make_handler(std::forward<F>(handler)));
  }
  bool off_any() const;
  /// `handler(reason)`; the socket has left its rooms.
  template <typename F>
  bool on_disconnect(F&& handler) const {
    return add_special(Special::Disconnect, detail::make_handler(std::forward<F>(handler)));
  }
  /// `handler(reason)`; the socket is still in its rooms.
  template <typename F>
  bool on_disconnecting(F&& handler) const {
    return add_special(Special::Disconnecting, detail::make_handler(std::forward<F>(handler)));
  }

  /// Sends an event. If the last argument is a callable it becomes the handler of the client's answer: its
  /// parameters are those of event handlers, with std::optional<Error> in front if it wants to know that no
  /// answer will come. False: gone, nothing was sent; for an emit with an answer also if the client is with
  /// another worker by now, and its handler gets the error `moved`.
  template <typename... T>
  bool emit(std::string_view event, T&&... arguments) const;
  /// For one emit with an answer: gives up after `limit`.
  [[nodiscard]] SocketEmitter timeout(std::chrono::milliseconds limit) const;
  /// For one emit: dropped if it cannot be sent at once.
  [[nodiscard]] SocketEmitter volatile_() const;

  /// To every other client of the namespace.
  [[nodiscard]] BroadcastOperator broadcast() const;
  /// To the clients in that room, but this one.
  [[nodiscard]] BroadcastOperator to(std::string_view room) const { return broadcast().to(room); }
  [[nodiscard]] BroadcastOperator in(std::string_view room) const { return to(room); }
  [[nodiscard]] BroadcastOperator except(std::string_view room) const { return broadcast().except(room); }
  template <detail::RoomRange R>
  [[nodiscard]] BroadcastOperator to(R&& rooms) const {
    return broadcast().to(rooms);
  }
  template <detail::RoomRange R>
  [[nodiscard]] BroadcastOperator in(R&& rooms) const {
    return broadcast().to(rooms);
  }
  template <detail::RoomRange R>
  [[nodiscard]] BroadcastOperator except(R&& rooms) const {
    return broadcast().except(rooms);
  }
  [[nodiscard]] BroadcastOperator to(std::initializer_list<std::string_view> rooms) const {
    return broadcast().to(rooms);
  }
  [[nodiscard]] BroadcastOperator in(std::initializer_list<std::string_view> rooms) const {
    return broadcast().in(rooms);
  }
  [[nodiscard]] BroadcastOperator except(std::initializer_list<std::string_view> rooms) const {
    return broadcast().except(rooms);
  }

  /// False: gone. Throws std::length_error for a name of more than 65,535 bytes.
  bool join(std::string_view room) const;
  bool join(std::initializer_list<std::string_view> rooms) const;
  bool leave(std::string_view room) const;
  /// Its own id first.
  [[nodiscard]] std::vector<std::string> rooms() const;
  [[nodiscard]] bool in_room(std::string_view room) const noexcept;

  /// Ends it: the client is told and does not come back by itself. `close`: its whole connection, all
  /// namespaces.
  bool disconnect(bool close = false) const;

  friend bool operator==(const Socket& a, const Socket& b) noexcept {
    return a.handle_.server == b.handle_.server && a.handle_.epoch == b.handle_.epoch;
  }

 private:
  friend class SocketEmitter;
  friend class application::GuardedHandlers;
  template <typename T>
  friend struct detail::Parameter;
  enum class Special : std::uint8_t { Any, Disconnect, Disconnecting };
  struct EmitOptions {
    bool is_volatile = false;
    std::chrono::milliseconds timeout{0};  // 0: none
  };

  explicit Socket(const socketio::SocketHandle& handle) noexcept : handle_(handle) {}
  [[nodiscard]] socketio::SocketState* state() const noexcept;
  [[nodiscard]] bool can_send() const noexcept;
  bool add_handler(std::string_view event, socketio::Handler handler, bool once) const;
  bool add_special(Special special, socketio::Handler handler) const;
  bool send(detail::Encoder& encoder, const EmitOptions& options) const;
  /// The id of the next event with an answer; keeps `handler`. None: the event is not to be sent.
  [[nodiscard]] std::optional<std::uint64_t> expect_reply(socketio::Handler handler,
                                                          const EmitOptions& options) const;

  template <typename... T>
  bool emit_with(const EmitOptions& options, std::string_view event, T&&... arguments) const;
  template <typename Tuple, std::size_t... I>
  bool emit_event(const EmitOptions& options, std::optional<std::uint64_t> id, std::string_view event,
                  const Tuple& arguments, std::index_sequence<I...>) const;

  socketio::SocketHandle handle_;
};

/// An emit to one socket with flags: `socket.timeout(5s).emit(…)`.
class SocketEmitter {
 public:
  [[nodiscard]] SocketEmitter timeout(std::chrono::milliseconds limit) const {
    SocketEmitter next = *this;
    next.options_.timeout = limit;
    return next;
  }
  [[nodiscard]] SocketEmitter volatile_() const {
    SocketEmitter next = *this;
    next.options_.is_volatile = true;
    return next;
  }
  template <typename... T>
  bool emit(std::string_view event, T&&... arguments) const {
    return socket_.emit_with(options_, event, std::forward<T>(arguments)...);
  }

 private:
  friend class Socket;
  SocketEmitter(const Socket& socket, const Socket::EmitOptions& options)
      : socket_(socket), options_(options) {}
  Socket socket_;
  Socket::EmitOptions options_;
};

inline SocketEmitter Socket::timeout(std::chrono::milliseconds limit) const {
  return {*this, EmitOptions{.is_volatile = false, .timeout = limit}};
}
inline SocketEmitter Socket::volatile_() const {
  return {*this, EmitOptions{.is_volatile = true, .timeout = {}}};
}

template <typename... T>
bool Socket::emit(std::string_view event, T&&... arguments) const {
  return emit_with(EmitOptions{}, event, std::forward<T>(arguments)...);
}

template <typename... T>
bool Socket::emit_with(const EmitOptions& options, std::string_view event, T&&... arguments) const {
  if (!can_send()) return false;
  const auto all = std::forward_as_tuple(std::forward<T>(arguments)...);
  constexpr std::size_t count = sizeof...(T);
  if constexpr (detail::kLastIsCallable<std::decay_t<T>...>) {
    using Last = std::tuple_element_t<count - 1, std::tuple<T&&...>>;
    const std::optional<std::uint64_t> id =
        expect_reply(detail::make_handler(std::forward<Last>(std::get<count - 1>(all))), options);
    return id && emit_event(options, id, event, all, std::make_index_sequence<count - 1>());
  } else {
    return emit_event(options, std::nullopt, event, all, std::make_index_sequence<count>());
  }
}

template <typename Tuple, std::size_t... I>
bool Socket::emit_event(const EmitOptions& options, std::optional<std::uint64_t> id, std::string_view event,
                        const Tuple& arguments, std::index_sequence<I...>) const {
  detail::Encoder encoder(socketio::PacketType::Event, nsp(), id,
                          (std::size_t{0} + ... + detail::attachments_in(std::get<I>(arguments))),
                          ((32 + event.size()) + ... + detail::size_hint_of(std::get<I>(arguments))));
  encoder.event(event);
  (detail::encode_argument(encoder, std::get<I>(arguments)), ...);
  return send(encoder, options);
}

}  // namespace limpet
