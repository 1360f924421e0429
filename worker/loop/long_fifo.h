// A queue that is short as a rule and may become very long. Few elements stand in one vector, as in Fifo;
// more than that stand in blocks, so that growing moves none of them, until the queue is empty again. Until
// its first element it owns no memory, and when a long one has become empty it owns none again.
#pragma once

#include <boost/container/deque.hpp>
#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>

#include "worker/loop/fifo.h"

namespace limpet::loop {

template <class T>
class LongFifo {
 public:
  [[nodiscard]] bool empty() const noexcept { return many_ == nullptr && few_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return many_ ? many_->items.size() : few_.size(); }
  [[nodiscard]] T& front() noexcept { return many_ ? many_->items.front() : few_.front(); }
  [[nodiscard]] const T& front() const noexcept { return many_ ? many_->items.front() : few_.front(); }
  [[nodiscard]] T& operator[](std::size_t at) noexcept { return many_ ? many_->items[at] : few_[at]; }
  [[nodiscard]] const T& operator[](std::size_t at) const noexcept {
    return many_ ? many_->items[at] : few_[at];
  }

  void push_back(T item) {
    if (!many_ && few_.size() < kFew) return few_.push_back(std::move(item));
    items().push_back(std::move(item));
    many_->note_size();
  }
  void push_front(T item) {
    if (!many_ && few_.size() < kFew) return few_.push_front(std::move(item));
    items().push_front(std::move(item));
    many_->note_size();
  }
  /// The first one, which is gone from here.
  T pop_front() {
    if (!many_) return few_.pop_front();
    T item = std::move(many_->items.front());
    many_->items.pop_front();
    free_if_empty();
    return item;
  }
  /// The first `count`, which are gone from here.
  void drop(std::size_t count) noexcept {
    if (!many_) return few_.drop(count);
    for (std::size_t i = 0; i < count; ++i) many_->items.pop_front();
    free_if_empty();
  }
  void clear() noexcept {
    few_.clear();
    many_.reset();
  }
  /// Bytes of its own memory, about, without what the elements hold elsewhere. The list of its blocks stays
  /// as long as it has been, until the queue is empty.
  [[nodiscard]] std::size_t footprint() const noexcept {
    return few_.footprint() + (many_ ? many_->footprint() : 0);
  }

  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    Iterator(const LongFifo& fifo, std::size_t at) noexcept : fifo_(&fifo), at_(at) {}
    const T& operator*() const noexcept { return (*fifo_)[at_]; }
    Iterator& operator++() noexcept {
      ++at_;
      return *this;
    }
    Iterator operator++(int) noexcept { return {*fifo_, at_++}; }
    bool operator==(const Iterator& other) const noexcept { return at_ == other.at_; }

   private:
    const LongFifo* fifo_;
    std::size_t at_;
  };
  [[nodiscard]] Iterator begin() const noexcept { return {*this, 0}; }
  [[nodiscard]] Iterator end() const noexcept { return {*this, size()}; }

 private:
  static constexpr std::size_t kFew = 32;
  static constexpr std::size_t kBlockBytes = 512;

  struct Many {
    using Options =
        typename boost::container::deque_options<boost::container::block_bytes<kBlockBytes>>::type;
    boost::container::deque<T, void, Options> items;
    std::size_t most = 0;  ///< that there have been

    void note_size() noexcept {
      if (items.size() > most) most = items.size();
    }
    [[nodiscard]] std::size_t footprint() const noexcept {
      return sizeof(Many) + items.size() * sizeof(T) + most * sizeof(T) / kBlockBytes * sizeof(void*);
    }
  };

  /// In blocks from now on.
  auto& items() {
    if (!many_) {
      many_ = std::make_unique<Many>();
      while (!few_.empty()) many_->items.push_back(few_.pop_front());
      few_ = {};
    }
    return many_->items;
  }
  void free_if_empty() noexcept {
    if (many_->items.empty()) many_.reset();
  }

  Fifo<T> few_;                 ///< empty while there are many
  std::unique_ptr<Many> many_;  ///< since there were more than kFew, until the queue is empty
};

}  // namespace limpet::loop
