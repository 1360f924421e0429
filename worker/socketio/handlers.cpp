// The application's handlers of events and the replies it waits for: kept, called, dropped.
#include <algorithm>
#include <utility>

#include "worker/socketio/costs.h"
#include "worker/socketio/dispatch.h"
#include "worker/socketio/server.h"

namespace limpet::socketio {
namespace {

ManyHandlers* many_handlers_of(const SocketState& socket) noexcept {
  return socket.extras == nullptr ? nullptr : socket.extras->many_handlers.get();
}

std::ptrdiff_t cost_of_reply(loop::TimerQueue::Id timer) noexcept {
  return kReplyBytes + (timer == 0 ? 0 : kReplyTimerBytes);
}

void keep(ManyHandlers& many, const HandlerEntry& entry) {
  many.by_event[entry.event].push_back(entry);
  ++many.count;
}

template <typename Visit>
void for_each_handler(const SocketState& socket, Visit visit) {
  for (const HandlerEntry& entry : socket.handlers) visit(entry);
  if (const ManyHandlers* const many = many_handlers_of(socket))
    for (const auto& [event, entries] : many->by_event)
      for (const HandlerEntry& entry : entries) visit(entry);
}

}  // namespace

SocketHandle Server::handle_of(const SocketState& socket) noexcept {
  return {this, socket.index, socket.epoch, socket.id};
}

void Server::add_handler(SocketState& socket, std::uint32_t event, Handler handler, bool once) {
  charge(socket, kHandlerBytes);
  ManyHandlers* many = many_handlers_of(socket);
  if (many == nullptr && socket.handlers.size() == kFewHandlers) {
    many = (extras(socket).many_handlers = std::make_unique<ManyHandlers>()).get();
    for (const HandlerEntry& entry : std::exchange(socket.handlers, {})) keep(*many, entry);
  }
  if (many != nullptr)
    keep(*many, {event, once, handler});
  else
    socket.handlers.push_back({event, once, handler});
}

/// The handlers of that event are among these.
std::span<const HandlerEntry> Server::candidates(const SocketState& socket, std::uint32_t event) noexcept {
  const ManyHandlers* const many = many_handlers_of(socket);
  if (many == nullptr) return socket.handlers;
  const auto found = many->by_event.find(event);
  return found == many->by_event.end() ? std::span<const HandlerEntry>() : found->second;
}

std::size_t Server::handler_count(const SocketState& socket) noexcept {
  const ManyHandlers* const many = many_handlers_of(socket);
  return many == nullptr ? socket.handlers.size() : many->count;
}

bool Server::remove_handlers(SocketState& socket, std::string_view event) {
  const std::uint32_t number = names_.find(event);
  return number != NameTable::kUnknown && remove_handlers(socket, number);
}

bool Server::remove_handlers(SocketState& socket, std::uint32_t event) {
  const Dispatch dispatch(*this);
  return remove_handlers_if(socket, event, [](const HandlerEntry&) { return true; });
}

template <typename Predicate>
bool Server::remove_handlers_if(SocketState& socket, std::uint32_t event, Predicate matches) {
  ManyHandlers* const many = many_handlers_of(socket);
  if (many != nullptr && !many->by_event.contains(event)) return false;
  std::vector<HandlerEntry>& entries = many == nullptr ? socket.handlers : many->by_event[event];
  const auto removed = std::erase_if(entries, [&](const HandlerEntry& entry) {
    if (entry.event != event || !matches(entry)) return false;
    drop_handler(entry);
    return true;
  });
  if (many != nullptr) {
    many->count -= removed;
    if (entries.empty()) many->by_event.erase(event);
  }
  charge(socket, -kHandlerBytes * static_cast<std::ptrdiff_t>(removed));
  return removed > 0;
}

void Server::drop_handler(const HandlerEntry& entry) {
  if (entry.event >= kFirstNamedEvent) names_.release(entry.event);
  graveyard_.handlers.push_back(entry.handler);
}

/// All of a socket that ends; it is not charged with them any more.
void Server::drop_handlers(SocketState& socket) {
  for_each_handler(socket, [this](const HandlerEntry& entry) { drop_handler(entry); });
  socket.handlers.clear();
  if (socket.extras != nullptr) socket.extras->many_handlers.reset();
}

void Server::destroy_callbacks(const SocketState& socket) noexcept {
  for_each_handler(socket, [](const HandlerEntry& entry) { entry.handler.destroy(); });
  if (socket.extras != nullptr && socket.extras->replies != nullptr)
    socket.extras->replies->for_each([](const PendingReply& reply) { reply.handler.destroy(); });
}

void Server::receive_event(SocketState& socket, const Packet& packet,
                           std::span<const loop::Buffer> attachments) {
  std::string storage;
  const std::string_view name = packet.event_name(storage);
  const Arguments whole(packet.json, packet.elements.view(), attachments);
  Call call(handle_of(socket), whole.from(1));
  if (packet.id) call.ack = AckRef(new AckState{this, *packet.id, socket.index, socket.epoch, 1, false});
  if (has_handler(socket, kAnyEvent)) {
    Call any(call.socket, whole);
    any.ack = call.ack;
    run_handlers(socket, kAnyEvent, any, name);
  }
  const std::uint32_t event = names_.find(name);
  if (event != NameTable::kUnknown) run_handlers(socket, event, call, name);
}

bool Server::has_handler(const SocketState& socket, std::uint32_t event) noexcept {
  const std::span<const HandlerEntry> entries = candidates(socket, event);
  return std::any_of(entries.begin(), entries.end(),
                     [event](const HandlerEntry& entry) { return entry.event == event; });
}

/// Calls those that are there now; what they add or remove is for the next event.
void Server::run_handlers(SocketState& socket, std::uint32_t event, Call& call, std::string_view name) {
  Handler first;
  std::vector<Handler> others;
  bool any_once = false;
  for (const HandlerEntry& entry : candidates(socket, event)) {
    if (entry.event != event) continue;
    any_once = any_once || entry.once;
    if (first.type == nullptr)
      first = entry.handler;
    else
      others.push_back(entry.handler);
  }
  if (first.type == nullptr) return;
  if (any_once) remove_handlers_if(socket, event, [](const HandlerEntry& entry) { return entry.once; });
  NamespaceHandlers& application = *socket.nsp->handlers;
  application.run(first, call, name);
  for (const Handler& handler : others) application.run(handler, call, name);
}

void Server::run_special(SocketState& socket, std::uint32_t event, std::string_view text) {
  if (!has_handler(socket, event)) return;
  const JsonElement element{0, static_cast<std::uint32_t>(text.size()), JsonKind::Name, false};
  Call call(handle_of(socket), Arguments(text, {&element, 1}, {}));
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
    Call call(handle_of(*late), Arguments(), &error);
    resolve_reply(*late, id, call);
  };
  if (moved) timeout = std::chrono::milliseconds(0);
  const loop::TimerQueue::Id timer =
      moved || timeout.count() > 0 ? timers_.add(clock_.now() + timeout, {}, give_up) : 0;
  if (more.replies == nullptr) more.replies = std::make_unique<PendingReplies>();
  more.replies->add({id, handler, timer});
  charge(socket, cost_of_reply(timer));
  if (moved) ++awaited_moved_;
  // Sent with this id, it would take away the answer to an emit of the new place, which counts on from here.
  if (moved) return std::nullopt;
  return id;
}

