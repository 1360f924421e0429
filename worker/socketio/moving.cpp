// Clients on their way to and from another process (law 5), and what stays behind of their sockets: the
// places that handles and callbacks know.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/log.h"
#include "worker/socketio/costs.h"
#include "worker/socketio/server.h"

namespace limpet::socketio {
namespace {

using std::chrono::milliseconds;

/// How deep the data() of a socket may be nested. The parser recurses.
constexpr std::size_t kDataDepth = 1000;

ClientState* client_of(const engineio::Session& session) noexcept {
  return static_cast<ClientState*>(session.user);
}

std::string json_of(const boost::json::value& data) {
  return data.is_null() ? std::string() : boost::json::serialize(data);
}

/// Of what json_of() made: whatever an application may have put there, not only what a client may say.
boost::json::value value_of(const std::string& json, boost::system::error_code& error) {
  if (json.empty()) return nullptr;
  boost::json::parse_options options;
  options.max_depth = kDataDepth;
  options.allow_invalid_utf8 = true;
  boost::json::value value = boost::json::parse(json, error, {}, options);
  return error ? nullptr : value;
}

SocketId id_of(const std::string& text) {
  SocketId id{};
  std::copy_n(text.begin(), std::min(text.size(), id.size()), id.begin());
  return id;
}

/// The sockets of a client, the first one that it joined first.
std::vector<SocketState*> sockets_of(const ClientState& client) {
  std::vector<SocketState*> sockets;
  for (SocketState* socket = client.first; socket != nullptr; socket = socket->next)
    sockets.push_back(socket);
  std::reverse(sockets.begin(), sockets.end());
  return sockets;
}

}  // namespace

bool Server::can_depart(const engineio::Session& session) const noexcept {
  const ClientState* const client = client_of(session);
  if (client == nullptr || client->closing || discarded_.is_dispatching()) return false;
  for (const SocketState* socket = client->first; socket != nullptr; socket = socket->next)
    if (socket->phase != SocketState::Phase::Connected) return false;
  return true;
}

bool Server::announced_departure(const engineio::Session& session) const noexcept {
  const ClientState* const client = client_of(session);
  return client != nullptr && client->told_of_departure;
}

void Server::announce_departure(engineio::Session& session) {
  // What the handlers emit may have to wait, and the client with it: not again in the next turn.
  if (std::exchange(client_of(session)->told_of_departure, true)) return;
  const Dispatch dispatch(discarded_);
  for (const SocketState* socket : sockets_of(*client_of(session)))
    socket->nsp->handlers->leaving(handle_of(*socket));
}

ClientImage Server::depart(engineio::Session& session) {
  ClientState& client = *client_of(session);
  ClientImage image;
  if (client.is_waiting) {
    image.connect_timer =
        std::max(milliseconds(0), std::chrono::ceil<milliseconds>(client.waiting->first - clock_.now()));
    stop_waiting(client);
  }
  if (client.assembly != nullptr) {
    const auto assembly = take_assembly(client);
    image.assembly = {std::move(assembly->text), assembly->expected, std::move(assembly->attachments)};
  }
  for (SocketState* socket : sockets_of(client)) {
    SocketImage& one = image.sockets.emplace_back();
    one.nsp = socket->nsp->name;
    one.id = view_of(socket->id);
    one.rooms.reserve(socket->rooms.size());
    for (const Membership& place : socket->rooms) one.rooms.push_back(place.room->name);
    if (socket->extras != nullptr) {
      one.data = json_of(socket->extras->data);
      one.auth = socket->extras->auth;
      one.next_reply_id = socket->extras->next_reply_id;
    }
    leave_namespace(*socket);
    cut_off(*socket);
    if (Memberships::has_rooms_to_leave(*socket)) endings_.push_back({socket, {}, false, false});
    socket->phase = SocketState::Phase::Moved;
    replies_.count_moved(*socket);
    moved_.emplace(one.id, socket->index);
  }
  session.hold(-kClientBytes);
  client.session = nullptr;
  session.user = nullptr;
  if (client.first == nullptr) delete &client;  // no handle can know it
  return image;
}

bool Server::join_ahead(const ClientImage& image, loop::Allowance& allowance) {
  for (const SocketImage& one : image.sockets) {
    if (one.rooms.size() <= kJoinedAtOnce || find_namespace(one.nsp) == nullptr) continue;
    Ahead& ahead = ahead_[one.id];
    if (ahead.socket == nullptr) ahead.socket = make_ahead(one);
    SocketState& socket = *ahead.socket;
    for (; ahead.joined < one.rooms.size(); ++ahead.joined) {
      if (!allowance.take(units_of_room(one.rooms[ahead.joined]))) return false;
      memberships_.join(socket, one.rooms[ahead.joined]);
    }
  }
  return true;
}

/// In no list but that of its rooms, where its gate is shut; charged to the server, as if it had ended.
std::unique_ptr<SocketState> Server::make_ahead(const SocketImage& image) {
  auto socket = std::make_unique<SocketState>();
  sockets_.give_index(*socket);
  socket->id = id_of(image.id);
  socket->client = nullptr;
  socket->nsp = find_namespace(image.nsp);
  socket->ended = true;
  charges_.charge(*socket, kSocketBytes);
  memberships_.become_many(*socket, image.rooms.size());
  return socket;
}

/// Null: none has joined rooms before it came.
SocketState* Server::take_ahead(ClientState& client, const SocketImage& image) {
  auto found = ahead_.extract(image.id);
  if (found.empty()) return nullptr;
  SocketState& socket = *found.mapped().socket.release();
  const std::ptrdiff_t held =
      held_without_rooms(socket) + static_cast<std::ptrdiff_t>(Memberships::held(socket));
  charges_.charge(socket, -held);
  socket.ended = false;
  socket.client = &client;
  charges_.charge(socket, held);
  memberships_.open_gate(socket);
  client_sockets_.add(client, socket);
  sockets_.add(socket);
  return &socket;
}

void Server::forget_ahead(const ClientImage& image) {
  for (const SocketImage& one : image.sockets) {
    auto found = ahead_.extract(one.id);
    if (found.empty()) continue;
    SocketState& socket = *found.mapped().socket.release();
    sockets_.take_index(socket);
    charges_.charge(socket, -held_without_rooms(socket));
    memberships_.leave_all(socket);
    endings_.push_back({&socket, {}, false, false});
  }
}

bool Server::arrive(engineio::Session& session, const ClientImage& image) {
  for (const SocketImage& one : image.sockets) {
    if (find_namespace(one.nsp) != nullptr && find_connected(one.nsp, one.id) == nullptr) continue;
    forget_ahead(image);
    return false;
  }
  auto owned = std::make_unique<ClientState>();
  ClientState& client = *owned;
  client.session = &session;
  session.hold(kClientBytes);
  if (image.connect_timer) wait_for_connect(client, clock_.now() + *image.connect_timer);
  if (image.assembly) {
    await_attachments(client, image.assembly->text, image.assembly->expected);
    for (const loop::Buffer& frame : image.assembly->attachments) keep_attachment(client, frame);
  }
  for (const SocketImage& one : image.sockets) {
    SocketState* const ahead = take_ahead(client, one);
    SocketState& socket =
        ahead != nullptr ? *ahead : create_socket(client, *find_namespace(one.nsp), id_of(one.id));
    enter_namespace(socket);
    socket.recovered = true;
    if (ahead == nullptr) {
      if (one.rooms.size() > kFewRooms) memberships_.become_many(socket, one.rooms.size());
      for (const std::string_view room : one.rooms) memberships_.join(socket, room);
    }
    if (one.data.empty() && one.auth.empty() && one.next_reply_id == 0) continue;
    boost::system::error_code error;
    extras_of(socket, charges_).data = value_of(one.data, error);
    if (error) {
      base::log_at_most(lost_data_, clock_.now(), base::LogLevel::Warning, [&] {
        return fmt::format("migration: the data() of a socket is lost: {}", error.message());
      });
    }
    keep_auth(socket, one.auth, charges_);
    extras_of(socket, charges_).next_reply_id = one.next_reply_id;
  }
  session.user = owned.release();
  return true;
}

void Server::announce_arrival(engineio::Session& session) {
  const Dispatch dispatch(discarded_);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> places;
  for (const SocketState* socket : sockets_of(*client_of(session)))
    places.emplace_back(socket->index, socket->epoch);
  for (const auto& [index, epoch] : places) {
    const SocketState* const socket = find(index, epoch);
    // Null: a handler of another has ended it.
    if (socket != nullptr) socket->nsp->handlers->connected(handle_of(*socket));
  }
}

void Server::deliver_late(const Broadcast& broadcast, std::span<engineio::Session* const> sessions) {
  for (engineio::Session* session : sessions) {
    const ClientState* const client = client_of(*session);
    if (client == nullptr) continue;
    for (const SocketState* socket = client->first; socket != nullptr; socket = socket->next) {
      if (!Delivery::is_for(*socket, broadcast) || (broadcast.is_volatile && !session->writable())) continue;
      session->send(broadcast.frames);
      ++stats_.packets_out;
    }
  }
}

SocketState* Server::find_connected(std::string_view nsp, std::string_view id) const noexcept {
  const NamespaceState* const found = find_namespace(nsp);
  return found == nullptr ? nullptr : sockets_.find_connected(*found, id);
}

bool Server::resolve_moved_reply(std::string_view socket_id, const Packet& packet,
                                 std::span<const loop::Buffer> attachments) {
  const auto [first, last] = moved_.equal_range(socket_id);
  return std::any_of(first, last, [&](const auto& entry) {
    SocketState& socket = sockets_.at(entry.second);
    Call call(handle_of(socket), Arguments(packet.json, packet.elements.view(), attachments));
    return replies_.resolve(socket, *packet.id, call);
  });
}

void Server::take_reply(std::string_view nsp, std::string_view id, std::string_view text,
                        std::span<const loop::Buffer> attachments) {
  const auto [first, last] = moved_.equal_range(id);
  if (first == last || sockets_.at(first->second).nsp->name != nsp) return;
  Packet packet;
  const bool is_reply = decode_packet(text, packet) && packet.id &&
                        (packet.type == PacketType::Ack || packet.type == PacketType::BinaryAck);
  if (!is_reply || packet.attachments != attachments.size()) return;
  const Dispatch dispatch(discarded_);
  if (resolve_moved_reply(id, packet, attachments) || elsewhere_ == nullptr) return;
  const bool came_from_elsewhere =
      std::any_of(first, last, [this](const auto& entry) { return sockets_.at(entry.second).recovered; });
  if (came_from_elsewhere) elsewhere_->reply(nsp, id, text, attachments);
}

void Server::give_up_moved_replies() {
  const Dispatch dispatch(discarded_);
  std::vector<SocketState*> sockets;
  for (const auto& [id, index] : moved_) sockets.push_back(&sockets_.at(index));
  for (const MovedSockets& forgotten : forgotten_)
    for (const auto& [id, index] : forgotten) sockets.push_back(&sockets_.at(index));
  loop::Allowance all = loop::Allowance::unlimited();
  for (SocketState* socket : sockets) (void)replies_.give_up(*socket, kMovedReply, all);
}

}  // namespace limpet::socketio
