// The rooms of one broadcast, as a value. Copies share one list of names: whoever is at its end adds to it in
// place, so that `all = all.to(room)` costs the same however many rooms there are; names are copied only
// where two values that share them go different ways. A first name that is short lies in the value itself,
// for most broadcasts have no other.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ranges>
#include <string_view>
#include <utility>

#include "worker/socketio/room_names.h"

namespace limpet::detail {

/// What can be given in place of one room: anything that goes over names.
template <typename R>
concept RoomRange =
    std::ranges::input_range<R> && std::convertible_to<std::ranges::range_reference_t<R>, std::string_view>;

/// Throws std::length_error for a name that is longer than socketio::kLongestRoomName.
void require_room_name(std::string_view name);

class RoomList {
 public:
  RoomList() = default;
  RoomList(const RoomList& other) noexcept;
  RoomList(RoomList&& other) noexcept
      : first_(other.first_),
        first_size_(std::exchange(other.first_size_, kNoFirst)),
        size_(std::exchange(other.size_, 0)),
        shared_(std::move(other.shared_)) {}
  RoomList& operator=(RoomList other) noexcept {
    first_ = other.first_;
    first_size_ = other.first_size_;
    size_ = other.size_;
    shared_ = std::move(other.shared_);
    return *this;
  }
  ~RoomList() = default;

  /// Throws std::length_error if the name is too long, or there are `most` already.
  void add(std::string_view name, std::size_t most);
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::string_view operator[](std::size_t index) const noexcept {
    if (first_size_ == kNoFirst) return (*shared_)[index];
    return index == 0 ? std::string_view(first_.data(), first_size_) : (*shared_)[index - 1];
  }

 private:
  static constexpr std::uint8_t kNoFirst = 0xff;

  [[nodiscard]] std::size_t size_of_shared() const noexcept {
    return size_ - (first_size_ == kNoFirst ? 0 : 1);
  }
  void go_own_way();

  std::array<char, 31> first_{};
  std::uint8_t first_size_ = kNoFirst;
  std::size_t size_ = 0;
  std::shared_ptr<socketio::RoomNames> shared_;  // its first size_of_shared() are ours; null: none
};

}  // namespace limpet::detail
