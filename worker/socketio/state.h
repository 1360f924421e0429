// What a worker knows of each client: plain data, but for handlers and callbacks. Small on purpose, for there
// are many: what few sockets need is in SocketExtras, a socket's own room is not materialised, event names
// are numbers.
#pragma once

#include <boost/json.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker/engineio/session.h"
#include "worker/loop/buffer.h"
#include "worker/loop/clock.h"
#include "worker/loop/keyed_hash.h"
#include "worker/socketio/handler.h"
#include "worker/socketio/many_rooms.h"
#include "worker/socketio/namespace_handlers.h"
#include "worker/socketio/parsed_auth.h"
#include "worker/socketio/pending_replies.h"
#include "worker/socketio/room_table.h"
#include "worker/socketio/socket_handle.h"

namespace limpet::socketio {

struct SocketState;
class Server;
struct NamespaceState;

/// Hashing for string keys looked up by view.
using NameHash = loop::KeyedHash;

/// A socket's place in a room: room->members[index] is this socket.
struct Membership {
  RoomState* room;
  std::uint32_t index;
};

struct NamespaceState {
  Server* server;
  std::string name;
  std::unique_ptr<NamespaceHandlers> handlers;  // never null
  std::vector<Member> members;                  // connected sockets
  RoomTable rooms;
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

/// The handlers of a socket with many, by event, in the order in which they came.
struct ManyHandlers {
  boost::unordered_flat_map<std::uint32_t, std::vector<HandlerEntry>> by_event;
  std::size_t count = 0;
};
/// A socket with more handlers than this has them in ManyHandlers.
inline constexpr std::size_t kFewHandlers = 64;

struct SocketExtras {
  boost::json::value data;
  std::string auth;                               // JSON text of the CONNECT packet; empty: none
  std::unique_ptr<const ParsedAuth> parsed_auth;  // null: nobody has looked at it, or it is small
  std::unique_ptr<PendingReplies> replies;
  std::uint64_t next_reply_id = 0;
  std::unique_ptr<ManyRooms> many_rooms;
  std::unique_ptr<ManyHandlers> many_handlers;  // then SocketState::handlers is empty
};

/// A client: one session, with a socket in each namespace it has joined.
struct ClientState {
  engineio::Session* session = nullptr;  // null: gone, or moved to another process
  SocketState* first = nullptr;          // intrusive list through SocketState::next
  /// A packet whose attachments are still to come.
  struct Assembly {
    std::string text;
    std::uint32_t expected = 0;
    std::vector<loop::Buffer> attachments;
    std::size_t bytes = 0;  // of the text and the attachments
  };
  std::unique_ptr<Assembly> assembly;
  /// Until the first namespace is joined: the place in Server::unconnected_.
  std::multimap<loop::TimePoint, ClientState*>::iterator waiting;
  bool is_waiting = false;
  bool closing = false;  // close() has been called: what arrives is ignored
  bool told_of_departure = false;
  std::uint32_t sockets = 0;  // in the list; with more than kFewSockets it has ManySockets
};

struct SocketState {
  /// Moved: its client lives in another process. What is left here is for handles and callbacks that know it.
  enum class Phase : std::uint8_t { Connecting, Connected, Closing, Moved };

  // Together, for there are many of these: nothing is padded.
  SocketId id;
  Phase phase = Phase::Connecting;
  bool recovered = false;  // came from another process
  bool ended = false;      // in no room any more, whatever stands in `rooms`; charged to the server
  std::uint32_t index;     // in SocketTable
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

inline SocketHandle handle_of(const SocketState& socket) noexcept {
  return {socket.nsp->server, socket.index, socket.epoch, socket.id};
}

// There is one for each client: not one byte more by accident.
static_assert(sizeof(ClientState) <= 40 && sizeof(SocketState) <= 120 && sizeof(SocketExtras) <= 96);

}  // namespace limpet::socketio
