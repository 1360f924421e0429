#include "worker/socketio/event_handlers.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "worker/socketio/costs.h"

namespace limpet::socketio {
namespace {

void keep(ManyHandlers& many, const HandlerEntry& entry) {
  many.by_event[entry.event].push_back(entry);
  ++many.count;
}

}  // namespace

template <typename Visit>
void EventHandlers::for_each(const SocketState& socket, Visit visit) {
  for (const HandlerEntry& entry : socket.handlers) visit(entry);
  if (const ManyHandlers* const many = many_handlers_of(socket))
    for (const auto& [event, entries] : many->by_event)
      for (const HandlerEntry& entry : entries) visit(entry);
}

void EventHandlers::add(SocketState& socket, std::uint32_t event, const Handler& handler, bool once) {
  charges_.charge(socket, kHandlerBytes);
  ManyHandlers* many = many_handlers_of(socket);
  if (many == nullptr && socket.handlers.size() == kFewHandlers) {
    many = (extras_of(socket, charges_).many_handlers = std::make_unique<ManyHandlers>()).get();
    for (const HandlerEntry& entry : std::exchange(socket.handlers, {})) keep(*many, entry);
  }
  if (many != nullptr)
    keep(*many, {event, once, handler});
  else
    socket.handlers.push_back({event, once, handler});
}

std::span<const HandlerEntry> EventHandlers::candidates_among_many(const ManyHandlers& many,
                                                                   std::uint32_t event) noexcept {
  const auto found = many.by_event.find(event);
  return found == many.by_event.end() ? std::span<const HandlerEntry>() : found->second;
}

std::size_t EventHandlers::count(const SocketState& socket) noexcept {
  const ManyHandlers* const many = many_handlers_of(socket);
  return many == nullptr ? socket.handlers.size() : many->count;
}

bool EventHandlers::remove(SocketState& socket, std::string_view event) {
  const std::uint32_t number = names_.find(event);
  return number != NameTable::kUnknown && remove(socket, number);
}

bool EventHandlers::remove(SocketState& socket, std::uint32_t event) {
  const Dispatch dispatch(discarded_);
  return remove_if(socket, event, [](const HandlerEntry&) { return true; });
}

template <typename Predicate>
bool EventHandlers::remove_if(SocketState& socket, std::uint32_t event, Predicate matches) {
  ManyHandlers* const many = many_handlers_of(socket);
  if (many != nullptr && !many->by_event.contains(event)) return false;
  std::vector<HandlerEntry>& entries = many == nullptr ? socket.handlers : many->by_event[event];
  const auto removed = std::erase_if(entries, [&](const HandlerEntry& entry) {
    if (entry.event != event || !matches(entry)) return false;
    drop(entry);
    return true;
  });
  if (many != nullptr) {
    many->count -= removed;
    if (entries.empty()) many->by_event.erase(event);
  }
  charges_.charge(socket, -kHandlerBytes * static_cast<std::ptrdiff_t>(removed));
  return removed > 0;
}

void EventHandlers::drop(const HandlerEntry& entry) {
  if (entry.event >= kFirstNamedEvent) names_.release(entry.event);
  discarded_.add(entry.handler);
}

void EventHandlers::drop_all(SocketState& socket) {
  for_each(socket, [this](const HandlerEntry& entry) { drop(entry); });
  socket.handlers.clear();
  if (socket.extras != nullptr) socket.extras->many_handlers.reset();
}

void EventHandlers::destroy_all(const SocketState& socket) noexcept {
  for_each(socket, [](const HandlerEntry& entry) { entry.handler.destroy(); });
}

void EventHandlers::run(SocketState& socket, std::string_view event, Call& call) {
  const std::uint32_t number = names_.find(event);
  if (number != NameTable::kUnknown) run(socket, number, call, event);
}

void EventHandlers::run(SocketState& socket, std::uint32_t event, Call& call, std::string_view name) {
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
  if (any_once) remove_if(socket, event, [](const HandlerEntry& entry) { return entry.once; });
  NamespaceHandlers& application = *socket.nsp->handlers;
  application.run(first, call, name);
  for (const Handler& handler : others) application.run(handler, call, name);
}

void EventHandlers::run_special(SocketState& socket, std::uint32_t event, std::string_view reason) {
  if (!has(socket, event)) return;
  const JsonElement element{0, static_cast<std::uint32_t>(reason.size()), JsonKind::Name, false};
  Call call(handle_of(socket), Arguments(reason, {&element, 1}, {}));
  run(socket, event, call, event == kDisconnectEvent ? "disconnect" : "disconnecting");
}

}  // namespace limpet::socketio
