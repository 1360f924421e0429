// Socket ids to places: open addressing with one 32-bit word per entry, for ids stand in the socket states
// anyway. The ids are random, so their first bytes are their hash. In 64 parts, so that the growth of one
// part (all of its ids are looked at) holds up no turn.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace limpet::socketio {

class IdTable {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  /// The index whose id `matches(index)`; kNone without one.
  template <typename Matches>
  [[nodiscard]] std::uint32_t find(std::string_view id, Matches&& matches) const {
    const std::uint64_t hash = hash_of(id);
    const Part& part = parts_[part_of(hash)];
    if (part.size == 0) return kNone;
    for (std::size_t place = hash & part.mask();; place = (place + 1) & part.mask()) {
      const std::uint32_t index = part.places[place];
      if (index == kNone || matches(index)) return index;
    }
  }
  /// `id_of(index)` gives the id of an index that is in the table.
  template <typename IdOf>
  void insert(std::uint32_t index, IdOf&& id_of) {
    const std::uint64_t hash = hash_of(id_of(index));
    Part& part = parts_[part_of(hash)];
    if ((part.size + 1) * 4 > part.places.size() * 3) part.grow(id_of);
    part.put(index, hash);
    ++part.size;
  }
  template <typename IdOf>
  void erase(std::uint32_t index, IdOf&& id_of) {
    const std::uint64_t hash = hash_of(id_of(index));
    Part& part = parts_[part_of(hash)];
    const std::size_t mask = part.mask();
    std::size_t hole = hash & mask;
    while (part.places[hole] != index) {
      if (part.places[hole] == kNone) return;
      hole = (hole + 1) & mask;
    }
    // Whoever was pushed past the hole moves into it, so that no search stops short.
    for (std::size_t place = (hole + 1) & mask; part.places[place] != kNone; place = (place + 1) & mask) {
      const std::size_t home = hash_of(id_of(part.places[place])) & mask;
      if (((place - home) & mask) < ((place - hole) & mask)) continue;
      part.places[hole] = part.places[place];
      hole = place;
    }
    part.places[hole] = kNone;
    --part.size;
  }

 private:
  struct Part {
    [[nodiscard]] std::size_t mask() const noexcept { return places.size() - 1; }
    void put(std::uint32_t index, std::uint64_t hash) {
      std::size_t place = hash & mask();
      while (places[place] != kNone) place = (place + 1) & mask();
      places[place] = index;
    }
    template <typename IdOf>
    void grow(IdOf& id_of) {
      std::vector<std::uint32_t> old(places.empty() ? 16 : places.size() * 2, kNone);
      old.swap(places);
      for (const std::uint32_t index : old)
        if (index != kNone) put(index, hash_of(id_of(index)));
    }
    std::vector<std::uint32_t> places;
    std::size_t size = 0;
  };

  [[nodiscard]] static std::uint64_t hash_of(std::string_view id) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, id.data(), id.size() < sizeof word ? id.size() : sizeof word);
    return (word * 0x9e3779b97f4a7c15u) >> 24;
  }
  [[nodiscard]] static std::size_t part_of(std::uint64_t hash) noexcept { return hash >> 34; }

  std::array<Part, 64> parts_;
};

}  // namespace limpet::socketio
