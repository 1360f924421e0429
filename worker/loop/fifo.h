// A queue whose elements lie side by side in one vector: what is taken from the front is skipped by an index,
// and moved out of the way only when it is at least half of all, so that n elements cost O(n) altogether.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace limpet::loop {

template <class T>
class Fifo {
 public:
  [[nodiscard]] bool empty() const noexcept { return head_ == items_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size() - head_; }
  [[nodiscard]] T& front() noexcept { return items_[head_]; }
  [[nodiscard]] const T& front() const noexcept { return items_[head_]; }
  [[nodiscard]] T& operator[](std::size_t at) noexcept { return items_[head_ + at]; }
  [[nodiscard]] const T& operator[](std::size_t at) const noexcept { return items_[head_ + at]; }
  [[nodiscard]] auto begin() noexcept { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  [[nodiscard]] auto end() noexcept { return items_.end(); }
  [[nodiscard]] auto begin() const noexcept { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  [[nodiscard]] auto end() const noexcept { return items_.end(); }

  void push_back(T item) { items_.push_back(std::move(item)); }
  /// Moves all others if nothing was taken from the front before: for few.
  void push_front(T item) {
    if (head_ > 0) {
      items_[--head_] = std::move(item);
    } else {
      items_.insert(items_.begin(), std::move(item));
    }
  }
  /// The first one, which is gone from here.
  T pop_front() {
    T item = std::move(items_[head_]);
    items_[head_++] = T{};
    if (head_ == items_.size()) {
      clear();
    } else if (head_ >= kWorthMoving && head_ * 2 >= items_.size()) {
      items_.erase(items_.begin(), begin());
      head_ = 0;
    }
    return item;
  }
  /// The first `count`, which are gone from here.
  void drop(std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) (void)pop_front();
  }
  void clear() noexcept {
    items_.clear();
    head_ = 0;
  }
  /// Bytes of its own memory, without what the elements hold elsewhere.
  [[nodiscard]] std::size_t footprint() const noexcept { return items_.capacity() * sizeof(T); }

 private:
  static constexpr std::size_t kWorthMoving = 32;

  std::vector<T> items_;
  std::size_t head_ = 0;
};

}  // namespace limpet::loop
