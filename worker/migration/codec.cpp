#include "worker/migration/codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/limits.h"
#include "base/overloaded.h"
#include "base/pages.h"
#include "ipc/messages/wire.h"
#include "worker/websocket/frame.h"

namespace limpet::migration {
namespace {

using ipc::data_of;
using ipc::Refusal;
using std::chrono::milliseconds;

// Of a SessionBatch. A test builds a worker of the next version.
#ifndef LIMPET_MIGRATION_VERSION
#define LIMPET_MIGRATION_VERSION 1
#endif
constexpr std::uint32_t kMigrationVersion = LIMPET_MIGRATION_VERSION;

constexpr std::size_t kSessionsLimit = 64;
constexpr std::size_t kPositionsLimit = base::kLaneLimit + 1024;  // every lane, and writers that are gone
constexpr std::size_t kListLimit = 4u << 20;  // more than a frame of the stream has room for

// ---- writing ----

unsigned int length(const auto& items) { return static_cast<unsigned int>(items.size()); }

void put(capnp::List<capnp::Data>::Builder to, const socketio::RoomNames& from) {
  for (unsigned int i = 0; i < to.size(); ++i) to.set(i, data_of(from[i]));
}

void put(capnp::List<wire::Frame>::Builder to, const std::vector<loop::Buffer>& from) {
  for (unsigned int i = 0; i < to.size(); ++i) {
    to[i].setBinary(websocket::opcode_of(from[i]) == websocket::Opcode::Binary);
    to[i].setPayload(data_of(from[i].payload()));
  }
}

void put(wire::Connection::Builder to, const client::ConnectionImage& from) {
  to.setClientAddress(data_of(from.client_address));
  to.setClientPort(from.client_port);
  to.setListener(from.listener);
  to.setOneRequest(from.one_request);
  to.setPlaced(from.placed);
  to.setByProxy(from.by_proxy);
  to.setUnread(data_of(from.unread));
  to.setUnsent(data_of(from.unsent));
}

void put(wire::SocketRecord::Builder to, const socketio::SocketImage& from) {
  to.setNsp(data_of(from.nsp));
  to.setId(data_of(from.id));
  put(to.initRooms(length(from.rooms)), from.rooms);
  to.setData(data_of(from.data));
  to.setAuth(data_of(from.auth));
  to.setNextReplyId(from.next_reply_id);
}

void put(wire::SessionRecord::Builder to, const SessionRecord& from) {
  const engineio::SessionImage& engine = from.engine;
  to.setSid(data_of(engine.sid));
  to.setHandshakeHead(data_of(engine.handshake_head));
  to.setAddress(data_of(engine.address));
  to.setIssued(engine.issued_ms);
  to.setTransport(engine.transport == engineio::Transport::WebSocket
                      ? wire::SessionRecord::Transport::WEBSOCKET
                      : wire::SessionRecord::Transport::POLLING);
  to.setAwaitsPong(engine.awaits_pong);
  to.setTimer(engine.timer.count());
  to.setLingering(engine.lingering);
  put(to.initQueue(length(engine.queue)), engine.queue);
  if (engine.fragments) {
    auto fragments = to.initFragments();
    fragments.setBinary(engine.fragments->binary);
    fragments.setBytes(data_of(engine.fragments->bytes));
  }
  auto sockets = to.initSockets(length(from.client.sockets));
  for (unsigned int i = 0; i < sockets.size(); ++i) put(sockets[i], from.client.sockets[i]);
  if (from.client.assembly) {
    auto assembly = to.initAssembly();
    assembly.setText(data_of(from.client.assembly->text));
    assembly.setExpected(from.client.assembly->expected);
    put(assembly.initAttachments(length(from.client.assembly->attachments)),
        from.client.assembly->attachments);
  }
  to.setConnectTimer(from.client.connect_timer ? from.client.connect_timer->count() : -1);
  if (from.connection) put(to.initConnection(), *from.connection);
}

void put(wire::SessionBatch::Builder to, const SessionBatch& from) {
  to.setVersion(kMigrationVersion);
  auto positions = to.initPositions(length(from.positions));
  for (unsigned int i = 0; i < positions.size(); ++i) {
    put(positions[i].initWriter(), from.positions[i].writer);
    positions[i].setSequence(from.positions[i].sequence);
    positions[i].setEnded(from.positions[i].ended);
  }
  auto sessions = to.initSessions(length(from.sessions));
  for (unsigned int i = 0; i < sessions.size(); ++i) put(sessions[i], from.sessions[i]);
}

void put(wire::SocketAct::Builder to, const SocketAct& from) {
  to.setKind(static_cast<wire::SocketAct::Kind>(from.kind));
  to.setNsp(data_of(from.nsp));
  to.setId(data_of(from.id));
  to.setRoom(data_of(from.room));
  to.setClose(from.close);
  put(to.initFrames(length(from.frames)), from.frames);
}

void put(wire::SocketReply::Builder to, const SocketReply& from) {
  to.setNsp(data_of(from.nsp));
  to.setId(data_of(from.id));
  to.setText(data_of(from.text));
  put(to.initAttachments(length(from.attachments)), from.attachments);
}

// ---- the frame ----

/// A message that is built where it is sent from, if what it will take was foreseen: a session may hold
/// megabytes, and each copy of them costs as much as the rest of its move.
///
/// https://capnproto.org/encoding.html#serialization-over-a-stream: the number of segments less one, their
/// sizes in words, padding to a word; then the segments.
class FrameBuilder final : public capnp::MessageBuilder {
 public:
  explicit FrameBuilder(std::size_t foreseen_bytes) {
    const std::size_t bytes = kTableBytes + (foreseen_bytes / kWordBytes + kRootWords) * kWordBytes;
    base::reserve_resident(frame_, bytes);
    frame_.resize(bytes);
  }
  ~FrameBuilder() override {
    for (void* segment : further_) std::free(segment);
  }

