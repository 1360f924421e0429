// The application's handlers and the replies it waits for: kept, called through one door, dropped.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "worker/limpet/invoke.h"
#include "worker/socketio/dispatch.h"
#include "worker/socketio/server.h"

namespace limpet::socketio {
namespace {

/// Of what an application or a client names, in one line of the log.
constexpr std::size_t kLongestTextInLog = 500;

}  // namespace

Socket Server::handle_of(const SocketState& socket) noexcept {
  return {this, socket.index, socket.epoch, socket.id};
}

void Server::add_handler(SocketState& socket, std::uint32_t event, Handler handler, bool once) {
  socket.handlers.push_back({event, once, handler});
}

bool Server::remove_handlers(SocketState& socket, std::string_view event) {
  const std::uint32_t number = names_.find(event);
  return number != NameTable::kUnknown && remove_handlers(socket, number);
}

bool Server::remove_handlers(SocketState& socket, std::uint32_t event) {
  const Dispatch dispatch(*this);
  return remove_handlers_if(socket, [event](const HandlerEntry& entry) { return entry.event == event; });
}

template <typename Predicate>
bool Server::remove_handlers_if(SocketState& socket, Predicate matches) {
  const auto removed = std::erase_if(socket.handlers, [&](const HandlerEntry& entry) {
    if (!matches(entry)) return false;
    drop_handler(entry);
    return true;
  });
  return removed > 0;
}

void Server::drop_handler(const HandlerEntry& entry) {
  if (entry.event >= kFirstNamedEvent) names_.release(entry.event);
  graveyard_.handlers.push_back(entry.handler);
}

void Server::receive_event(SocketState& socket, const Packet& packet,
                           std::span<const http::Buffer> attachments) {
  std::string storage;
  const std::string_view name = packet.event_name(storage);
  const Args whole(packet.json, packet.elements.view(), attachments);
  Call call(handle_of(socket), whole.from(1));
  if (packet.id) call.ack = Ack(new AckState{this, *packet.id, socket.index, socket.epoch, 1, false});
  if (has_handler(socket, kAnyEvent)) {
    Call any(call.socket, whole);
    any.ack = call.ack;
    run_handlers(socket, kAnyEvent, any, name);
  }
  const std::uint32_t event = names_.find(name);
  if (event != NameTable::kUnknown) run_handlers(socket, event, call, name);
}

bool Server::has_handler(const SocketState& socket, std::uint32_t event) noexcept {
  return std::any_of(socket.handlers.begin(), socket.handlers.end(),
                     [event](const HandlerEntry& entry) { return entry.event == event; });
}

/// Calls those that are there now; what they add or remove is for the next event.
void Server::run_handlers(SocketState& socket, std::uint32_t event, Call& call, std::string_view name) {
  Handler first;
  std::vector<Handler> others;
  bool any_once = false;
  for (const HandlerEntry& entry : socket.handlers) {
    if (entry.event != event) continue;
    any_once = any_once || entry.once;
    if (first.type == nullptr)
      first = entry.handler;
    else
      others.push_back(entry.handler);
  }
  if (first.type == nullptr) return;
  if (any_once)
    remove_handlers_if(socket, [event](const HandlerEntry& e) { return e.event == event && e.once; });
  run_handler(first, call, name);
  for (const Handler& handler : others) run_handler(handler, call, name);
}

void Server::run_handler(const Handler& handler, Call& call, std::string_view name) {
  guarded(name, [&] {
    if (!handler.invoke(call))
      note_failure(
          name, "argument " + std::to_string(call.misfit + 1) + " is missing or of another type; not called");
  });
}

void Server::run_special(SocketState& socket, std::uint32_t event, std::string_view text) {
  if (!has_handler(socket, event)) return;
  const JsonElement element{0, static_cast<std::uint32_t>(text.size()), JsonKind::Name, false};
  Call call(handle_of(socket), Args(text, {&element, 1}, {}));
  run_handlers(socket, event, call, event == kDisconnectEvent ? "disconnect" : "disconnecting");
}

std::optional<std::uint64_t> Server::expect_reply(SocketState& socket, Handler handler,
                                                  std::chrono::milliseconds timeout) {
  SocketExtras& more = extras(socket);
  const std::uint64_t id = more.next_reply_id++;
  const bool moved = socket.phase == SocketState::Phase::Moved;
  const auto give_up = [this, index = socket.index, epoch = socket.epoch, id, moved] {
    SocketState* const late = find(index, epoch);
    if (late == nullptr) return;
    const Error error{moved ? "moved" : "operation has timed out"};
    Call call(handle_of(*late), Args(), &error);
    resolve_reply(*late, id, call);
  };
  if (moved) timeout = std::chrono::milliseconds(0);
  const TimerQueue::Id timer =
      moved || timeout.count() > 0 ? timers_.add(clock_.now() + timeout, {}, give_up) : 0;
  more.replies.push_back({id, handler, timer});
  // Sent with this id, it would take away the answer to an emit of the new place, which counts on from here.
  if (moved) return std::nullopt;
  return id;
}

void Server::receive_reply(SocketState& socket, const Packet& packet,
                           std::span<const http::Buffer> attachments) {
  Call call(handle_of(socket), Args(packet.json, packet.elements.view(), attachments));
  if (resolve_reply(socket, *packet.id, call) || !socket.recovered) return;
  // Where it came from somebody may wait; that can have been here, if it had to come back.
  if (resolve_moved_reply(view_of(socket.id), packet, attachments)) return;
  if (elsewhere_ != nullptr)
    elsewhere_->reply(socket.nsp->name, view_of(socket.id), packet.text, attachments);
}

bool Server::resolve_moved_reply(std::string_view socket_id, const Packet& packet,
                                 std::span<const http::Buffer> attachments) {
  const auto [first, last] = moved_.equal_range(socket_id);
  return std::any_of(first, last, [&](const auto& entry) {
    SocketState& socket = *sockets_[entry.second];
    Call call(handle_of(socket), Args(packet.json, packet.elements.view(), attachments));
    return resolve_reply(socket, *packet.id, call);
  });
}

bool Server::resolve_reply(SocketState& socket, std::uint64_t id, Call& call) {
  if (socket.extras == nullptr) return false;
  std::vector<PendingReply>& replies = socket.extras->replies;
  const auto found =
      std::find_if(replies.begin(), replies.end(), [id](const PendingReply& one) { return one.id == id; });
  if (found == replies.end()) return false;
  const PendingReply reply = *found;
  replies.erase(found);
  if (reply.timer != 0) timers_.cancel(reply.timer);
  graveyard_.handlers.push_back(reply.handler);
  run_handler(reply.handler, call, "reply");
  return true;
}

void Server::give_up_replies(SocketState& socket, const char* why) {
  const Error error{why};
  Call call(handle_of(socket), Args(), &error);
  while (socket.extras != nullptr && !socket.extras->replies.empty())
    resolve_reply(socket, socket.extras->replies.front().id, call);
}

void Server::note_failure(std::string_view what, std::string_view why) noexcept {
  ++stats_.handler_exceptions;
  try {
    base::log_at_most(failures_, clock_.now(), base::LogLevel::Warning, [&] {
      return fmt::format("handler of {}: {}", what.substr(0, kLongestTextInLog),
                         why.substr(0, kLongestTextInLog));
    });
  } catch (...) {  // the counter has it
  }
}

}  // namespace limpet::socketio
