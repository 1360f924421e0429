// What passes on a migration stream, as plain structs; worker/migration/codec.h is the door to the
// bytes, schema/limpet.capnp the manual.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "worker/adapter/ring_position.h"
#include "worker/client/connection_image.h"
#include "worker/engineio/session_image.h"
#include "worker/loop/buffer.h"
#include "worker/socketio/client_image.h"

namespace limpet::migration {

/// A session with all that it knows.
struct SessionRecord {
  engineio::SessionImage engine;
  socketio::ClientImage client;
  std::optional<client::ConnectionImage> connection;  ///< of a WebSocket
};

// ---- giver to taker ----

/// Descriptors: one for each session that has a connection, in their order.
struct SessionBatch {
  std::vector<adapter::RingPosition>
      positions;  ///< what of the rings these sessions have been given, the giver's own first
  std::vector<SessionRecord> sessions;
};
/// A connection between two requests, or with a part of one. Descriptor: its socket. Also back from the
/// taker: with a request for a session that is still to come; whoever has the session answers.
struct HttpConnection {
  client::ConnectionImage connection;
  bool asked = false;  ///< was given back, and the giver does not have the session of its first request
};
/// No more sessions come. Answered like them, with Took.
struct AllGiven {};
/// What the application of the giver does to a socket that has moved.
struct SocketAct {
  enum class Kind : std::uint8_t { Emit, Join, Leave, Disconnect };
  Kind kind = Kind::Emit;
  std::string nsp;
  std::string id;
  std::string room;                  ///< Join, Leave
  bool close = false;                ///< Disconnect: the whole connection
  std::vector<loop::Buffer> frames;  ///< Emit
};

// ---- taker to giver ----

/// So many batches, connections and AllGiven have been taken since the beginning: the giver forgets them.
struct Took {
  std::uint64_t count = 0;
};
/// A client's answer to an emit of the giver, or of whoever gave it the session.
struct SocketReply {
  std::string nsp;
  std::string id;
  std::string text;                       ///< the packet
  std::vector<loop::Buffer> attachments;  ///< as frames
};
/// When buckets move, first of all: the taker retains broadcasts from now on.
struct Expecting {};

using MigrationMessage =
    std::variant<SessionBatch, HttpConnection, AllGiven, SocketAct, Took, SocketReply, Expecting>;

}  // namespace limpet::migration
