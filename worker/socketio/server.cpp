// Clients and their sockets: what arrives, and how a socket begins and ends.
#include "worker/socketio/server.h"

#include "base/check.h"
#include "base/limits.h"
#include "worker/socketio/costs.h"
#include "worker/socketio/utf8_repair.h"
#include "worker/websocket/frame.h"

namespace limpet::socketio {
namespace {

loop::Buffer control_frame(PacketType type, std::string_view nsp, std::string_view payload) {
  websocket::FrameBuilder frame(nsp.size() + payload.size() + 4);
  frame.append('4');
  frame.append(static_cast<char>('0' + static_cast<int>(type)));
  if (nsp != "/") {
    frame.append(nsp);
    frame.append(',');
  }
  frame.append(payload);
  return std::move(frame).finish(websocket::Opcode::Text);
}

ClientState* client_of(engineio::Session& session) noexcept {
  return static_cast<ClientState*>(session.user);
}

}  // namespace

Server::Server(const loop::Clock& clock, loop::TimerQueue& timers, const Options& options, IdSource ids)
    : clock_(clock),
      options_(options),
      ids_(std::move(ids)),
      replies_(clock, timers, sockets_, charges_, discarded_) {}

Server::~Server() {
  const auto end_client = [this](ClientState* client) {
    if (client->session != nullptr) client->session->user = nullptr;
    discarded_.add(std::unique_ptr<ClientState>(client));
  };
  sockets_.for_each([&](SocketState& socket) {
    // Once per client: its sockets are freed below.
    if (socket.client->first == &socket) end_client(socket.client);
  });
  for (const auto& [deadline, client] : unconnected_) end_client(client);
  for (const Ending& ending : endings_)
    if (!sockets_.has(*ending.socket)) discarded_.add(std::unique_ptr<SocketState>(ending.socket));
  sockets_.for_each([this](SocketState& socket) {
    EventHandlers::destroy_all(socket);
    Replies::destroy_all(socket);
    discarded_.add(std::unique_ptr<SocketState>(&socket));
  });
}

void Server::on_open(engineio::Session& session) {
  auto client = std::make_unique<ClientState>();
  client->session = &session;
  session.hold(kClientBytes);
  wait_for_connect(*client, clock_.now() + options_.connect_timeout);
  session.user = client.release();
}

void Server::on_text(engineio::Session& session, std::string_view text) {
  ClientState* const client = client_of(session);
  if (client == nullptr || client->closing) return;
  const Dispatch dispatch(discarded_);
  Packet packet;
  if (client->assembly != nullptr || !decode_packet(text, packet)) {
    ++stats_.decode_errors;
    return close_client(*client, "parse error", engineio::CloseReason::ParseError);
  }
  if (packet.attachments > 0) return await_attachments(*client, text, packet.attachments);
  receive(*client, packet, {});
}

void Server::on_binary(engineio::Session& session, std::string_view bytes) {
  ClientState* const client = client_of(session);
  if (client == nullptr || client->closing) return;
  const Dispatch dispatch(discarded_);
  if (client->assembly == nullptr || client->assembly->bytes + bytes.size() > options_.max_packet_bytes) {
    ++stats_.decode_errors;
    return close_client(*client, "parse error", engineio::CloseReason::ParseError);
  }
  keep_attachment(*client, websocket::make_frame(websocket::Opcode::Binary, bytes));
  if (client->assembly->attachments.size() < client->assembly->expected) return;
  const std::unique_ptr<ClientState::Assembly> complete = take_assembly(*client);
  Packet packet;
  if (decode_packet(complete->text, packet)) receive(*client, packet, complete->attachments);
}

void Server::await_attachments(ClientState& client, std::string_view text, std::uint32_t expected) {
  client.assembly = std::make_unique<ClientState::Assembly>();
  client.assembly->text = text;
  client.assembly->expected = expected;
  client.assembly->bytes = text.size();
  client.session->hold(kAssemblyBytes + static_cast<std::ptrdiff_t>(text.size()));
}

void Server::keep_attachment(ClientState& client, loop::Buffer frame) {
  const std::size_t bytes = frame.payload().size();
  client.assembly->attachments.push_back(std::move(frame));
  client.assembly->bytes += bytes;
  client.session->hold(kAttachmentBytes);
  client.session->hold_frames(static_cast<std::ptrdiff_t>(bytes));
}

std::unique_ptr<ClientState::Assembly> Server::take_assembly(ClientState& client) {
  if (client.assembly != nullptr) {
    const auto text = static_cast<std::ptrdiff_t>(client.assembly->text.size());
    const auto attachments = static_cast<std::ptrdiff_t>(client.assembly->attachments.size());
    client.session->hold(-kAssemblyBytes - text - kAttachmentBytes * attachments);
    client.session->hold_frames(text - static_cast<std::ptrdiff_t>(client.assembly->bytes));
  }
  return std::move(client.assembly);
}

void Server::on_close(engineio::Session& session, engineio::CloseReason reason) {
  ClientState* const client = client_of(session);
  if (client == nullptr) return;
  const Dispatch dispatch(discarded_);
  client->closing = true;
  stop_waiting(*client);
  (void)take_assembly(*client);
  retire_all(*client, to_string(reason));
  session.hold(-kClientBytes);
  session.user = nullptr;
  client->session = nullptr;
  // With a socket that has not ended yet it is kept, and freed with the last of these.
  if (client->first == nullptr) discarded_.add(std::unique_ptr<ClientState>(client));
}

void Server::receive(ClientState& client, const Packet& packet, std::span<const loop::Buffer> attachments) {
  ++stats_.packets_in;
  SocketState* const socket = client_sockets_.find(client, packet.nsp);
  if (socket == nullptr && packet.type == PacketType::Connect) return receive_connect(client, packet);
  if (socket == nullptr || packet.type == PacketType::Connect || packet.type == PacketType::ConnectError) {
    ++stats_.out_of_order;
    return close_client(client, "forced server close", engineio::CloseReason::ForcedClose);
  }
  switch (packet.type) {
    case PacketType::Disconnect:
      return retire_socket(*socket, "client namespace disconnect");
    case PacketType::Event:
    case PacketType::BinaryEvent:
      return receive_event(*socket, packet, attachments);
    default:
      return receive_reply(*socket, packet, attachments);
  }
}

void Server::receive_connect(ClientState& client, const Packet& packet) {
  NamespaceState* const nsp = find_namespace(packet.nsp);
  if (nsp == nullptr) return refuse(client, packet.nsp, Error{"Invalid namespace"});
  SocketId id;
  ids_(std::span<char, base::kIdBytes>(id));
  SocketState& socket = create_socket(client, *nsp, id);
  const SocketHandle handle = handle_of(socket);
  if (!packet.json.empty()) keep_auth(socket, packet.json, charges_);

  const std::optional<Error> refusal = nsp->handlers->admit(handle);
  if (find(handle.index, handle.epoch) == nullptr) return;  // a middleware has disconnected it
  if (!refusal) return accept(socket);
  refuse(client, packet.nsp, *refusal);
  retire_socket(socket, "server namespace disconnect");
}

void Server::refuse(ClientState& client, std::string_view nsp, const Error& error) {
  boost::json::object payload{{"message", error.message}};
  if (error.data) payload["data"] = *error.data;
  const std::string json = with_valid_utf8(boost::json::serialize(payload));
  const loop::Buffer frame = control_frame(PacketType::ConnectError, nsp, json);
  client.session->send({&frame, 1});
  ++stats_.packets_out;
}

SocketState& Server::create_socket(ClientState& client, NamespaceState& nsp, const SocketId& id) {
  auto socket = std::make_unique<SocketState>();
  socket->id = id;
  sockets_.give_index(*socket);
  socket->client = &client;
  socket->nsp = &nsp;
  client_sockets_.add(client, *socket);
  charges_.charge(*socket, kSocketBytes);
  sockets_.add(*socket);
  return *socket.release();
}

void Server::accept(SocketState& socket) {
  stop_waiting(*socket.client);
  enter_namespace(socket);

  // Before the handlers run: what they emit must arrive behind it.
  std::string payload = "{\"sid\":\"";
  payload.append(view_of(socket.id)).append("\"}");
  const loop::Buffer frame = control_frame(PacketType::Connect, socket.nsp->name, payload);
  send(socket, {&frame, 1});
  socket.nsp->handlers->connected(handle_of(socket));
}

void Server::enter_namespace(SocketState& socket) {
  socket.phase = SocketState::Phase::Connected;
  socket.member_index = static_cast<std::uint32_t>(socket.nsp->members.size());
  socket.nsp->members.push_back({socket.client->session, &socket});
  sockets_.add_id(socket);
  ++stats_.sockets_open;
}

void Server::leave_namespace(SocketState& socket) {
  std::vector<Member>& members = socket.nsp->members;
  CHECK(socket.member_index < members.size() && members[socket.member_index].socket == &socket,
        "a socket and its namespace disagree about its place");
  members[socket.member_index] = members.back();
  members[socket.member_index].socket->member_index = socket.member_index;
  members.pop_back();
  sockets_.remove_id(socket);
  CHECK(stats_.sockets_open > 0, "a socket leaves its namespace that was not counted");
  --stats_.sockets_open;
}

void Server::disconnect(SocketState& socket, bool close) {
  if (socket.phase == SocketState::Phase::Moved) {
    if (elsewhere_ != nullptr) elsewhere_->disconnect(socket.nsp->name, view_of(socket.id), close);
    return;
  }
  const Dispatch dispatch(discarded_);
  ClientState& client = *socket.client;
  if (client.closing || socket.phase == SocketState::Phase::Closing) return;
  const auto say_goodbye = [this](SocketState& one) {
    const loop::Buffer frame = control_frame(PacketType::Disconnect, one.nsp->name, "");
    send(one, {&frame, 1});
  };
  if (!close) {
    say_goodbye(socket);
    return retire_socket(socket, "server namespace disconnect");
  }
  for (SocketState* one = client.first; one != nullptr; one = one->next)
    if (one->phase == SocketState::Phase::Connected) say_goodbye(*one);
  close_client(client, "server namespace disconnect", engineio::CloseReason::ForcedClose);
}

void Server::retire_all(ClientState& client, std::string_view reason) {
  // A socket that is going already (its handler closes the client) is forgotten by whoever began, one that
  // has much to give up in a later turn: both stay in the list while this lasts.
  for (SocketState** place = &client.first; *place != nullptr;) {
    SocketState* const socket = *place;
    retire_socket(*socket, reason);
    if (*place == socket) place = &socket->next;
  }
}

void Server::close_client(ClientState& client, std::string_view reason,
                          engineio::CloseReason session_reason) {
  if (client.closing) return;
  client.closing = true;
  stop_waiting(client);
  (void)take_assembly(client);
  retire_all(client, reason);
  client.session->close(session_reason);
}

void Server::wait_for_connect(ClientState& client, loop::TimePoint deadline) {
  // Only clients that arrive from elsewhere are not due last.
  client.waiting = unconnected_.emplace_hint(unconnected_.end(), deadline, &client);
  client.is_waiting = true;
}

void Server::stop_waiting(ClientState& client) {
  if (!std::exchange(client.is_waiting, false)) return;
  unconnected_.erase(client.waiting);
}

void Server::send(SocketState& socket, std::span<const loop::Buffer> frames) {
  if (socket.phase == SocketState::Phase::Moved) {
    if (elsewhere_ != nullptr) elsewhere_->emit(socket.nsp->name, view_of(socket.id), frames);
    return;
  }
  if (socket.client->closing) return;
  socket.client->session->send(frames);
  ++stats_.packets_out;
}

void Server::receive_event(SocketState& socket, const Packet& packet,
                           std::span<const loop::Buffer> attachments) {
  std::string storage;
  const std::string_view name = packet.event_name(storage);
  const Arguments whole(packet.json, packet.elements.view(), attachments);
  Call call(handle_of(socket), whole.from(1));
  if (packet.id) call.ack = AckRef(new AckState{this, *packet.id, socket.index, socket.epoch, 1, false});
  if (EventHandlers::has(socket, kAnyEvent)) {
    Call any(call.socket, whole);
    any.ack = call.ack;
    handlers_.run(socket, kAnyEvent, any, name);
  }
  handlers_.run(socket, name, call);
}

void Server::receive_reply(SocketState& socket, const Packet& packet,
                           std::span<const loop::Buffer> attachments) {
  Call call(handle_of(socket), Arguments(packet.json, packet.elements.view(), attachments));
  if (replies_.resolve(socket, *packet.id, call) || !socket.recovered) return;
  // Where it came from somebody may wait; that can have been here, if it had to come back.
  if (resolve_moved_reply(view_of(socket.id), packet, attachments)) return;
  if (elsewhere_ != nullptr)
    elsewhere_->reply(socket.nsp->name, view_of(socket.id), packet.text, attachments);
}

bool Server::join(SocketState& socket, std::string_view room) {
  if (socket.phase == SocketState::Phase::Closing) return false;
  if (socket.phase == SocketState::Phase::Moved) {
    if (elsewhere_ != nullptr) elsewhere_->join(socket.nsp->name, view_of(socket.id), room);
    return elsewhere_ != nullptr;
  }
  memberships_.join(socket, room);
  return true;
}

bool Server::leave(SocketState& socket, std::string_view room) {
  if (socket.phase == SocketState::Phase::Moved) {
    if (elsewhere_ != nullptr) elsewhere_->leave(socket.nsp->name, view_of(socket.id), room);
    return elsewhere_ != nullptr;
  }
  return memberships_.leave(socket, room);
}

EmitResult Server::broadcast(const NamespaceState& nsp, const Broadcast& broadcast, bool local) {
  delivery_.deliver(nsp, broadcast);
  if (local || adapter_ == nullptr) return EmitResult::Published;
  return adapter_->publish(broadcast);
}

void Server::deliver(const Broadcast& broadcast) {
  if (const NamespaceState* const nsp = find_namespace(broadcast.nsp)) delivery_.deliver(*nsp, broadcast);
}

}  // namespace limpet::socketio
