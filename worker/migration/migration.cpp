#include "worker/migration/migration.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "base/descriptor_limit.h"
#include "base/log.h"
#include "worker/migration/bucket_move.h"
#include "worker/migration/codec.h"

namespace limpet::migration {
namespace {

/// Of all migrations of this process: each can have something to say about every session.
base::LogGate lines_of_sessions;
base::LogGate lines_of_batches;
base::LogGate lines_of_acts;

/// Sessions of one batch: with it, one frame's descriptors.
constexpr std::size_t kBatchSessions = 32;
/// A batch that is this heavy gets no more sessions: it is encoded, and taken, in one piece.
constexpr std::size_t kBatchBytes = 256u << 10;
/// What is heavier cannot be in a batch, which has room for its positions and a batch's other sessions.
constexpr std::size_t kHeaviestBytes = ipc::kFrameLimitBytes - (4u << 20);
/// Units of an allowance: a session that leaves or arrives, but for what its handlers do.
constexpr std::uint32_t kUnitsOfSession = 8;
/// Of each 4 KiB that go with it: encoded, copied, sent, or the same the other way round.
constexpr std::uint32_t kUnitsOfMovedPage = 4;
/// Sent and not taken: bounds memory and descriptors in flight.
constexpr std::size_t kBytesOnTheirWay = 8u << 20;
constexpr std::size_t kParcelsOnTheirWay = 64;
/// A look at all sessions or connections is followed by a pause of as many microseconds: what cannot leave is
/// looked at often enough, and takes a small part of the time. Nothing where there are few.
loop::TimePoint after_pause(loop::TimePoint now, std::size_t seen) {
  return now + std::chrono::floor<std::chrono::milliseconds>(std::chrono::microseconds(seen));
}
/// Between two looks for connections that have become idle.
constexpr std::chrono::milliseconds kConnectionsInterval{10};
/// Records of a ring that are read before a batch arrives: as many as in any turn.
constexpr std::uint64_t kRecordsAtOnce = 1024;
/// Much longer than the supervisor takes to tell all workers of a new one.
constexpr std::chrono::seconds kWaitForIntroductions{1};

std::vector<int> numbers_of(const std::vector<base::Descriptor>& descriptors) {
  std::vector<int> numbers;
  for (const base::Descriptor& each : descriptors) numbers.push_back(each.get());
  return numbers;
}

client::ConnectionImage image_of(const client::ClientConnection& connection,
                                 client::ClientConnection::Detached& detached) {
  return client::image_of(connection, std::move(detached.unread), std::move(detached.unsent));
}

/// The kernel has no room for its socket, or a session of that sid is here already.
void give_up(const MigrationParts& parts, const SessionRecord& record) {
  parts.socketio().forget_ahead(record.client);
  parts.counters.add(ipc::Counter::SessionsGivenUp);
  base::log_at_most(lines_of_sessions, std::chrono::steady_clock::now(), base::LogLevel::Warning, [] {
    return std::string("migration: a session cannot be taken in; its client has to come back");
  });
}

}  // namespace

void settle(const MigrationParts& parts, SessionBatch batch, std::vector<base::Descriptor> descriptors) {
  // First to where they have been, then what they missed: what comes later comes to them like to all.
  parts.rings.catch_up(batch.positions);
  // What they said there comes before what they will say here.
  if (!batch.positions.empty()) parts.rings.follow(batch.positions.front());
  std::vector<engineio::Session*> arrived;
  std::size_t next_descriptor = 0;
  for (SessionRecord& record : batch.sessions) {
    client::ClientConnection* connection = nullptr;
    if (record.connection) {
      connection =
          client::restore(parts.clients, std::move(descriptors[next_descriptor++]), *record.connection);
      if (connection == nullptr) {
        give_up(parts, record);
        continue;
      }
      parts.front.count_arrived(*connection);
    }
    const bool lingering = record.engine.lingering;
    engineio::Session* session = parts.engine.arrive(std::move(record.engine), connection);
    if (session == nullptr) {
      if (connection != nullptr) connection->abort();
      give_up(parts, record);
      continue;
    }
    parts.counters.add(ipc::Counter::SessionsArrived);
    if (lingering) continue;
    if (parts.socketio().arrive(*session, record.client)) {
      arrived.push_back(session);
    } else {
      base::log_at_most(lines_of_sessions, std::chrono::steady_clock::now(), base::LogLevel::Warning, [&] {
        return std::string(
            "migration: a session has sockets in a namespace that this program has not; it is closed");
      });
      parts.engine.close_transport(*session);
    }
  }
  const bool whole = parts.rings.replay(batch.positions, [&](const socketio::Broadcast& broadcast) {
    parts.socketio().deliver_late(broadcast, arrived);
  });
  if (!whole) {
    parts.counters.add(ipc::Counter::RingGaps);
    base::log_at_most(lines_of_batches, std::chrono::steady_clock::now(), base::LogLevel::Warning, [&] {
      return fmt::format("migration: {} sessions missed broadcasts on their way: more came than is retained",
                         arrived.size());
    });
    parts.application.report_gap({});
  }
  for (engineio::Session* session : arrived)
    if (session->user != nullptr) parts.socketio().announce_arrival(*session);
}

// ---- the giver

Giver::Giver(const MigrationParts& parts, base::Descriptor stream, std::optional<std::uint16_t> to_slot)
    : parts_(parts),
      to_slot_(to_slot),
      stream_(std::move(stream)),
      watch_(parts.context, stream_.descriptor(), [this] { readable_ = true; }),
      waits_for_taker_(to_slot.has_value()) {
  if (!to_slot_) parts_.front.give_away(true);
}

Giver::~Giver() {
  if (!to_slot_) parts_.front.give_away(false);
}

bool Giver::wants(const engineio::Session& session) const {
  return !to_slot_ || parts_.handovers.owner_of(session.sid()) == *to_slot_;
}

bool Giver::gives_connections() const { return !to_slot_ || !parts_.handovers.owns_a_bucket(); }

bool Giver::has_room() const noexcept {
  return !broken_ && stream_.queued_bytes() == 0 && bytes_on_their_way_ < kBytesOnTheirWay &&
         on_their_way_.size() < kParcelsOnTheirWay;
}

bool Giver::busy() const noexcept {
  if (broken_) return false;
  if (!writes_later_ && stream_.queued_bytes() > 0) return true;
  const bool searches = gives_sessions() && !search_.round.over && has_room() && !parts_.rings.deferred();
  return readable_ || begins_ || searches;
}

loop::TimePoint Giver::next_deadline() const noexcept {
  const bool pauses = search_.is_wanted && gives_sessions() && has_room() && !parts_.rings.deferred();
  auto next = pauses ? std::max(search_.again_at, parts_.clock.now()) : loop::TimePoint::max();
  if (!waits_for_taker_ && gives_connections() && has_room() && parts_.front.http().connection_count() > 0)
    next = std::min(next, std::max(connections_again_at_, parts_.clock.now() + kConnectionsInterval));
  return next;
}

void Giver::turn(loop::Allowance& allowance) {
  if (broken_) return;
  // Before anything is received: what comes back from the taker is looked at in the next turn.
  (void)stream_.flush();
  begins_ = false;
  while (gives_sessions() && has_room() && give_sessions(allowance)) {
  }
  // Behind a round of sessions: a taker that has no descriptor left for all of them has those.
  if (!waits_for_taker_ && gives_connections() && first_round_is_over_) give_connections(allowance);
  receive(allowance);
  if (broken_) return;
  if (!readable_) watch_.arm();
  writes_later_ = stream_.queued_bytes() > 0;
  if (writes_later_) watch_.arm(loop::Watch::For::Room);
}

/// Those that wait between two requests, whoever they are for: the sessions they will ask for leave as well.
void Giver::give_connections(loop::Allowance& allowance) {
  if (!has_room() || parts_.clock.now() < connections_again_at_) return;
  http::Server& http = parts_.front.http();
  const std::size_t room = kParcelsOnTheirWay - on_their_way_.size();
  const bool were_all = http.take_idle(room, allowance, [this](loop::Stream& stream) {
    auto& connection = static_cast<client::ClientConnection&>(stream);
    client::ClientConnection::Detached detached = connection.detach();
    give(HttpConnection{image_of(connection, detached)}, std::move(detached.socket));
  });
  if (were_all) connections_again_at_ = after_pause(parts_.clock.now(), http.connection_count());
}

/// Grows whenever there may be a session to give that was not here before.
std::uint64_t Giver::newcomers() const {
  const engineio::Counts& counts = parts_.engine.counts();
  // Those that open get a bucket of this slot, as long as it has one.
  return counts.arrived + (gives_connections() ? counts.opened : 0);
}

std::optional<std::size_t> Giver::left() const {
  if (!search_.round.over || search_.newcomers != newcomers()) return std::nullopt;
  return search_.left;
}

/// A new round begins only for those that could not leave in the last one, or have come since.
bool Giver::goes_round() {
  if (!search_.round.over) return true;
  search_.is_wanted = left() != 0;
  if (!search_.is_wanted || parts_.clock.now() < search_.again_at) return false;
  search_ = {.round = {}, .newcomers = newcomers()};
  return true;
}

void Giver::end_round() {
  const bool was_first = !std::exchange(first_round_is_over_, true);
  search_.again_at = after_pause(parts_.clock.now(), search_.round.seen);
  search_.is_wanted = was_first || !left();
}

bool Giver::can_leave(const engineio::Session& session) const {
  const bool lingers = parts_.engine.find(session.sid()) == nullptr;
  return parts_.engine.can_depart(session) && (lingers || parts_.socketio().can_depart(session));
}

/// Some that can leave, whose handlers have been told so.
std::vector<engineio::Session*> Giver::announced(loop::Allowance& allowance) {
  const Search before = search_;
  std::vector<engineio::Session*> sessions =
      parts_.engine.go_round(search_.round, kBatchSessions, allowance,
                             [this](const engineio::Session& session) { return wants(session); });
  // Two kinds wait for the next round: heavy sessions, until the first one is over, and those for which this
  // batch has no room.
  std::size_t bytes = 0;
  search_.left += std::erase_if(sessions, [this, &bytes](const auto* session) {
    if (!can_leave(*session) || bytes >= kBatchBytes) return true;
    const std::size_t its_bytes = parts_.engine.bytes_of(*session);
    if (its_bytes >= kBatchBytes && !first_round_is_over_) return true;
    bytes += its_bytes;
    return false;
  });
  (void)allowance.take(kUnitsOfMovedPage * loop::units_of_bytes(bytes));
  for (engineio::Session* session : sessions)
    if (parts_.engine.find(session->sid()) == session) parts_.socketio().announce_departure(*session);
  // What those handlers emitted may wait: then so do these.
  if (parts_.rings.deferred()) {
    search_ = before;
    return {};
  }
  // And they may have closed sessions.
  search_.left += std::erase_if(sessions, [this](const auto* session) {
    const bool lingers = parts_.engine.find(session->sid()) == nullptr;
    return !can_leave(*session) || !(lingers || parts_.socketio().announced_departure(*session));
  });
  return sessions;
}

/// True: there may be more that can leave in this turn.
bool Giver::give_sessions(loop::Allowance& allowance) {
  // What waits for room in the own ring was delivered here and has no place in a ring yet.
  if (parts_.rings.deferred() || !goes_round()) return false;
  const std::vector<engineio::Session*> leaving = announced(allowance);
  if (!leaving.empty()) pack(leaving);
  (void)allowance.take(static_cast<std::uint32_t>(leaving.size()) * kUnitsOfSession);
  if (search_.round.over) end_round();
  return !search_.round.over && !allowance.exhausted() && !parts_.rings.deferred();
}

/// All of them in this call, however many batches that takes: what the handlers put down must not grow old.
void Giver::pack(const std::vector<engineio::Session*>& leaving) {
  parts_.rings.retain(kRetainedBytes);  // they may have to come back
  const std::vector<adapter::RingPosition> positions = parts_.rings.positions();
  Load load{{positions, {}}, {}, 0};
  Load too_large{{positions, {}}, {}, 0};
  std::vector<std::pair<HttpConnection, base::Descriptor>> polls;
  for (engineio::Session* session : leaving) {
    add(take_out(*session, polls), load, too_large);
    if (load.weight >= kBatchBytes || load.batch.sessions.size() >= kBatchSessions)
      give(std::exchange(load, {{positions, {}}, {}, 0}));
  }
  if (!load.batch.sessions.empty()) give(std::move(load));
  for (auto& [poll, socket] : polls) give(poll, std::move(socket));
  // Behind all that leave: it runs handlers, whose broadcasts are beyond the positions of those.
  if (!too_large.batch.sessions.empty()) close_too_large(std::move(too_large));
}

/// One that leaves, with its socket if it has one; its parked poll goes to `polls`.
std::pair<SessionRecord, base::Descriptor> Giver::take_out(
    engineio::Session& session, std::vector<std::pair<HttpConnection, base::Descriptor>>& polls) {
  std::pair<SessionRecord, base::Descriptor> leaving;
  auto& [record, socket] = leaving;
  if (parts_.engine.find(session.sid()) == &session) record.client = parts_.socketio().depart(session);
  engineio::DepartedSession departed = parts_.engine.depart(session);
  record.engine = std::move(departed.image);
  if (departed.websocket != nullptr) {
    auto& connection = static_cast<client::ClientConnection&>(*departed.websocket);
    client::ClientConnection::Detached detached = connection.detach();
    record.connection = image_of(connection, detached);
    socket = std::move(detached.socket);
  }
  if (departed.poll != nullptr) {
    auto& connection = static_cast<client::ClientConnection&>(*departed.poll);
    client::ClientConnection::Detached detached = connection.detach();
    detached.unread.insert(0, departed.poll_request);
    base::Descriptor its_socket = std::move(detached.socket);
    polls.emplace_back(HttpConnection{image_of(connection, detached)}, std::move(its_socket));
  }
  return leaving;
}

void Giver::add(std::pair<SessionRecord, base::Descriptor> leaving, Load& load, Load& too_large) {
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

void Giver::give(const MigrationMessage& message, std::vector<base::Descriptor> descriptors,
                 std::size_t sessions) {
  on_their_way_.push_back({encode(message), std::move(descriptors), sessions, {}});
  const Parcel& parcel = on_their_way_.back();
  bytes_on_their_way_ += parcel.frame.size();
  sessions_on_their_way_ += sessions;
  stream_.lend(parcel.frame, numbers_of(parcel.descriptors));
}

void Giver::give(const HttpConnection& connection, base::Descriptor socket) {
  const std::size_t weight = connection.connection.unread.size() + connection.connection.unsent.size();
  if (weight > kHeaviestBytes) {
    base::log_at_most(lines_of_sessions, std::chrono::steady_clock::now(), base::LogLevel::Warning, [&] {
      return fmt::format("migration: a connection with {} bytes is too large to move; it ends", weight);
    });
    return;
  }
  std::vector<base::Descriptor> descriptors;
  descriptors.push_back(std::move(socket));
  give(connection, std::move(descriptors), 0);
}

/// Sessions that no frame has room for: here again, and their clients come back without them.
void Giver::close_too_large(Load load) {
  std::vector<std::string> sids;
  for (const SessionRecord& session : load.batch.sessions) {
    base::log_at_most(lines_of_sessions, std::chrono::steady_clock::now(), base::LogLevel::Warning, [&] {
      return fmt::format("migration: a session of {} bytes is too large to move; its transport is closed",
                         weight_of(session));
    });
    sids.push_back(session.engine.sid);
  }
  settle(parts_, std::move(load.batch), std::move(load.descriptors));
  for (const std::string& sid : sids) {
    engineio::Session* const session = parts_.engine.find(sid);
    if (session == nullptr) continue;
    parts_.engine.close_transport(*session);
    parts_.counters.add(ipc::Counter::SessionsDrained);
  }
}

void Giver::send(const SocketAct& act) {
  if (broken_) return;
  std::vector<std::byte> frame = encode(act);
  if (frame.size() > ipc::kFrameLimitBytes) {
    base::log_at_most(lines_of_acts, std::chrono::steady_clock::now(), base::LogLevel::Warning, [&] {
      return fmt::format("migration: an emit of {} bytes is too large for a client that has moved",
                         frame.size());
    });
    return;
  }
  stream_.send(std::move(frame));
  if (!on_their_way_.empty()) on_their_way_.back().acts.push_back(act);
}

void Giver::hear() {
  if (broken_) return;
  readable_ = true;
  auto all = loop::Allowance::unlimited();
  receive(all);
}

void Giver::finish() {
  if (std::exchange(finished_, true) || broken_) return;
  give(AllGiven{}, {}, 0);
}

void Giver::pass_on(base::Descriptor socket, const client::ClientConnection& from, std::string_view unread) {
  std::vector<base::Descriptor> descriptors;
  descriptors.push_back(std::move(socket));
  // Only if it was the taker who asked: of a request that came by itself it has not asked the others.
  give(HttpConnection{client::image_of(from, std::string(unread)), from.asked() != 0}, std::move(descriptors),
       0);
}

void Giver::receive(loop::Allowance& allowance) {
  ipc::Datagram datagram;
  while (readable_ && !broken_ && allowance.take()) {
    switch (stream_.receive(&datagram)) {
      case ipc::ReceiveStatus::Message: {
        std::string why;
        auto message = decode_migration_message(datagram, &why);
        if (!message) return give_up(why);
        obey(std::move(*message), std::move(datagram.descriptors));
        break;
      }
      case ipc::ReceiveStatus::Empty:
        readable_ = !stream_.drained();
        break;
      case ipc::ReceiveStatus::Truncated:
        return give_up("what it sent is no frame");
      case ipc::ReceiveStatus::DescriptorsLost:
        return give_up("no descriptor was left for what it gave back");
      case ipc::ReceiveStatus::Closed:
      case ipc::ReceiveStatus::Failed:
        return take_back();
    }
  }
}

void Giver::obey(MigrationMessage message, std::vector<base::Descriptor> descriptors) {
  if (const auto* took = std::get_if<Took>(&message)) {
    const std::uint64_t written = parcels_taken_ + on_their_way_.size() - stream_.lent_frames();
    if (took->count > written) return give_up("it took more than was given");
    while (parcels_taken_ < took->count) {
      const Parcel& parcel = on_their_way_.front();
      bytes_on_their_way_ -= parcel.frame.size();
      sessions_on_their_way_ -= parcel.sessions;
      sessions_taken_ += parcel.sessions;
      parts_.counters.add(ipc::Counter::SessionsDeparted, parcel.sessions);
      on_their_way_.pop_front();
      ++parcels_taken_;
    }
  } else if (const auto* reply = std::get_if<SocketReply>(&message)) {
    parts_.socketio().take_reply(reply->nsp, reply->id, reply->text, reply->attachments);
  } else if (const auto* http = std::get_if<HttpConnection>(&message)) {
    client::ClientConnection* const back =
        parts_.front.take_in(std::move(descriptors.front()), http->connection);
    if (back != nullptr) back->set_asked(1);
  } else if (std::holds_alternative<Expecting>(message)) {
    waits_for_taker_ = false;
    begins_ = true;
  }
}

/// Nothing goes this way any more.
void Giver::break_off() {
  broken_ = true;
  stream_.end();
  if (!to_slot_) parts_.front.give_away(false);
}

/// By the road on which they would have arrived.
void Giver::take_back() {
  break_off();
  std::size_t sessions = 0;
  while (!on_their_way_.empty()) {
    Parcel parcel = std::move(on_their_way_.front());
    on_their_way_.pop_front();
    sessions += parcel.sessions;
    ipc::Datagram datagram{std::move(parcel.frame), std::move(parcel.descriptors)};
    std::string why;
    auto message = decode_migration_message(datagram, &why);
    if (!message) {
      base::log_at_most(lines_of_batches, std::chrono::steady_clock::now(), base::LogLevel::Error,
                        [&] { return fmt::format("migration: take back: {}", why); });
    } else if (auto* batch = std::get_if<SessionBatch>(&*message)) {
      settle(parts_, std::move(*batch), std::move(datagram.descriptors));
    } else if (const auto* http = std::get_if<HttpConnection>(&*message)) {
      (void)parts_.front.take_in(std::move(datagram.descriptors.front()), http->connection);
    }
    for (const SocketAct& act : parcel.acts) (void)carry_out(act, parts_.socketio());
  }
  bytes_on_their_way_ = 0;
  sessions_on_their_way_ = 0;
  if (!finished_)
    base::log(base::LogLevel::Warning,
              fmt::format("migration: the taker is gone; {} sessions are here again", sessions));
}

/// The taker lives, so it may have what is on its way, and may not. Both may hold those sockets: they are
/// shut down, and their clients come back.
void Giver::give_up(const std::string& why) {
  break_off();
  base::log(base::LogLevel::Error,
            fmt::format("migration: the taker sent an invalid message: {}; {} sessions on their way end", why,
                        sessions_on_their_way_));
  parts_.counters.add(ipc::Counter::SessionsGivenUp, sessions_on_their_way_);
  for (const Parcel& parcel : on_their_way_)
    for (const base::Descriptor& socket : parcel.descriptors) ::shutdown(socket.get(), SHUT_RDWR);
  on_their_way_.clear();
  bytes_on_their_way_ = 0;
  sessions_on_their_way_ = 0;
}

// ---- the taker

Taker::Taker(const MigrationParts& parts, std::uint32_t number, base::Descriptor stream, OnAct on_act,
             OnRefusal on_refusal)
    : parts_(parts),
      number_(number),
      on_act_(std::move(on_act)),
      on_refusal_(std::move(on_refusal)),
      stream_(std::move(stream)),
      watch_(parts.context, stream_.descriptor(), [this] { readable_ = true; }) {
  parts_.rings.retain(kRetainedBytes);
}

void Taker::say_expecting() { stream_.send(encode(Expecting{})); }

void Taker::turn(loop::Allowance& allowance) {
  if (over_) return;
  if (!stream_.flush()) readable_ = true;  // its end is read, behind all that came before
  if (stream_.queued_bytes() == 0) going_back_.clear();
  // What was taken may be touched in the next turn: only if the giver has been told.
  if (held_) take(*std::exchange(held_, std::nullopt), allowance);
  while (!held_ && stream_.queued_bytes() == 0 && receive_next(allowance)) {
    // To decode and settle it costs as much again as to read it: of a large one, in the next turn.
    if (!allowance.take(kUnitsOfMovedPage * loop::units_of_bytes(next_->bytes.size()))) break;
    if (!take_next(allowance)) return;
  }
  if (over_) return;
  if (!readable_) watch_.arm();
  writes_later_ = stream_.queued_bytes() > 0;
  if (writes_later_) watch_.arm(loop::Watch::For::Room);
}

ipc::ReceiveStatus Taker::receive_out_of_reserve(ipc::Datagram* into) {
  const base::DescriptorReserve reserve(base::kReservedForConnections);
  return stream_.receive(into);
}

/// False: no whole frame is here in this turn.
bool Taker::receive_next(loop::Allowance& allowance) {
  while (!next_ && readable_ && allowance.take()) {
    ipc::Datagram datagram;
    switch (receive_out_of_reserve(&datagram)) {
      case ipc::ReceiveStatus::Message:
        (void)allowance.take(kUnitsOfMovedPage * loop::units_of_bytes(datagram.bytes.size()));
        next_ = std::move(datagram);
        break;
      case ipc::ReceiveStatus::Empty:
        readable_ = !stream_.drained();
        if (readable_)
          (void)allowance.take(kUnitsOfMovedPage * loop::units_of_bytes(ipc::FrameStream::kReadBytes));
        break;
      case ipc::ReceiveStatus::Truncated:
        refuse("what it sent is no frame");
        return false;
      case ipc::ReceiveStatus::DescriptorsLost:
        base::log(
            base::LogLevel::Error,
            fmt::format("migration: no descriptor is left for what comes (RLIMIT_NOFILE {}); what is not "
                        "here stays with the worker before, and is drained",
                        base::descriptor_limit()));
        end();
        return false;
      case ipc::ReceiveStatus::Closed:
      case ipc::ReceiveStatus::Failed:
        end();
        return false;
    }
  }
  return next_.has_value();
}

/// False: it was refused.
bool Taker::take_next(loop::Allowance& allowance) {
  ipc::Datagram datagram = std::move(*std::exchange(next_, std::nullopt));
  std::string why;
  auto message = decode_migration_message(datagram, &why);
  if (!message) {
    refuse(why);
    return false;
  }
  take({std::move(*message), std::move(datagram.descriptors)}, allowance);
  return true;
}

void Taker::take(Frame frame, loop::Allowance& allowance) {
  joins_ahead_ = false;
  if (is_early(frame) || joins_ahead(frame, allowance)) {
    held_ = std::move(frame);
  } else {
    obey(std::move(frame.message), std::move(frame.descriptors));
  }
}

/// The giver may have been told of a newborn worker first, and may have delivered what that one has
/// published. Its ring must be here before those sessions, or they hear the same again. Waits once, for whom
/// it waits may have died.
///
/// And where this worker is far behind the giver in a ring, it reads on as in every turn until that is
/// little: what is left is read in one go.
bool Taker::is_early(const Frame& frame) {
  const auto* const batch = std::get_if<SessionBatch>(&frame.message);
  if (batch == nullptr) return false;
  if (parts_.rings.knows(batch->positions)) return parts_.rings.behind(batch->positions) > kRecordsAtOnce;
  if (held_until_ == loop::TimePoint{}) held_until_ = parts_.clock.now() + kWaitForIntroductions;
  return parts_.clock.now() < held_until_;
}

/// A client in very many rooms joins them before it is here.
bool Taker::joins_ahead(const Frame& frame, loop::Allowance& allowance) {
  const auto* const batch = std::get_if<SessionBatch>(&frame.message);
  if (batch == nullptr) return false;
  joins_ahead_ = !std::all_of(batch->sessions.begin(), batch->sessions.end(), [&](const SessionRecord& each) {
    return parts_.socketio().join_ahead(each.client, allowance);
  });
  return joins_ahead_;
}

void Taker::obey(MigrationMessage message, std::vector<base::Descriptor> descriptors) {
  if (auto* batch = std::get_if<SessionBatch>(&message)) {
    settle(parts_, std::move(*batch), std::move(descriptors));
    stream_.send(encode(Took{++parcels_}));
  } else if (const auto* http = std::get_if<HttpConnection>(&message)) {
    client::ClientConnection* const arrived =
        parts_.front.take_in(std::move(descriptors.front()), http->connection);
    if (arrived != nullptr && http->asked) arrived->set_asked(number_);
    stream_.send(encode(Took{++parcels_}));
  } else if (std::holds_alternative<AllGiven>(message)) {
    complete_ = true;
    stream_.send(encode(Took{++parcels_}));
  } else if (const auto* what = std::get_if<SocketAct>(&message)) {
    on_act_(*what);
  }
}

/// What was on its way back, or at the giver, ends with it: those clients see it, and come back.
void Taker::end() {
  over_ = complete_ = true;
  stream_.end();
  going_back_.clear();
}

void Taker::refuse(const std::string& why) {
  base::log(base::LogLevel::Error,
            fmt::format("migration: what the giver says is refused: {}; what it has stays there", why));
  end();
  if (on_refusal_) on_refusal_(why);
}

void Taker::send(const SocketReply& reply) {
  if (over_) return;
  std::vector<std::byte> frame = encode(reply);
  if (frame.size() <= ipc::kFrameLimitBytes) return stream_.send(std::move(frame));
  base::log_at_most(lines_of_acts, std::chrono::steady_clock::now(), base::LogLevel::Warning, [&] {
    return fmt::format("migration: an answer of {} bytes is too large for the worker that waits for it",
                       frame.size());
  });
}

void Taker::give_back(base::Descriptor socket, const client::ClientConnection& from,
                      std::string_view unread) {
  stream_.send(encode(HttpConnection{client::image_of(from, std::string(unread))}), {{socket.get()}});
  going_back_.push_back(std::move(socket));
}

// ---- both

bool carry_out(const SocketAct& act, socketio::Server& socketio) {
  socketio::SocketState* socket = socketio.find_connected(act.nsp, act.id);
  if (socket == nullptr) return false;
  switch (act.kind) {
    case SocketAct::Kind::Emit:
      socketio.send(*socket, act.frames);
      break;
    case SocketAct::Kind::Join:
      (void)socketio.join(*socket, act.room);
      break;
    case SocketAct::Kind::Leave:
      (void)socketio.leave(*socket, act.room);
      break;
    case SocketAct::Kind::Disconnect:
      socketio.disconnect(*socket, act.close);
      break;
  }
  return true;
}

Migration::Migration(const MigrationParts& parts, OnBucketsMoved on_moved, Taker::OnRefusal on_refusal)
    : parts_(parts), on_moved_(std::move(on_moved)), on_refusal_(std::move(on_refusal)) {}

Migration::~Migration() = default;

Taker& Migration::expect(base::Descriptor stream, Taker::OnRefusal on_refusal) {
  const std::uint32_t number = ++last_number_;
  Taker& taker = takers_.emplace_back(
      parts_, number, std::move(stream), [this, number](const SocketAct& what) { act(what, number); },
      std::move(on_refusal));
  note_expectations();
  return taker;
}

void Migration::expect_buckets(base::Descriptor stream) {
  expect(std::move(stream), nullptr).say_expecting();
}

void Migration::note_expectations() {
  std::uint32_t last = 0;
  for (const Taker& taker : takers_)
    if (!taker.complete()) last = taker.number();
  if (last == 0 && last_expected_ != 0) parts_.handovers.learn_own_buckets();
  last_expected_ = last;
  parts_.router.expect_sessions(last);
}

void Migration::begin_to_give(base::Descriptor stream) {
  forget_giver();
  next_stream_ = std::move(stream);
}

void Migration::move_buckets(const ipc::MoveBuckets& order, base::Descriptor stream) {
  parts_.handovers.learn_own_buckets();  // they may come back
  moves_.remove_if([&](const BucketMove& move) { return move.to_slot() == order.to_slot; });
  moves_.emplace_back(parts_, ++last_number_, order, std::move(stream), on_moved_);
}

void Migration::stop_giving() {
  forget_giver();
  next_stream_ = {};
  for (BucketMove& move : moves_) move.stop();
}

bool Migration::has_taker_before(std::uint32_t number) const noexcept {
  return !takers_.empty() && takers_.front().number() < number;
}

bool Migration::buckets_are_quiet() const {
  return std::all_of(moves_.begin(), moves_.end(), [this](const BucketMove& move) {
    return move.giver().broken() || (move.giver().given() && parts_.socketio().awaited_replies() == 0 &&
                                     !has_taker_before(move.number()));
  });
}

bool Migration::gives_connections() const {
  return !parts_.handovers.owns_a_bucket() &&
         std::any_of(moves_.begin(), moves_.end(),
                     [](const BucketMove& move) { return !move.giver().broken(); });
}

/// The supervisor may know of a taker's end before its stream has told: what it had not taken comes back
/// first.
void Migration::forget_giver() {
  if (giver_) giver_->hear();
  giver_.reset();
}

void Migration::turn(loop::Allowance& allowance) {
  for (Taker& taker : takers_) taker.turn(allowance);
  takers_.remove_if([](const Taker& taker) { return taker.over(); });
  if (last_expected_ != 0) note_expectations();
  if (next_stream_ && last_expected_ == 0) {
    giver_.emplace(parts_, std::move(next_stream_));
    giver_number_ = ++last_number_;
  }
  give(allowance);
  end_moves();
  const bool settled = (!giver_ || giver_->settled()) &&
                       std::all_of(moves_.begin(), moves_.end(),
                                   [](const BucketMove& move) { return move.giver().settled(); });
  if (last_expected_ == 0 && settled) parts_.rings.stop_retaining();
}

void Migration::give(loop::Allowance& allowance) {
  for (BucketMove& move : moves_) {
    replies_before_ = move.number();
    move.turn(allowance);
  }
  replies_before_ = giver_number_;
  if (giver_) giver_->turn(allowance);
  replies_before_ = kAny;
}

/// The stream stays open while somebody waits for what comes on it. That of a slot that closes to the end:
/// connections leave by it.
bool Migration::is_over(const BucketMove& move) const {
  if (move.giver().broken()) return true;
  if (!move.done() || !parts_.handovers.owns_a_bucket()) return false;
  return move.deadline() <= parts_.clock.now() ||
         (parts_.socketio().awaited_replies() == 0 && !has_taker_before(move.number()));
}

void Migration::end_moves() {
  if (moves_.empty()) return;
  moves_.remove_if([this](const BucketMove& move) { return is_over(move); });
  if (moves_.empty() && !giver_) parts_.socketio().forget_moved();
}

bool Migration::busy() const noexcept {
  return std::any_of(takers_.begin(), takers_.end(), [](const Taker& taker) { return taker.busy(); }) ||
         std::any_of(moves_.begin(), moves_.end(),
                     [](const BucketMove& move) { return move.giver().busy(); }) ||
         (giver_ && giver_->busy());
}

loop::TimePoint Migration::next_deadline() const {
  auto next = loop::TimePoint::max();
  for (const Taker& taker : takers_) next = std::min(next, taker.next_deadline());
  for (const BucketMove& move : moves_) next = std::min(next, move.next_deadline());
  if (giver_) next = std::min(next, giver_->next_deadline());
  return next;
}

void Migration::give_back(base::Descriptor socket, const client::ClientConnection& from,
                          std::string_view unread) {
  for (Taker& taker : takers_) {
    if (!taker.complete() && taker.number() > from.asked())
      return taker.give_back(std::move(socket), from, unread);
  }
  // All have come meanwhile.
  (void)parts_.front.take_in(std::move(socket), client::image_of(from, std::string(unread)));
}

bool Migration::pass_on(base::Descriptor& socket, const client::ClientConnection& from, std::uint16_t to_slot,
                        std::string_view unread) {
  const auto move = std::find_if(moves_.begin(), moves_.end(), [&](const BucketMove& each) {
    return each.to_slot() == to_slot && each.giver().passes_on();
  });
  if (move == moves_.end()) return false;
  move->giver().pass_on(std::move(socket), from, unread);
  return true;
}

/// A socket that had to come back is here, although those that knew it before think it is not.
void Migration::act(const SocketAct& act, std::uint32_t behind) {
  if (carry_out(act, parts_.socketio())) return;
  for (BucketMove& move : moves_)
    if (move.number() > behind) move.giver().send(act);
  if (giver_ && giver_number_ > behind) giver_->send(act);
}

void Migration::emit(std::string_view nsp, std::string_view id, std::span<const loop::Buffer> frames) {
  act({.kind = SocketAct::Kind::Emit,
       .nsp = std::string(nsp),
       .id = std::string(id),
       .room = {},
       .close = false,
       .frames = {frames.begin(), frames.end()}},
      0);
}

void Migration::join(std::string_view nsp, std::string_view id, std::string_view room) {
  act({SocketAct::Kind::Join, std::string(nsp), std::string(id), std::string(room), false, {}}, 0);
}

void Migration::leave(std::string_view nsp, std::string_view id, std::string_view room) {
  act({SocketAct::Kind::Leave, std::string(nsp), std::string(id), std::string(room), false, {}}, 0);
}

void Migration::disconnect(std::string_view nsp, std::string_view id, bool close) {
  act({SocketAct::Kind::Disconnect, std::string(nsp), std::string(id), {}, close, {}}, 0);
}

void Migration::reply(std::string_view nsp, std::string_view id, std::string_view packet,
                      std::span<const loop::Buffer> attachments) {
  const SocketReply back{.nsp = std::string(nsp),
                         .id = std::string(id),
                         .text = std::string(packet),
                         .attachments = {attachments.begin(), attachments.end()}};
  for (Taker& taker : takers_)
    if (taker.number() < replies_before_) taker.send(back);
}

}  // namespace limpet::migration
