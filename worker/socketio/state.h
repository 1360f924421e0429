// What a worker knows of each client: plain data, but for handlers and callbacks. Small on purpose, for there
// are many: what few sockets need is in SocketExtras, a socket's own room is not materialised, event names
// are numbers.
#pragma once

#include <array>
#include <boost/json.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/engineio/session.h"
#include "worker/http/buffer.h"
#include "worker/http/clock.h"
#include "worker/limpet/io.h"
#include "worker/socketio/timer_queue.h"

namespace limpet::socketio {

using SocketId = std::array<char, 20>;

inline std::string_view view_of(const SocketId& id) noexcept { return {id.data(), id.size()}; }

struct SocketState;
class Server;
struct NamespaceState;

/// Hashing for string keys looked up by view.
struct NameHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>()(name); }
};

/// One entry of a room or namespace: the session first, so that a broadcast touches nothing else of a socket.
struct Member {
  engineio::Session* session;
  SocketState* socket;
};

struct RoomState {
  std::string name;
  std::vector<Member> members;
};

/// A socket's place in a room: room->members[index] is this socket.
struct Membership {
  RoomState* room;
  std::uint32_t index;
};

struct NamespaceState {
  Server* server;
  std::string name;
  std::vector<Member> members;  // connected sockets
  std::unordered_map<std::string, std::unique_ptr<RoomState>, NameHash, std::equal_to<>> rooms;
  // Deques: a handler that adds another must not move the one that runs.
  std::deque<std::function<void(Socket&)>> connection_handlers;
  std::deque<std::function<void(Socket&)>> leaving_handlers;
  std::deque<Middleware> middlewares;
};

/// An event for which handlers are kept: its number in NameTable, or one of these.
inline constexpr std::uint32_t kAnyEvent = 0;
inline constexpr std::uint32_t kDisconnectEvent = 1;
inline constexpr std::uint32_t kDisconnectingEvent = 2;
inline constexpr std::uint32_t kFirstNamedEvent = 3;

struct HandlerEntry {
  std::uint32_t event;
  bool once;
  Handler handler;
};

/// A reply that the application waits for.
struct PendingReply {
  std::uint64_t id;
  Handler handler;
  TimerQueue::Id timer;  // 0: waits as long as the socket lives
};

struct SocketExtras {
  boost::json::value data;
  std::string auth;  // JSON text of the CONNECT packet; empty: none
  std::vector<PendingReply> replies;
  std::uint64_t next_reply_id = 0;
};

/// A client: one session, with a socket in each namespace it has joined.
struct ClientState {
  engineio::Session* session = nullptr;  // null: the client has moved to another process
  SocketState* first = nullptr;          // intrusive list through SocketState::next
  /// A packet whose attachments are still to come.
  struct Assembly {
    std::string text;
    std::uint32_t expected = 0;
    std::vector<http::Buffer> attachments;
  };
  std::unique_ptr<Assembly> assembly;
  /// Until the first namespace is joined: the place in Server::unconnected_.
  struct Waiting {
    http::TimePoint deadline;
    ClientState* client;
  };
  std::list<Waiting>::iterator waiting;
  bool is_waiting = false;
  bool closing = false;  // close() has been called: what arrives is ignored
  bool told_of_departure = false;
};

struct SocketState {
  /// Moved: its client lives in another process. What is left here is for handles and callbacks that know it.
  enum class Phase : std::uint8_t { Connecting, Connected, Closing, Moved };

  // Together, for there are many of these: nothing is padded.
  SocketId id;
  Phase phase = Phase::Connecting;
  bool recovered = false;  // came from another process
  std::uint32_t index;     // in Server::sockets_
  std::uint32_t epoch;
  std::uint32_t member_index = 0;  // in nsp->members
  std::uint32_t mark = 0;          // last broadcast that counted this socket
  ClientState* client;
  NamespaceState* nsp;
  SocketState* next = nullptr;
  std::vector<HandlerEntry> handlers;
  std::vector<Membership> rooms;
  std::unique_ptr<SocketExtras> extras;
};

}  // namespace limpet::socketio
