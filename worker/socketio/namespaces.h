// The namespaces of a server, by name. Each stays where it is as long as the server.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "worker/socketio/state.h"

namespace limpet::socketio {

class Namespaces {
 public:
  /// Null: there is none of that name ("/", "/admin").
  [[nodiscard]] NamespaceState* find(std::string_view name) const noexcept {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second.get();
  }
  /// There is none of that name yet.
  NamespaceState& add(Server& server, std::string name, std::unique_ptr<NamespaceHandlers> handlers) {
    CHECK(handlers != nullptr, "namespace " + name + ": has no handlers");
    CHECK(find(name) == nullptr, "namespace " + name + ": is there already");
    auto added = std::make_unique<NamespaceState>();
    added->server = &server;
    added->name = name;
    added->handlers = std::move(handlers);
    return *by_name_.emplace(std::move(name), std::move(added)).first->second;
  }

 private:
  std::unordered_map<std::string, std::unique_ptr<NamespaceState>, NameHash, std::equal_to<>> by_name_;
};

}  // namespace limpet::socketio
