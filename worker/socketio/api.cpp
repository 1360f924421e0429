// The public classes: small values that find their socket or namespace and hand on to the Server.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "worker/http/request.h"
#include "worker/limpet/app.h"
#include "worker/socketio/dispatch.h"
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

/// Views of a few names without allocating.
class Names {
 public:
  Names(const socketio::RoomList& names, std::optional<std::string_view> one_more) {
    size_ = names.size() + (one_more ? 1 : 0);
    if (size_ > few_.size()) many_.resize(size_);
    std::string_view* out = size_ > few_.size() ? many_.data() : few_.data();
    for (std::size_t i = 0; i < names.size(); ++i) *out++ = names[i];
    if (one_more) *out = *one_more;
  }
  [[nodiscard]] std::span<const std::string_view> view() const noexcept {
    return {size_ > few_.size() ? many_.data() : few_.data(), size_};
  }

 private:
  std::size_t size_;
  std::array<std::string_view, 4> few_;
  std::vector<std::string_view> many_;
};

}  // namespace

// Handshake, HttpRequest, HttpResponse

std::string_view Handshake::header(std::string_view name) const noexcept {
  return http::find_header(head, name);
}

std::string Handshake::query(std::string_view name) const {
  const std::size_t mark = url.find('?');
  if (mark == std::string_view::npos) return {};
  return http::query_value(url.substr(mark + 1), name).value_or(std::string());
}

std::string_view HttpRequest::header(std::string_view name) const noexcept {
  for (const auto& [header_name, value] : headers)
    if (http::equal_ignoring_case(header_name, name)) return value;
  return {};
}

std::string HttpRequest::query(std::string_view name) const {
  return http::query_value(query_string, name).value_or(std::string());
}

HttpResponse HttpResponse::text(std::string body, int status) {
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(body)};
}

// Ack

std::string_view Ack::namespace_name() const noexcept {
  const socketio::SocketState* const socket = state_->server->find(state_->index, state_->epoch);
  if (socket == nullptr || socket->phase == socketio::SocketState::Phase::Closing) return {};
  return socket->nsp->name;
}

bool Ack::send(socketio::Encoder& encoder) const {
  // Looked up again: what was encoded may have run the application's code.
  socketio::SocketState* const socket = state_->server->find(state_->index, state_->epoch);
  if (socket == nullptr || std::exchange(state_->answered, true)) return false;
  state_->server->send(*socket, encoder.finish());
  return true;
}

// Socket

socketio::SocketState* Socket::state() const noexcept {
  return server_ == nullptr ? nullptr : server_->find(index_, epoch_);
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
  handshake.auth = Auth(server_, index_, epoch_);
  return handshake;
}

const boost::json::value& Auth::value() const {
  static const boost::json::value nothing;
  if (small_ != nullptr) return *small_;
  socketio::SocketState* const socket = server_ == nullptr ? nullptr : server_->find(index_, epoch_);
  if (socket == nullptr || socket->extras == nullptr || socket->extras->auth.empty()) return nothing;
  const std::string& text = socket->extras->auth;
  if (text.size() > socketio::kParsedAtEveryLook) return server_->parsed_auth(*socket);
  small_ = std::make_shared<const boost::json::value>(Json(text, {}).value());
  server_->lend(small_);
  return *small_;
}

boost::json::value& Socket::data() const {
  static thread_local boost::json::value nobodys;
  socketio::SocketState* const socket = state();
  if (socket != nullptr) return server_->extras(*socket).data;
  nobodys = nullptr;
  return nobodys;
}

bool Socket::add_handler(std::string_view event, socketio::Handler handler, bool once) const {
  socketio::SocketState* const socket = state();
  if (socket == nullptr || socket->phase == socketio::SocketState::Phase::Closing) {
    handler.destroy();
    return false;
  }
  server_->add_handler(*socket, server_->event_number(event), handler, once);
  return true;
}

bool Socket::add_special(Special special, socketio::Handler handler) const {
  socketio::SocketState* const socket = state();
  if (socket == nullptr || socket->phase == socketio::SocketState::Phase::Closing) {
    handler.destroy();
    return false;
  }
  const std::uint32_t event = special == Special::Any          ? socketio::kAnyEvent
                              : special == Special::Disconnect ? socketio::kDisconnectEvent
                                                               : socketio::kDisconnectingEvent;
  server_->add_handler(*socket, event, handler, false);
  return true;
}

bool Socket::off(std::string_view event) const {
  socketio::SocketState* const socket = state();
  return socket != nullptr && server_->remove_handlers(*socket, event);
}

bool Socket::off_any() const {
  socketio::SocketState* const socket = state();
  return socket != nullptr && server_->remove_handlers(*socket, socketio::kAnyEvent);
}

