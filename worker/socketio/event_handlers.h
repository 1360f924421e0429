// The handlers of events that an application has bound to sockets: kept in their state, by number of the
// event, whose names are here.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "worker/socketio/charges.h"
#include "worker/socketio/dispatch.h"
#include "worker/socketio/handler.h"
#include "worker/socketio/name_table.h"
#include "worker/socketio/state.h"

namespace limpet::socketio {

class EventHandlers {
 public:
  /// Both outlive it.
  EventHandlers(Charges& charges, Discarded& discarded) noexcept : charges_(charges), discarded_(discarded) {}

  void add(SocketState& socket, std::string_view event, const Handler& handler, bool once) {
    add(socket, names_.acquire(event), handler, once);
  }
  /// `event`: a number of state.h, or one that is acquired.
  void add(SocketState& socket, std::uint32_t event, const Handler& handler, bool once);
  /// All of that event. False: there is none.
  bool remove(SocketState& socket, std::string_view event);
  bool remove(SocketState& socket, std::uint32_t event);
  /// All of a socket that ends, which is not charged with them any more.
  void drop_all(SocketState& socket);

  /// Inline, for every event passes here.
  [[nodiscard]] static bool has(const SocketState& socket, std::uint32_t event) noexcept {
    const std::span<const HandlerEntry> entries = candidates(socket, event);
    return std::any_of(entries.begin(), entries.end(),
                       [event](const HandlerEntry& entry) { return entry.event == event; });
  }
  [[nodiscard]] static std::size_t count(const SocketState& socket) noexcept;
  /// Calls those that are there now; what they add or remove is for the next event.
  void run(SocketState& socket, std::string_view event, Call& call);
  /// `name`: of the event, for the log.
  void run(SocketState& socket, std::uint32_t event, Call& call, std::string_view name);
  /// Of disconnect or disconnecting, with the reason as their argument.
  void run_special(SocketState& socket, std::uint32_t event, std::string_view reason);

  /// At the server's end: nobody is called any more.
  static void destroy_all(const SocketState& socket) noexcept;

 private:
  [[nodiscard]] static ManyHandlers* many_handlers_of(const SocketState& socket) noexcept {
    return socket.extras == nullptr ? nullptr : socket.extras->many_handlers.get();
  }
  /// The handlers of that event are among these.
  [[nodiscard]] static std::span<const HandlerEntry> candidates(const SocketState& socket,
                                                                std::uint32_t event) noexcept {
    const ManyHandlers* const many = many_handlers_of(socket);
    return many == nullptr ? std::span<const HandlerEntry>(socket.handlers)
                           : candidates_among_many(*many, event);
  }
  [[nodiscard]] static std::span<const HandlerEntry> candidates_among_many(const ManyHandlers& many,
                                                                           std::uint32_t event) noexcept;
  template <typename Visit>
  static void for_each(const SocketState& socket, Visit visit);
  template <typename Predicate>
  bool remove_if(SocketState& socket, std::uint32_t event, Predicate matches);
  void drop(const HandlerEntry& entry);

  Charges& charges_;
  Discarded& discarded_;
  NameTable names_;
};

}  // namespace limpet::socketio