  std::vector<std::byte> finish() {
    const auto segments = getSegmentsForOutput();
    const auto* const here = reinterpret_cast<const capnp::word*>(frame_.data() + kTableBytes);
    if (segments.size() > 1 || segments[0].begin() != here) return flat(segments);
    const std::array<std::uint32_t, 2> table{0, static_cast<std::uint32_t>(segments[0].size())};
    std::memcpy(frame_.data(), table.data(), sizeof table);
    frame_.resize(kTableBytes + segments[0].size() * kWordBytes);
    return std::move(frame_);
  }

 private:
  static constexpr std::size_t kWordBytes = sizeof(capnp::word);
  static constexpr std::size_t kTableBytes = 8;
  static constexpr std::size_t kRootWords = 32;
  static constexpr std::size_t kFurtherWords = 1024;

  kj::ArrayPtr<capnp::word> allocateSegment(unsigned int at_least) override {
    const std::size_t words = (frame_.size() - kTableBytes) / kWordBytes;
    if (!std::exchange(begun_, true) && at_least <= words)
      return {reinterpret_cast<capnp::word*>(frame_.data() + kTableBytes), words};
    const std::size_t more = std::max<std::size_t>({at_least, kFurtherWords, frame_.size() / kWordBytes});
    void* const segment = std::calloc(more, kWordBytes);
    if (segment == nullptr) throw std::bad_alloc();
    further_.push_back(segment);
    return {static_cast<capnp::word*>(segment), more};
  }
  static std::vector<std::byte> flat(kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
    const auto words = capnp::messageToFlatArray(segments);
    const auto* const begin = reinterpret_cast<const std::byte*>(words.begin());
    return {begin, begin + words.asBytes().size()};
  }

