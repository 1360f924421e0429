// Names of rooms in one piece of memory: a client that moves may be in a hundred thousand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace limpet::socketio {

class RoomNames {
 public:
  class const_iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    using pointer = const std::string_view*;
    using reference = std::string_view;

    const_iterator() = default;
    const_iterator(const RoomNames& names, std::size_t index) noexcept : names_(&names), index_(index) {}
    std::string_view operator*() const noexcept { return (*names_)[index_]; }
    const_iterator& operator++() noexcept {
      ++index_;
      return *this;
    }
    const_iterator operator++(int) noexcept { return {*names_, index_++}; }
    bool operator==(const const_iterator& other) const noexcept { return index_ == other.index_; }

   private:
    const RoomNames* names_ = nullptr;
    std::size_t index_ = 0;
  };
  using iterator = const_iterator;
  using value_type = std::string_view;
  using const_reference = std::string_view;

  RoomNames() = default;
  RoomNames(std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) push_back(name);
  }
  /// `bytes`: of all of them together, if that is known.
  void reserve(std::size_t names, std::size_t bytes = 0) {
    ends_.reserve(names);
    text_.reserve(bytes);
  }
  /// All of them together: up to 4 GiB.
  void push_back(std::string_view name) {
    text_ += name;
    ends_.push_back(static_cast<std::uint32_t>(text_.size()));
  }
  /// The first `count` stay.
  void truncate(std::size_t count) noexcept {
    if (count >= size()) return;
    text_.erase(count == 0 ? 0 : ends_[count - 1]);
    ends_.resize(count);
  }
  [[nodiscard]] std::string_view operator[](std::size_t index) const noexcept {
    const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(text_).substr(begin, ends_[index] - begin);
  }
  [[nodiscard]] std::size_t size() const noexcept { return ends_.size(); }
  [[nodiscard]] bool empty() const noexcept { return ends_.empty(); }
  /// Of all names together.
  [[nodiscard]] std::size_t bytes() const noexcept { return text_.size(); }
  [[nodiscard]] const_iterator begin() const noexcept { return {*this, 0}; }
  [[nodiscard]] const_iterator end() const noexcept { return {*this, size()}; }

 private:
  std::string text_;
  std::vector<std::uint32_t> ends_;  ///< of each name, in text_
};

}  // namespace limpet::socketio