bool Socket::send(socketio::Encoder& encoder, const EmitOptions& options) const {
  if (!can_send()) return false;
  socketio::SocketState* const socket = state();
  const engineio::Session* const session = socket->client->session;
  if (options.is_volatile && (session == nullptr || !session->writable())) return false;
  server_->send(*socket, encoder.finish());
  return true;
}

std::optional<std::uint64_t> Socket::expect_reply(socketio::Handler handler,
                                                  const EmitOptions& options) const {
  return server_->expect_reply(*state(), handler, options.timeout);
}

BroadcastOperator Socket::broadcast() const {
  socketio::SocketState* const socket = state();
  BroadcastOperator all(server_, socket == nullptr ? nullptr : socket->nsp);
  all.leave_out(id_);
  return all;
}

bool Socket::join(std::string_view room) const {
  socketio::require_room_name(room);
  socketio::SocketState* const socket = state();
  return socket != nullptr && server_->join(*socket, room);
}

bool Socket::join(std::initializer_list<std::string_view> rooms) const {
  return std::all_of(rooms.begin(), rooms.end(), [this](std::string_view room) { return join(room); });
}

bool Socket::leave(std::string_view room) const {
  socketio::SocketState* const socket = state();
  return socket != nullptr && server_->leave(*socket, room);
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
  return socket != nullptr && socketio::Server::is_in(*socket, room);
}

bool Socket::disconnect(bool close) const {
  socketio::SocketState* const socket = state();
  if (socket == nullptr) return false;
  server_->disconnect(*socket, close);
  return true;
}

// BroadcastOperator

std::string_view BroadcastOperator::namespace_name() const noexcept {
  return nsp_ == nullptr ? std::string_view("/") : std::string_view(nsp_->name);
}

EmitResult BroadcastOperator::send(socketio::Encoder& encoder) const {
  if (nsp_ == nullptr) return EmitResult::Lost;
  const Names rooms(rooms_, std::nullopt);
  const Names except(except_,
                     sender_ ? std::optional<std::string_view>(socketio::view_of(*sender_)) : std::nullopt);
  return server_->broadcast(*nsp_,
                            {.nsp = nsp_->name,
                             .rooms = rooms.view(),
                             .except = except.view(),
                             .is_volatile = is_volatile_,
                             .frames = encoder.finish()},
                            local_);
}

// Namespace, Io

BroadcastOperator Namespace::all() const { return {nsp_->server, nsp_}; }

socketio::Server& Namespace::server() const noexcept { return *nsp_->server; }

std::string_view Namespace::name() const noexcept { return nsp_->name; }

void Namespace::on_connection(std::function<void(Socket&)> handler) const {
  nsp_->connection_handlers.push_back(std::move(handler));
}

void Namespace::on_leaving(std::function<void(Socket&)> handler) const {
  nsp_->leaving_handlers.push_back(std::move(handler));
}

void Namespace::use(Middleware middleware) const { nsp_->middlewares.push_back(std::move(middleware)); }

std::size_t Namespace::local_size() const noexcept { return nsp_->members.size(); }

Io::Io(socketio::Server& server) : Namespace(server.namespace_named("/")) {}

Namespace Io::of(std::string_view name) const { return Namespace(server().namespace_named(name)); }

void Io::get(std::string_view path, HttpHandler handler) const {
  server().routes().get(path, std::move(handler));
}

void Io::files(std::string_view url_prefix, const std::filesystem::path& directory) const {
  server().routes().files(url_prefix, directory);
}

void Io::serve_client(const std::filesystem::path& directory) const {
  server().routes().serve_client(directory);
}

void Io::handle_protocols(ProtocolChooser chooser) const {
  server().set_protocol_chooser(std::move(chooser));
}

const boost::json::object& Io::config() const noexcept { return server().options().config; }

std::uint32_t Io::slot() const noexcept { return server().options().slot; }

std::uint64_t Io::worker_generation() const noexcept { return server().options().worker_generation; }

void Io::on_gap(std::function<void(const Gap&)> handler) const {
  server().add_gap_handler(std::move(handler));
}

TimerId Io::every(std::chrono::milliseconds period, std::function<void()> task) const {
  const auto at_least = std::max(period, std::chrono::milliseconds(1));
  return server().timers().add(server().clock().now() + at_least, at_least, std::move(task));
}

TimerId Io::after(std::chrono::milliseconds delay, std::function<void()> task) const {
  return server().timers().add(server().clock().now() + std::max(delay, std::chrono::milliseconds(0)), {},
                               std::move(task));
}

bool Io::cancel(TimerId timer) const { return server().timers().cancel(timer); }

}  // namespace limpet
