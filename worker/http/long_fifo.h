// A queue that may become very long: elements stand in blocks, so that growing moves none of them. Until its
// first element it owns no memory. For short ones Fifo (http/fifo.h) costs less.
#pragma once

#include <boost/container/deque.hpp>
#include <cstddef>
#include <utility>

namespace limpet::http {

template <class T>
class LongFifo {
 public:
  [[nodiscard]] bool empty() const noexcept { return items_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
  [[nodiscard]] T& front() noexcept { return items_.front(); }
  [[nodiscard]] const T& front() const noexcept { return items_.front(); }
  [[nodiscard]] auto begin() const noexcept { return items_.begin(); }
  [[nodiscard]] auto end() const noexcept { return items_.end(); }

  void push_back(T item) {
    items_.push_back(std::move(item));
    if (items_.size() > most_) most_ = items_.size();
  }
  /// The first one, which is gone from here.
  T pop_front() {
    T item = std::move(items_.front());
    items_.pop_front();
    return item;
  }
  /// The first `count`, which are gone from here.
  void drop(std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) items_.pop_front();
  }
  void clear() noexcept { items_.clear(); }
  /// Bytes of its own memory, about, without what the elements hold elsewhere. The list of its blocks stays
  /// as long as it has been.
  [[nodiscard]] std::size_t footprint() const noexcept {
    return items_.size() * sizeof(T) + most_ * sizeof(T) / kBlockBytes * sizeof(void*);
  }

 private:
  static constexpr std::size_t kBlockBytes = 512;
  using Options = typename boost::container::deque_options<boost::container::block_bytes<kBlockBytes>>::type;
  boost::container::deque<T, void, Options> items_;
  std::size_t most_ = 0;  ///< that there have been
};

}  // namespace limpet::http