void Server::receive_reply(SocketState& socket, const Packet& packet,
                           std::span<const loop::Buffer> attachments) {
  Call call(handle_of(socket), Arguments(packet.json, packet.elements.view(), attachments));
  if (resolve_reply(socket, *packet.id, call) || !socket.recovered) return;
  // Where it came from somebody may wait; that can have been here, if it had to come back.
  if (resolve_moved_reply(view_of(socket.id), packet, attachments)) return;
  if (elsewhere_ != nullptr)
    elsewhere_->reply(socket.nsp->name, view_of(socket.id), packet.text, attachments);
}

bool Server::resolve_moved_reply(std::string_view socket_id, const Packet& packet,
                                 std::span<const loop::Buffer> attachments) {
  const auto [first, last] = moved_.equal_range(socket_id);
  return std::any_of(first, last, [&](const auto& entry) {
    SocketState& socket = *sockets_[entry.second];
    Call call(handle_of(socket), Arguments(packet.json, packet.elements.view(), attachments));
    return resolve_reply(socket, *packet.id, call);
  });
}

bool Server::resolve_reply(SocketState& socket, std::uint64_t id, Call& call) {
  if (socket.extras == nullptr || socket.extras->replies == nullptr) return false;
  const std::optional<PendingReply> reply = socket.extras->replies->take(id);
  if (!reply) return false;
  charge(socket, -cost_of_reply(reply->timer));
  if (socket.phase == SocketState::Phase::Moved) --awaited_moved_;
  if (reply->timer != 0) timers_.cancel(reply->timer);
  graveyard_.handlers.push_back(reply->handler);
  socket.nsp->handlers->run(reply->handler, call, "reply");
  return true;
}

bool Server::give_up_replies(SocketState& socket, const char* why, loop::Allowance& allowance) {
  if (socket.extras == nullptr || socket.extras->replies == nullptr) return true;
  const Error error{why};
  Call call(handle_of(socket), Arguments(), &error);
  const PendingReplies& replies = *socket.extras->replies;
  while (!replies.empty()) {
    if (!allowance.take()) return false;
    resolve_reply(socket, replies.front().id, call);
  }
  return true;
}

}  // namespace limpet::socketio