  std::vector<std::byte> frame_;
  std::vector<void*> further_;
  bool begun_ = false;
};

/// About as many bytes as it takes in a frame; not less for what is large.
std::size_t weight_of(const MigrationMessage& message) {
  static constexpr std::size_t kOfEach = 32;
  return std::visit(base::Overloaded{[](const SessionBatch& batch) {
                                       std::size_t weight = kOfEach * (batch.positions.size() + 1);
                                       for (const SessionRecord& session : batch.sessions)
                                         weight += weight_of(session);
                                       return weight;
                                     },
                                     [](const HttpConnection& http) {
                                       return kOfEach * 4 + http.connection.unread.size() +
                                              http.connection.unsent.size();
                                     },
                                     [](const auto&) { return kOfEach; }},
                    message);
}

// ---- reading ----

void require(bool holds, std::string_view what) {
  if (!holds) throw Refusal(std::string(what));
}

std::string_view view_of(capnp::Data::Reader from) {
  return {reinterpret_cast<const char*>(from.begin()), from.size()};
}

std::string text_of(capnp::Data::Reader from) {
  std::string text;
  base::reserve_resident(text, from.size());
  text = view_of(from);
  return text;
}

std::string id_of(capnp::Data::Reader from, const char* what) {
  require(from.size() == base::kIdBytes,
          fmt::format("{} of {} bytes, wants {}", what, from.size(), base::kIdBytes));
  return text_of(from);
}

std::string name_of(capnp::Data::Reader from) {
  require(from.size() > 0 && from[0] == '/', "a namespace that does not begin with '/'");
  return text_of(from);
}

milliseconds duration_of(std::int64_t from) {
  require(from >= 0 && from <= base::kLongestDuration.count(), fmt::format("a time of {} ms", from));
  return milliseconds(from);
}

std::vector<loop::Buffer> frames_of(capnp::List<wire::Frame>::Reader from) {
  require(from.size() <= kListLimit, "too many frames");
  std::vector<loop::Buffer> frames;
  frames.reserve(from.size());
  for (const auto each : from) {
    frames.push_back(websocket::make_frame(
        each.getBinary() ? websocket::Opcode::Binary : websocket::Opcode::Text, view_of(each.getPayload())));
  }
  return frames;
}

client::ConnectionImage read(wire::Connection::Reader from) {
  return {.client_address = text_of(from.getClientAddress()),
          .client_port = from.getClientPort(),
          .listener = from.getListener(),
          .one_request = from.getOneRequest(),
          .placed = from.getPlaced(),
          .by_proxy = from.getByProxy(),
          .unread = text_of(from.getUnread()),
          .unsent = text_of(from.getUnsent())};
}

socketio::SocketImage read(wire::SocketRecord::Reader from) {
  socketio::SocketImage socket;
  socket.nsp = name_of(from.getNsp());
  socket.id = id_of(from.getId(), "a socket id");
  require(from.getRooms().size() <= kListLimit, "too many rooms");
  std::size_t bytes = 0;
  for (const auto room : from.getRooms()) bytes += room.size();
  socket.rooms.reserve(from.getRooms().size(), bytes);
  for (const auto room : from.getRooms()) socket.rooms.push_back(view_of(room));
  socket.data = text_of(from.getData());
  socket.auth = text_of(from.getAuth());
  socket.next_reply_id = from.getNextReplyId();
  return socket;
}

engineio::Transport read(wire::SessionRecord::Transport from) {
  switch (from) {
    case wire::SessionRecord::Transport::POLLING:
      return engineio::Transport::Polling;
    case wire::SessionRecord::Transport::WEBSOCKET:
      return engineio::Transport::WebSocket;
  }
  throw Refusal(fmt::format("unknown transport {}", static_cast<unsigned>(from)));
}

SessionRecord read(wire::SessionRecord::Reader from) {
  SessionRecord session;
  session.engine.sid = id_of(from.getSid(), "a sid");
  session.engine.handshake_head = text_of(from.getHandshakeHead());
  session.engine.address = text_of(from.getAddress());
  session.engine.issued_ms = from.getIssued();
  session.engine.transport = read(from.getTransport());
  session.engine.awaits_pong = from.getAwaitsPong();
  session.engine.timer = duration_of(from.getTimer());
  session.engine.lingering = from.getLingering();
  session.engine.queue = frames_of(from.getQueue());
  if (from.hasFragments())
    session.engine.fragments = {from.getFragments().getBinary(), text_of(from.getFragments().getBytes())};
  for (const auto socket : from.getSockets()) session.client.sockets.push_back(read(socket));
  if (from.hasAssembly()) {
    const auto assembly = from.getAssembly();
    session.client.assembly = {text_of(assembly.getText()), assembly.getExpected(),
                               frames_of(assembly.getAttachments())};
    require(session.client.assembly->attachments.size() < session.client.assembly->expected,
            "a packet that waits for attachments and has them");
  }
  if (from.getConnectTimer() != -1) session.client.connect_timer = duration_of(from.getConnectTimer());
  if (from.hasConnection()) session.connection = read(from.getConnection());
  const bool websocket = session.engine.transport == engineio::Transport::WebSocket;
  require(websocket == session.connection.has_value(),
          "a WebSocket without a connection, or a poll with one");
  require(!session.engine.lingering || !websocket, "a WebSocket that lingers");
  return session;
}

ipc::Incarnation read(wire::Incarnation::Reader from) {
  require(from.getSlot() < base::kSlotLimit, fmt::format("slot {}", from.getSlot()));
  require(from.getLane() < base::kLaneLimit, fmt::format("lane {}", from.getLane()));
  return {from.getSlot(), from.getLane(), from.getGeneration()};
}

SessionBatch read(wire::SessionBatch::Reader from) {
  require(from.getVersion() <= kMigrationVersion,
          fmt::format("sessions of version {}; this build reads them up to version {}", from.getVersion(),
                      kMigrationVersion));
  require(from.getPositions().size() <= kPositionsLimit, "too many ring positions");
  require(from.getSessions().size() <= kSessionsLimit, "too many sessions");
  SessionBatch batch;
  for (const auto position : from.getPositions())
    batch.positions.push_back({read(position.getWriter()), position.getSequence(), position.getEnded()});
  for (const auto session : from.getSessions()) batch.sessions.push_back(read(session));
  return batch;
}

SocketAct read(wire::SocketAct::Reader from) {
  require(from.getKind() <= wire::SocketAct::Kind::DISCONNECT,
          fmt::format("unknown kind {}", static_cast<unsigned>(from.getKind())));
  return {.kind = static_cast<SocketAct::Kind>(from.getKind()),
          .nsp = name_of(from.getNsp()),
          .id = id_of(from.getId(), "a socket id"),
          .room = text_of(from.getRoom()),
          .close = from.getClose(),
          .frames = frames_of(from.getFrames())};
}

SocketReply read(wire::SocketReply::Reader from) {
  return {.nsp = name_of(from.getNsp()),
          .id = id_of(from.getId(), "a socket id"),
          .text = text_of(from.getText()),
          .attachments = frames_of(from.getAttachments())};
}

bool has_body(wire::MigrationMessage::Reader from) {
  switch (from.which()) {
    case wire::MigrationMessage::SESSIONS:
      return from.hasSessions();
    case wire::MigrationMessage::CONNECTION:
      return from.hasConnection() && from.getConnection().hasConnection();
    case wire::MigrationMessage::ALL_GIVEN:
      return from.hasAllGiven();
    case wire::MigrationMessage::ACT:
      return from.hasAct();
    case wire::MigrationMessage::TOOK:
      return from.hasTook();
    case wire::MigrationMessage::REPLY:
      return from.hasReply();
    case wire::MigrationMessage::EXPECTING:
      return from.hasExpecting();
  }
  ipc::refuse_unknown(from.which());
}

MigrationMessage open(wire::MigrationMessage::Reader from) {
  require(has_body(from), "a message with no body");
  switch (from.which()) {
    case wire::MigrationMessage::SESSIONS:
      return read(from.getSessions());
    case wire::MigrationMessage::CONNECTION:
      return HttpConnection{read(from.getConnection().getConnection()), from.getConnection().getAsked()};
    case wire::MigrationMessage::ALL_GIVEN:
      return AllGiven{};
    case wire::MigrationMessage::ACT:
      return read(from.getAct());
    case wire::MigrationMessage::TOOK:
      return Took{from.getTook().getCount()};
    case wire::MigrationMessage::EXPECTING:
      return Expecting{};
    case wire::MigrationMessage::REPLY:
      break;
  }
  return read(from.getReply());
}

std::size_t descriptors_of(const MigrationMessage& message) {
  if (const auto* batch = std::get_if<SessionBatch>(&message)) return migration::descriptors_of(*batch);
  return std::holds_alternative<HttpConnection>(message) ? 1 : 0;
}

MigrationMessage open(const ipc::Datagram& datagram, wire::MigrationMessage::Reader from) {
  MigrationMessage message = open(from);
  const std::size_t wants = descriptors_of(message);
  require(datagram.descriptors.size() == wants,
          fmt::format("wants {} descriptors, got {}", wants, datagram.descriptors.size()));
  return message;
}

}  // namespace

std::size_t descriptors_of(const SessionBatch& batch) noexcept {
  return static_cast<std::size_t>(
      std::count_if(batch.sessions.begin(), batch.sessions.end(),
                    [](const SessionRecord& each) { return each.connection.has_value(); }));
}

std::size_t weight_of(const SessionRecord& session) {
  constexpr std::size_t kOfEach = 32;  // pointers, sizes, padding
  constexpr std::size_t kOfRoom = 16;  // a pointer and padding
  std::size_t weight = kOfEach * 8 + session.engine.handshake_head.size();
  const auto weigh = [&weight](const std::vector<loop::Buffer>& frames) {
    for (const loop::Buffer& frame : frames) weight += kOfEach + frame.size();
  };
  weigh(session.engine.queue);
  if (session.engine.fragments) weight += session.engine.fragments->bytes.size();
  for (const socketio::SocketImage& socket : session.client.sockets) {
    weight += kOfEach * 4 + socket.data.size() + socket.auth.size();
    weight += kOfRoom * socket.rooms.size() + socket.rooms.bytes();
  }
  if (session.client.assembly) {
    weight += session.client.assembly->text.size();
    weigh(session.client.assembly->attachments);
  }
  if (session.connection) weight += session.connection->unread.size() + session.connection->unsent.size();
  return weight;
}

std::vector<std::byte> encode(const MigrationMessage& message) {
  FrameBuilder builder(weight_of(message));
  auto to = builder.initRoot<wire::MigrationMessage>();
  std::visit(base::Overloaded{[&](const SessionBatch& batch) { put(to.initSessions(), batch); },
                              [&](const HttpConnection& http) {
                                auto one = to.initConnection();
                                put(one.initConnection(), http.connection);
                                one.setAsked(http.asked);
                              },
                              [&](const AllGiven&) { to.initAllGiven(); },
                              [&](const SocketAct& act) { put(to.initAct(), act); },
                              [&](const Took& took) { to.initTook().setCount(took.count); },
                              [&](const SocketReply& reply) { put(to.initReply(), reply); },
                              [&](const Expecting&) { to.initExpecting(); }},
             message);
  return builder.finish();
}

std::optional<MigrationMessage> decode_migration_message(const ipc::Datagram& datagram, std::string* why) {
  return ipc::decode<wire::MigrationMessage>(
      datagram, why, [&](wire::MigrationMessage::Reader from) { return open(datagram, from); });
}

}  // namespace limpet::migration
