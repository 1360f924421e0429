// A queue that may become very long: elements stand in blocks, so that growing moves none of them. Until its
// first element it owns no memory, and when a long one has become empty it owns none again. For short ones
// Fifo (fifo.h) costs less.
#pragma once

#include <boost/container/deque.hpp>
#include <cstddef>
#include <utility>

namespace limpet::loop {

template <class T>
class LongFifo {
 public:
  [[nodiscard]] bool empty() const noexcept { return items_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
  [[nodiscard]] T& front() noexcept { return items_.front(); }
  [[nodiscard]] const T& front() const noexcept { return items_.front(); }
  [[nodiscard]] T& operator[](std::size_t at) noexcept { return items_[at]; }
  [[nodiscard]] auto begin() const noexcept { return items_.begin(); }
  [[nodiscard]] auto end() const noexcept { return items_.end(); }

  void push_back(T item) {
    items_.push_back(std::move(item));
    if (items_.size() > most_) most_ = items_.size();
  }
  void push_front(T item) {
    items_.push_front(std::move(item));
    if (items_.size() > most_) most_ = items_.size();
  }
  /// The first one, which is gone from here.
  T pop_front() {
    T item = std::move(items_.front());
    items_.pop_front();
    free_if_empty();
    return item;
  }
  /// The first `count`, which are gone from here.
  void drop(std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) items_.pop_front();
    free_if_empty();
  }
  void clear() noexcept {
    items_.clear();
    free_if_empty();
  }
  /// Bytes of its own memory, about, without what the elements hold elsewhere. The list of its blocks stays
  /// as long as it has been, until the queue is empty.
  [[nodiscard]] std::size_t footprint() const noexcept {
    return items_.size() * sizeof(T) + most_ * sizeof(T) / kBlockBytes * sizeof(void*);
  }

 private:
  static constexpr std::size_t kBlockBytes = 512;
  using Options = typename boost::container::deque_options<boost::container::block_bytes<kBlockBytes>>::type;
  using Items = boost::container::deque<T, void, Options>;

  /// Short ones keep their block for the next elements.
  static constexpr std::size_t kLong = 16 * kBlockBytes / sizeof(T);

  void free_if_empty() noexcept {
    if (most_ <= kLong || !items_.empty()) return;
    Items().swap(items_);
    most_ = 0;
  }

  Items items_;
  std::size_t most_ = 0;  ///< that there have been
};

}  // namespace limpet::loop
