// Socket and what belongs to one: small values that find their socket and hand on to the Server.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "worker/http/request.h"
#include "worker/limpet/app.h"
#include "worker/socketio/server.h"

namespace limpet {
namespace {

std::string iso_time(std::int64_t ms) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, ms % 1000);
}

socketio::SocketState* socket_of(const socketio::AckState& ack) noexcept {
  return ack.server->find(ack.index, ack.epoch);
}

}  // namespace

// Handshake

std::string_view Handshake::header(std::string_view name) const noexcept {
  return http::find_header(head, name);
}

std::string Handshake::query(std::string_view name) const {
  const std::size_t mark = url.find('?');
  if (mark == std::string_view::npos) return {};
  return http::query_value(url.substr(mark + 1), name).value_or(std::string());
}

// Ack

std::string_view Ack::namespace_name() const noexcept {
  const socketio::SocketState* const socket = socket_of(*state_.get());
  if (socket == nullptr || socket->phase == socketio::SocketState::Phase::Closing) return {};
  return socket->nsp->name;
}

bool Ack::send(detail::Encoder& encoder) const {
  // Looked up again: what was encoded may have run the application's code.
  socketio::AckState& state = *state_.get();
  socketio::SocketState* const socket = socket_of(state);
  if (socket == nullptr || std::exchange(state.answered, true)) return false;
  state.server->send(*socket, encoder.finish());
  return true;
}

// Socket

socketio::SocketState* Socket::state() const noexcept {
  return handle_.server == nullptr ? nullptr : handle_.server->find(handle_.index, handle_.epoch);
}

bool Socket::connected() const noexcept {
  const socketio::SocketState* const socket = state();
  return socket != nullptr && (socket->phase == socketio::SocketState::Phase::Connected ||
                               socket->phase == socketio::SocketState::Phase::Moved);
}

bool Socket::recovered() const noexcept {
  const socketio::SocketState* const socket = state();
  return socket != nullptr && socket->recovered;
}

bool Socket::can_send() const noexcept {
  const socketio::SocketState* const socket = state();
  return socket != nullptr && socket->phase != socketio::SocketState::Phase::Closing &&
         !socket->client->closing;
}

std::string_view Socket::nsp() const noexcept {
  const socketio::SocketState* const socket = state();
  return socket == nullptr ? std::string_view() : socket->nsp->name;
}

std::string_view Socket::transport() const noexcept {
  const socketio::SocketState* const socket = state();
  if (socket == nullptr || socket->client->session == nullptr) return {};
  return socket->client->session->transport() == engineio::Transport::WebSocket ? "websocket" : "polling";
}

Handshake Socket::handshake() const {
  Handshake handshake;
  const socketio::SocketState* const socket = state();
  if (socket == nullptr || socket->client->session == nullptr) return handshake;
  const engineio::Session& session = *socket->client->session;
  handshake.head = session.handshake_head();
  handshake.url = http::target_of(handshake.head);
  handshake.address = session.address();
  handshake.issued = session.issued_ms();
  handshake.time = iso_time(handshake.issued);
  handshake.secure = session.secure();
  handshake.xdomain = !handshake.header("origin").empty();
  handshake.auth = Auth(handle_.server, handle_.index, handle_.epoch);
  return handshake;
}

const boost::json::value& Auth::value() const {
  static const boost::json::value nothing;
  if (small_ != nullptr) return *small_;
  socketio::SocketState* const socket = server_ == nullptr ? nullptr : server_->find(index_, epoch_);
  if (socket == nullptr || socket->extras == nullptr || socket->extras->auth.empty()) return nothing;
  const std::string& text = socket->extras->auth;
  if (text.size() > socketio::kParsedAtEveryLook) return socketio::parsed_auth(*socket, server_->charges());
  small_ = std::make_shared<const boost::json::value>(Json(text, {}).value());
  server_->discarded().add(small_);  // a handler that runs may have a reference into it
  return *small_;
}

boost::json::value& Socket::data() const {
  static thread_local boost::json::value nobodys;
  socketio::SocketState* const socket = state();
  if (socket != nullptr) return socketio::extras_of(*socket, handle_.server->charges()).data;
  nobodys = nullptr;
  return nobodys;
}

bool Socket::add_handler(std::string_view event, socketio::Handler handler, bool once) const {
  socketio::SocketState* const socket = state();
  if (socket == nullptr || socket->phase == socketio::SocketState::Phase::Closing) {
    handler.destroy();
    return false;
  }
  handle_.server->handlers().add(*socket, event, handler, once);
  return true;
}

bool Socket::add_special(Special special, socketio::Handler handler) const {
  socketio::SocketState* const socket = state();
  if (socket == nullptr || socket->phase == socketio::SocketState::Phase::Closing) {
    handler.destroy();
    return false;
  }
  const std::uint32_t number = special == Special::Any          ? socketio::kAnyEvent
                               : special == Special::Disconnect ? socketio::kDisconnectEvent
                                                                : socketio::kDisconnectingEvent;
  handle_.server->handlers().add(*socket, number, handler, false);
  return true;
}

bool Socket::off(std::string_view event) const {
  socketio::SocketState* const socket = state();
  return socket != nullptr && handle_.server->handlers().remove(*socket, event);
}

bool Socket::off_any() const {
  socketio::SocketState* const socket = state();
  return socket != nullptr && handle_.server->handlers().remove(*socket, socketio::kAnyEvent);
}

bool Socket::send(detail::Encoder& encoder, const EmitOptions& options) const {
  if (!can_send()) return false;
  socketio::SocketState* const socket = state();
  const engineio::Session* const session = socket->client->session;
  if (options.is_volatile && (session == nullptr || !session->writable())) return false;
  handle_.server->send(*socket, encoder.finish());
  return true;
}

std::optional<std::uint64_t> Socket::expect_reply(socketio::Handler handler,
                                                  const EmitOptions& options) const {
  return handle_.server->replies().expect(*state(), handler, options.timeout);
}

BroadcastOperator Socket::broadcast() const {
  socketio::SocketState* const socket = state();
  BroadcastOperator all(handle_.server, socket == nullptr ? nullptr : socket->nsp);
  all.leave_out(handle_.id);
  return all;
}

bool Socket::join(std::string_view room) const {
  detail::require_room_name(room);
  socketio::SocketState* const socket = state();
  return socket != nullptr && handle_.server->join(*socket, room);
}

bool Socket::join(std::initializer_list<std::string_view> rooms) const {
  return std::all_of(rooms.begin(), rooms.end(), [this](std::string_view room) { return join(room); });
}

bool Socket::leave(std::string_view room) const {
  socketio::SocketState* const socket = state();
  return socket != nullptr && handle_.server->leave(*socket, room);
}

std::vector<std::string> Socket::rooms() const {
  std::vector<std::string> names;
  const socketio::SocketState* const socket = state();
  if (socket == nullptr) return names;
  names.emplace_back(id());
  if (socket->ended) return names;
  for (const socketio::Membership& place : socket->rooms) names.emplace_back(place.room->name);
  return names;
}

bool Socket::in_room(std::string_view room) const noexcept {
  const socketio::SocketState* const socket = state();
  return socket != nullptr && socketio::Memberships::is_in(*socket, room);
}

bool Socket::disconnect(bool close) const {
  socketio::SocketState* const socket = state();
  if (socket == nullptr) return false;
  handle_.server->disconnect(*socket, close);
  return true;
}

}  // namespace limpet
