#include "worker/process/migration.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "worker/process/migration_codec.h"

namespace limpet::process {
namespace {

/// Sessions of one batch: with it, one frame's descriptors.
constexpr std::size_t kBatchSessions = 32;
/// A batch that is this heavy gets no more sessions.
constexpr std::size_t kBatchBytes = 1u << 20;
/// What is heavier cannot be in a batch, which has room for its positions and a batch's other sessions.
constexpr std::size_t kHeaviestBytes = ipc::kFrameLimitBytes - (4u << 20);
/// Batches of one turn: bounds it, so that clients who are still here get their share.
constexpr int kBatchesPerTurn = 4;
constexpr int kFramesPerTurn = 16;
/// Sent and not taken: bounds memory and descriptors in flight.
constexpr std::size_t kBytesOnTheirWay = 8u << 20;
constexpr std::size_t kParcelsOnTheirWay = 64;
/// WebSocket close code of a session that has no place in the new worker: "service restart".
constexpr std::uint16_t kServiceRestart = 1012;

std::vector<int> numbers_of(const std::vector<ipc::Descriptor>& descriptors) {
  std::vector<int> numbers;
  for (const ipc::Descriptor& each : descriptors) numbers.push_back(each.get());
  return numbers;
}

ConnectionImage image_of(const ClientConnection& connection, ClientConnection::Detached& detached) {
  return {.client_address = connection.peer().text(),
          .client_port = connection.peer().port(),
          .listener = connection.listener(),
          .one_request = connection.serves_one_request(),
          .placed = connection.placed(),
          .by_proxy = connection.peer_by_proxy(),
          .unread = std::move(detached.unread),
          .unsent = std::move(detached.unsent)};
}

/// About as many bytes as it will take in a frame.
std::size_t weight_of(const SessionRecord& session) {
  constexpr std::size_t kOfEach = 32;  // pointers, sizes, padding
  std::size_t weight = kOfEach * 8 + session.engine.handshake_head.size();
  const auto weigh = [&weight](const std::vector<http::Buffer>& frames) {
    for (const http::Buffer& frame : frames) weight += kOfEach + frame.size();
  };
  weigh(session.engine.queue);
  if (session.engine.fragments) weight += session.engine.fragments->bytes.size();
  for (const socketio::SocketImage& socket : session.client.sockets) {
    weight += kOfEach * 4 + socket.data.size() + socket.auth.size();
    for (const std::string& room : socket.rooms) weight += kOfEach + room.size();
  }
  if (session.client.assembly) {
    weight += session.client.assembly->text.size();
    weigh(session.client.assembly->attachments);
  }
  if (session.connection) weight += session.connection->unread.size() + session.connection->unsent.size();
  return weight;
}

}  // namespace

void settle(const MigrationParts& parts, SessionBatch batch, std::vector<ipc::Descriptor> descriptors) {
  // First to where they have been, then what they missed: what comes later comes to them like to all.
  parts.rings.catch_up(batch.positions);
  std::vector<engineio::Session*> arrived;
  std::size_t next_descriptor = 0;
  for (SessionRecord& record : batch.sessions) {
    ClientConnection* connection = nullptr;
    if (record.connection) {
      const auto peer =
          PeerAddress::from_text(record.connection->client_address, record.connection->client_port);
      connection = parts.clients.adopt(std::move(descriptors[next_descriptor++]), peer,
                                       record.connection->listener, record.connection->unread);
      if (connection == nullptr) continue;
      if (!record.connection->unsent.empty())
        connection->send(http::Buffer::copy_of(record.connection->unsent));
    }
    const bool lingering = record.engine.lingering;
    engineio::Session* session = parts.engine.arrive(std::move(record.engine), connection);
    if (session == nullptr) {
      if (connection != nullptr) connection->abort();
      continue;
    }
    parts.counters.add(ipc::Counter::SessionsArrived);
    if (lingering) continue;
    if (parts.socketio.arrive(*session, record.client)) {
      arrived.push_back(session);
    } else {
      spdlog::warn("migration: a session has sockets in a namespace that this program has not; it is closed");
      parts.engine.close_transport(*session, kServiceRestart);
    }
  }
  const bool whole = parts.rings.replay(batch.positions, [&](const socketio::Broadcast& broadcast) {
    parts.socketio.deliver_late(broadcast, arrived);
  });
  if (!whole) {
    parts.counters.add(ipc::Counter::RingGaps);
    spdlog::warn("migration: {} sessions missed broadcasts on their way: more came than is retained",
                 arrived.size());
    parts.socketio.report_gap({});
  }
  for (engineio::Session* session : arrived)
    if (session->user != nullptr) parts.socketio.announce_arrival(*session);
}

// ---- the giver

Giver::Giver(const MigrationParts& parts, ipc::Descriptor stream)
    : parts_(parts),
      stream_(std::move(stream)),
      watch_(parts.context, stream_.descriptor(), [this] { readable_ = true; }) {
  parts_.rings.retain(kRetainedBytes);
  parts_.front.give_away(true);
}

Giver::~Giver() { parts_.front.give_away(false); }

bool Giver::has_room() const noexcept {
  return !broken_ && stream_.queued_bytes() == 0 && bytes_on_their_way_ < kBytesOnTheirWay &&
         on_their_way_.size() < kParcelsOnTheirWay;
}

bool Giver::busy() const noexcept { return readable_ && !broken_; }

void Giver::turn() {
  if (broken_) return;
  // Before anything is received: what comes back from the taker is looked at in the next turn.
  (void)stream_.flush();
  give_connections();
  if (!finished_) {
    for (int i = 0; i < kBatchesPerTurn && has_room() && give_sessions(); ++i) {
    }
  }
  receive();
  if (!readable_ && !broken_) watch_.arm();
}

/// Those that wait between two requests, whoever they are for: the sessions they will ask for leave as well.
void Giver::give_connections() {
  if (!has_room()) return;
  parts_.front.http().take_idle([this](http::Stream& stream) {
    auto& connection = static_cast<ClientConnection&>(stream);
    ClientConnection::Detached detached = connection.detach();
    give(HttpConnection{image_of(connection, detached)}, std::move(detached.socket));
  });
}

bool Giver::give_sessions() {
  // What waits for room in the own ring was delivered here and has no place in a ring yet.
  if (parts_.rings.deferred()) return false;
  const auto ready = [this](const engineio::Session& session) { return parts_.socketio.can_depart(session); };
  for (engineio::Session* session : parts_.engine.movable_sessions(kBatchSessions, ready))
    if (parts_.engine.find(session->sid()) == session) parts_.socketio.announce_departure(*session);
  // Again: those handlers may have closed sessions, and what they emitted may wait. Who comes in their place
  // has not been told.
  if (parts_.rings.deferred()) return false;
  const auto told = [this](const engineio::Session& session) {
    return parts_.socketio.can_depart(session) && parts_.socketio.announced_departure(session);
  };
  const std::vector<engineio::Session*> leaving = parts_.engine.movable_sessions(kBatchSessions, told);
  // All of them in this call, however many batches that takes: what the handlers put down must not grow old.
  const std::vector<adapter::RingPosition> positions = parts_.rings.positions();
  Load load{{positions, {}}, {}, 0};
  Load too_large{{positions, {}}, {}, 0};
  std::vector<std::pair<HttpConnection, ipc::Descriptor>> polls;
  for (engineio::Session* session : leaving) {
    add(take_out(*session, polls), load, too_large);
    if (load.weight >= kBatchBytes) give(std::exchange(load, {{positions, {}}, {}, 0}));
  }
  if (!load.batch.sessions.empty()) give(std::move(load));
  for (auto& [poll, socket] : polls) give(poll, std::move(socket));
  // Behind all that leave: it runs handlers, whose broadcasts are beyond the positions of those.
  if (!too_large.batch.sessions.empty()) close_too_large(std::move(too_large));
  return !leaving.empty();
}

/// One that leaves, with its socket if it has one; its parked poll goes to `polls`.
std::pair<SessionRecord, ipc::Descriptor> Giver::take_out(
    engineio::Session& session, std::vector<std::pair<HttpConnection, ipc::Descriptor>>& polls) {
  std::pair<SessionRecord, ipc::Descriptor> leaving;
  auto& [record, socket] = leaving;
  if (parts_.engine.find(session.sid()) == &session) record.client = parts_.socketio.depart(session);
  engineio::Departure departure = parts_.engine.depart(session);
  record.engine = std::move(departure.image);
  if (departure.websocket != nullptr) {
    auto& connection = static_cast<ClientConnection&>(*departure.websocket);
    ClientConnection::Detached detached = connection.detach();
    record.connection = image_of(connection, detached);
    socket = std::move(detached.socket);
  }
  if (departure.poll != nullptr) {
    auto& connection = static_cast<ClientConnection&>(*departure.poll);
    ClientConnection::Detached detached = connection.detach();
    detached.unread.insert(0, departure.poll_request);
    ipc::Descriptor its_socket = std::move(detached.socket);
    polls.emplace_back(HttpConnection{image_of(connection, detached)}, std::move(its_socket));
  }
  return leaving;
}

void Giver::add(std::pair<SessionRecord, ipc::Descriptor> leaving, Load& load, Load& too_large) {
  const std::size_t weight = weight_of(leaving.first);
  Load& into = weight <= kHeaviestBytes ? load : too_large;
  into.weight += weight;
  into.batch.sessions.push_back(std::move(leaving.first));
  if (leaving.second) into.descriptors.push_back(std::move(leaving.second));
}

void Giver::give(Load load) {
  const std::size_t sessions = load.batch.sessions.size();
  give(std::move(load.batch), std::move(load.descriptors), sessions);
}

void Giver::give(const MigrationMessage& message, std::vector<ipc::Descriptor> descriptors,
                 std::size_t sessions) {
  on_their_way_.push_back({encode(message), std::move(descriptors), sessions, {}});
  const Parcel& parcel = on_their_way_.back();
  bytes_on_their_way_ += parcel.frame.size();
  sessions_on_their_way_ += sessions;
  stream_.send(parcel.frame, numbers_of(parcel.descriptors));
}

void Giver::give(const HttpConnection& connection, ipc::Descriptor socket) {
  const std::size_t weight = connection.connection.unread.size() + connection.connection.unsent.size();
  if (weight > kHeaviestBytes) {
    spdlog::warn("migration: a connection with {} bytes is too large to move; it ends", weight);
    return;
  }
  std::vector<ipc::Descriptor> descriptors;
  descriptors.push_back(std::move(socket));
  give(connection, std::move(descriptors), 0);
}

/// Sessions that no frame has room for: here again, and their clients come back without them.
void Giver::close_too_large(Load load) {
  std::vector<std::string> sids;
  for (const SessionRecord& session : load.batch.sessions) {
    spdlog::warn("migration: a session of {} bytes is too large to move; its transport is closed",
                 weight_of(session));
    sids.push_back(session.engine.sid);
  }
  settle(parts_, std::move(load.batch), std::move(load.descriptors));
  for (const std::string& sid : sids) {
    engineio::Session* const session = parts_.engine.find(sid);
    if (session == nullptr) continue;
    parts_.engine.close_transport(*session, kServiceRestart);
    parts_.counters.add(ipc::Counter::SessionsDrained);
  }
}

void Giver::send(const SocketAct& act) {
  if (broken_) return;
  const std::vector<std::byte> frame = encode(act);
  if (frame.size() > ipc::kFrameLimitBytes) {
    spdlog::warn("migration: an emit of {} bytes is too large for a client that has moved", frame.size());
    return;
  }
  stream_.send(frame);
  if (!on_their_way_.empty()) on_their_way_.back().acts.push_back(act);
}

void Giver::hear() {
  if (broken_) return;
  readable_ = true;
  receive();
}

void Giver::finish() {
  if (std::exchange(finished_, true) || broken_) return;
  stream_.send(encode(AllGiven{}));
}

void Giver::receive() {
  ipc::Datagram datagram;
  while (readable_) {
    switch (stream_.receive(&datagram)) {
      case ipc::ReceiveStatus::Message: {
        std::string why;
        auto message = decode_migration_message(datagram, &why);
        if (!message) {
          spdlog::error("migration: the successor said nonsense: {}", why);
          return take_back();
        }
        obey(std::move(*message), std::move(datagram.descriptors));
        break;
      }
      case ipc::ReceiveStatus::Empty:
        readable_ = false;
        return;
      case ipc::ReceiveStatus::Closed:
      case ipc::ReceiveStatus::Truncated:
      case ipc::ReceiveStatus::Failed:
        return take_back();
    }
  }
}

void Giver::obey(MigrationMessage message, std::vector<ipc::Descriptor> descriptors) {
  if (const auto* took = std::get_if<Took>(&message)) {
    while (parcels_taken_ < took->count && !on_their_way_.empty()) {
      const Parcel& parcel = on_their_way_.front();
      bytes_on_their_way_ -= parcel.frame.size();
      sessions_on_their_way_ -= parcel.sessions;
      parts_.counters.add(ipc::Counter::SessionsDeparted, parcel.sessions);
      on_their_way_.pop_front();
      ++parcels_taken_;
    }
  } else if (const auto* reply = std::get_if<SocketReply>(&message)) {
    parts_.socketio.take_reply(reply->nsp, reply->id, reply->text, reply->attachments);
  } else if (const auto* http = std::get_if<HttpConnection>(&message)) {
    parts_.front.take_in(std::move(descriptors.front()), http->connection);
  }
}

/// By the road on which they would have arrived.
void Giver::take_back() {
  broken_ = true;
  stream_.end();
  parts_.front.give_away(false);
  std::size_t sessions = 0;
  while (!on_their_way_.empty()) {
    Parcel parcel = std::move(on_their_way_.front());
    on_their_way_.pop_front();
    sessions += parcel.sessions;
    ipc::Datagram datagram{std::move(parcel.frame), std::move(parcel.descriptors)};
    std::string why;
    auto message = decode_migration_message(datagram, &why);
    if (!message) {
      spdlog::error("migration: take back: {}", why);
    } else if (auto* batch = std::get_if<SessionBatch>(&*message)) {
      settle(parts_, std::move(*batch), std::move(datagram.descriptors));
    } else if (const auto* http = std::get_if<HttpConnection>(&*message)) {
      parts_.front.take_in(std::move(datagram.descriptors.front()), http->connection);
    }
    for (const SocketAct& act : parcel.acts) carry_out(act, parts_.socketio);
  }
  parts_.rings.stop_retaining();
  bytes_on_their_way_ = 0;
  sessions_on_their_way_ = 0;
  if (!finished_) spdlog::warn("migration: the successor is gone; {} sessions are here again", sessions);
}

// ---- the taker

Taker::Taker(const MigrationParts& parts, ipc::Descriptor stream)
    : parts_(parts),
      stream_(std::move(stream)),
      watch_(parts.context, stream_.descriptor(), [this] { readable_ = true; }) {
  parts_.rings.retain(kRetainedBytes);
  parts_.front.expect_sessions(true);
}

void Taker::turn() {
  if (over_) return;
  if (!stream_.flush()) readable_ = true;  // its end is read, behind all that came before
  if (stream_.queued_bytes() == 0) going_back_.clear();
  ipc::Datagram datagram;
  // What was taken may be touched in the next turn: only if the giver has been told.
  for (int i = 0; i < kFramesPerTurn && readable_ && stream_.queued_bytes() == 0; ++i) {
    switch (stream_.receive(&datagram)) {
      case ipc::ReceiveStatus::Message: {
        std::string why;
        auto message = decode_migration_message(datagram, &why);
        if (!message) {
          spdlog::error("migration: the predecessor said nonsense: {}; what it has stays there", why);
          return end();
        }
        obey(std::move(*message), std::move(datagram.descriptors));
        break;
      }
      case ipc::ReceiveStatus::Empty:
        readable_ = false;
        break;
      case ipc::ReceiveStatus::Closed:
      case ipc::ReceiveStatus::Truncated:
      case ipc::ReceiveStatus::Failed:
        return end();
    }
  }
  if (!readable_) watch_.arm();
}

/// What was on its way back, or at the giver, ends with it: those clients see it, and come back.
void Taker::end() {
  over_ = true;
  stream_.end();
  going_back_.clear();
  become_complete();
}

void Taker::obey(MigrationMessage message, std::vector<ipc::Descriptor> descriptors) {
  if (auto* batch = std::get_if<SessionBatch>(&message)) {
    settle(parts_, std::move(*batch), std::move(descriptors));
    stream_.send(encode(Took{++parcels_}));
  } else if (const auto* http = std::get_if<HttpConnection>(&message)) {
    parts_.front.take_in(std::move(descriptors.front()), http->connection);
    stream_.send(encode(Took{++parcels_}));
  } else if (std::holds_alternative<AllGiven>(message)) {
    become_complete();
  } else if (const auto* what = std::get_if<SocketAct>(&message)) {
    carry_out(*what, parts_.socketio);
  }
}

/// What was on its way back, or at the giver, ends with it: those clients see it, and come back.
void Taker::become_complete() {
  if (std::exchange(complete_, true)) return;
  parts_.rings.stop_retaining();
  parts_.front.expect_sessions(false);
}

void Taker::send(const SocketReply& reply) {
  if (over_) return;
  const std::vector<std::byte> frame = encode(reply);
  if (frame.size() <= ipc::kFrameLimitBytes) return stream_.send(frame);
  spdlog::warn("migration: an answer of {} bytes is too large for the worker that waits for it",
               frame.size());
}

void Taker::give_back(ipc::Descriptor socket, const ClientConnection& from, std::string_view unread) {
  if (over_) return;  // the session died with its worker; the client's connection ends, and it comes back
  ClientConnection::Detached detached;
  detached.unread = unread;
  stream_.send(encode(HttpConnection{image_of(from, detached)}), {{socket.get()}});
  going_back_.push_back(std::move(socket));
}

// ---- both

void carry_out(const SocketAct& act, socketio::Server& socketio) {
  socketio::SocketState* socket = socketio.find_connected(act.nsp, act.id);
  if (socket == nullptr) return;
  switch (act.kind) {
    case SocketAct::Kind::Emit:
      return socketio.send(*socket, act.frames);
    case SocketAct::Kind::Join:
      (void)socketio.join(*socket, act.room);
      return;
    case SocketAct::Kind::Leave:
      (void)socketio.leave(*socket, act.room);
      return;
    case SocketAct::Kind::Disconnect:
      return socketio.disconnect(*socket, act.close);
  }
}

void Migration::begin_to_give(ipc::Descriptor stream) {
  forget_giver();
  next_stream_ = std::move(stream);
}

void Migration::stop_giving() {
  forget_giver();
  next_stream_ = {};
}

/// The supervisor may know of a taker's end before its stream has told: what it had not taken comes back
/// first.
void Migration::forget_giver() {
  if (giver_) giver_->hear();
  giver_.reset();
}

void Migration::turn() {
  if (taker_) taker_->turn();
  if (next_stream_ && (!taker_ || taker_->complete())) giver_.emplace(parts_, std::move(next_stream_));
  if (giver_) giver_->turn();
}

bool Migration::busy() const noexcept { return (taker_ && taker_->busy()) || (giver_ && giver_->busy()); }

void Migration::give_back(ipc::Descriptor socket, const ClientConnection& from, std::string_view unread) {
  if (taker_) taker_->give_back(std::move(socket), from, unread);
}

/// A socket that had to come back is here, although those that knew it before think it is not.
void Migration::act(const SocketAct& act) {
  if (parts_.socketio.find_connected(act.nsp, act.id) != nullptr) {
    carry_out(act, parts_.socketio);
  } else if (giver_) {
    giver_->send(act);
  }
}

void Migration::emit(std::string_view nsp, std::string_view id, std::span<const http::Buffer> frames) {
  act({.kind = SocketAct::Kind::Emit,
       .nsp = std::string(nsp),
       .id = std::string(id),
       .room = {},
       .close = false,
       .frames = {frames.begin(), frames.end()}});
}

void Migration::join(std::string_view nsp, std::string_view id, std::string_view room) {
  act({SocketAct::Kind::Join, std::string(nsp), std::string(id), std::string(room), false, {}});
}

void Migration::leave(std::string_view nsp, std::string_view id, std::string_view room) {
  act({SocketAct::Kind::Leave, std::string(nsp), std::string(id), std::string(room), false, {}});
}

void Migration::disconnect(std::string_view nsp, std::string_view id, bool close) {
  act({SocketAct::Kind::Disconnect, std::string(nsp), std::string(id), {}, close, {}});
}

void Migration::reply(std::string_view nsp, std::string_view id, std::string_view packet,
                      std::span<const http::Buffer> attachments) {
  if (!taker_) return;
  taker_->send({.nsp = std::string(nsp),
                .id = std::string(id),
                .text = std::string(packet),
                .attachments = {attachments.begin(), attachments.end()}});
}

}  // namespace limpet::process
