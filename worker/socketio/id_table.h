// Socket ids to places: open addressing with one 32-bit word per entry, for ids stand in the socket states
// anyway. The ids are random, so their first bytes are their hash.
#pragma once

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
    if (size_ == 0) return kNone;
    for (std::size_t place = hash(id) & mask();; place = (place + 1) & mask()) {
      const std::uint32_t index = places_[place];
      if (index == kNone || matches(index)) return index;
    }
  }
  /// `id_of(index)` gives the id of an index that is in the table.
  template <typename IdOf>
  void insert(std::uint32_t index, IdOf&& id_of) {
    if ((size_ + 1) * 4 > places_.size() * 3) grow(id_of);
    put(index, id_of(index));
    ++size_;
  }
  template <typename IdOf>
  void erase(std::uint32_t index, IdOf&& id_of) {
    std::size_t hole = hash(id_of(index)) & mask();
    while (places_[hole] != index) {
      if (places_[hole] == kNone) return;
      hole = (hole + 1) & mask();
    }
    // Whoever was pushed past the hole moves into it, so that no search stops short.
    for (std::size_t place = (hole + 1) & mask(); places_[place] != kNone; place = (place + 1) & mask()) {
      const std::size_t home = hash(id_of(places_[place])) & mask();
      if (((place - home) & mask()) < ((place - hole) & mask())) continue;
      places_[hole] = places_[place];
      hole = place;
    }
    places_[hole] = kNone;
    --size_;
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  [[nodiscard]] static std::size_t hash(std::string_view id) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, id.data(), id.size() < sizeof word ? id.size() : sizeof word);
    return static_cast<std::size_t>((word * 0x9e3779b97f4a7c15u) >> 24);
  }
  [[nodiscard]] std::size_t mask() const noexcept { return places_.size() - 1; }
  void put(std::uint32_t index, std::string_view id) {
    std::size_t place = hash(id) & mask();
    while (places_[place] != kNone) place = (place + 1) & mask();
    places_[place] = index;
  }
  template <typename IdOf>
  void grow(IdOf& id_of) {
    std::vector<std::uint32_t> old(places_.empty() ? 16 : places_.size() * 2, kNone);
    old.swap(places_);
    for (const std::uint32_t index : old)
      if (index != kNone) put(index, id_of(index));
  }

  std::vector<std::uint32_t> places_;
  std::size_t size_ = 0;
};

}  // namespace limpet::socketio
