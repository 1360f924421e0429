// The sockets of a server by index, which handles and callbacks know, and the connected ones by id. Owns none
// of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "worker/socketio/id_table.h"
#include "worker/socketio/state.h"

namespace limpet::socketio {

class SocketTable {
 public:
  /// Null: gone.
  [[nodiscard]] SocketState* find(std::uint32_t index, std::uint32_t epoch) const noexcept {
    SocketState* socket = index < sockets_.size() ? sockets_[index] : nullptr;
    return socket != nullptr && socket->epoch == epoch ? socket : nullptr;
  }
  /// There is one of that index.
  [[nodiscard]] SocketState& at(std::uint32_t index) const {
    CHECK(index < sockets_.size() && sockets_[index] != nullptr,
          "socket " + std::to_string(index) + ": is not there");
    return *sockets_[index];
  }
  [[nodiscard]] bool has(const SocketState& socket) const noexcept {
    return sockets_[socket.index] == &socket;
  }

  /// Gives the socket an index that no other one has, and an epoch that none has had.
  void give_index(SocketState& socket) {
    if (free_indices_.empty()) {
      free_indices_.push_back(static_cast<std::uint32_t>(sockets_.size()));
      sockets_.push_back(nullptr);
    }
    socket.index = free_indices_.back();
    free_indices_.pop_back();
    socket.epoch = ++last_epoch_;
  }
  /// Of one that is not in the table.
  void take_index(const SocketState& socket) {
    CHECK(sockets_[socket.index] == nullptr, "the index of a socket that can be found is taken");
    free_indices_.push_back(socket.index);
  }
  /// It has an index; it is found from now on.
  void add(SocketState& socket) {
    CHECK(sockets_[socket.index] == nullptr, "two sockets have one index");
    sockets_[socket.index] = &socket;
  }
  /// With its index.
  void remove(const SocketState& socket) {
    CHECK(has(socket), "a socket is removed that is not there");
    sockets_[socket.index] = nullptr;
    free_indices_.push_back(socket.index);
  }

  /// Null: none of that id is connected in the namespace.
  [[nodiscard]] SocketState* find_connected(const NamespaceState& nsp, std::string_view id) const noexcept {
    if (id.size() != sizeof(SocketId)) return nullptr;
    const std::uint32_t index =
        by_id_.find(id, [&](std::uint32_t candidate) { return view_of(sockets_[candidate]->id) == id; });
    if (index == IdTable::kNone || sockets_[index]->nsp != &nsp) return nullptr;
    return sockets_[index];
  }
  void add_id(const SocketState& socket) {
    by_id_.insert(socket.index, [this](std::uint32_t index) { return view_of(sockets_[index]->id); });
  }
  void remove_id(const SocketState& socket) {
    by_id_.erase(socket.index, [this](std::uint32_t index) { return view_of(sockets_[index]->id); });
  }

  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (SocketState* const socket : sockets_)
      if (socket != nullptr) visit(*socket);
  }

 private:
  std::vector<SocketState*> sockets_;  // by index; null: none that can be found
  std::vector<std::uint32_t> free_indices_;
  std::uint32_t last_epoch_ = 0;
  IdTable by_id_;
};

}  // namespace limpet::socketio
