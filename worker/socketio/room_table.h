// The rooms of a namespace, by name. In 64 parts, so that the growth of one part (all of its rooms are looked
// at) holds up no turn, however many rooms there are.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/engineio/session.h"
#include "worker/loop/keyed_hash.h"

namespace limpet::socketio {

struct SocketState;

/// One entry of a room or namespace: the session first, so that a broadcast touches nothing else of a socket.
struct Member {
  engineio::Session* session;  ///< in a room: or the gate of a socket with many rooms (many_rooms.h)
  SocketState* socket;
};

/// members[i] and places[i] belong together: members[i].socket->rooms[places[i]] is this room. Apart, so that
/// a broadcast walks over members alone. members[0] is charged with the room's own memory.
struct RoomState {
  std::string_view name;   ///< in RoomTable
  std::uint64_t hash = 0;  ///< of the name
  std::vector<Member> members;
  std::vector<std::uint32_t> places;
};

class RoomTable {
 public:
  /// Null: there is none.
  [[nodiscard]] RoomState* find(std::string_view name) const {
    const Hashed hashed(name);
    const Part& part = parts_[hashed.part()];
    const auto found = part.find(hashed);
    return found == part.end() ? nullptr : const_cast<RoomState*>(&found->second);
  }
  /// Made if need be. Stays where it is.
  RoomState& obtain(std::string_view name) {
    const Hashed hashed(name);
    Part& part = parts_[hashed.part()];
    auto found = part.find(hashed);
    if (found == part.end()) {
      found = part.try_emplace(std::string(name)).first;
      found->second.name = found->first;
      found->second.hash = hashed.hash;
    }
    return found->second;
  }
  /// Looks at no byte of the name: a socket that ends leaves many rooms in one turn.
  void erase(const RoomState& room) {
    const Hashed hashed(room);
    Part& part = parts_[hashed.part()];
    part.erase(part.find(hashed));
  }

 private:
  /// Hashed once, for the part and inside it.
  struct Hashed {
    explicit Hashed(std::string_view text) noexcept : name(text), hash(loop::keyed_hash(text)) {}
    explicit Hashed(const RoomState& room) noexcept : name(room.name), hash(room.hash) {}
    [[nodiscard]] std::size_t part() const noexcept { return hash >> 58; }
    std::string_view name;
    std::uint64_t hash;
  };
  struct RoomHash : loop::KeyedHash {
    using loop::KeyedHash::operator();
    std::size_t operator()(const Hashed& name) const { return name.hash; }
  };
  struct SameName {
    using is_transparent = void;
    bool operator()(std::string_view left, std::string_view right) const noexcept { return left == right; }
    bool operator()(const Hashed& left, std::string_view right) const noexcept {
      return left.name.data() == right.data() ? left.name.size() == right.size() : left.name == right;
    }
    bool operator()(std::string_view left, const Hashed& right) const noexcept {
      return (*this)(right, left);
    }
  };
  using Part = std::unordered_map<std::string, RoomState, RoomHash, SameName>;

  std::array<Part, 64> parts_;
};

}  // namespace limpet::socketio
