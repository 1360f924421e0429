#include "worker/limpet/detail/room_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "worker/socketio/broadcast.h"

namespace limpet::detail {

void require_room_name(std::string_view name) {
  if (name.size() <= socketio::kLongestRoomName) return;
  throw std::length_error(fmt::format("the name of a room has {} bytes, the limit is {}", name.size(),
                                      socketio::kLongestRoomName));
}

RoomList::RoomList(const RoomList& other) noexcept
    : first_(other.first_), first_size_(other.first_size_), size_(other.size_), shared_(other.shared_) {
  // Names that a value which is gone had added: the copy may add in place where they stood.
  if (shared_ != nullptr && shared_.use_count() == 2) shared_->truncate(size_of_shared());
}

void RoomList::add(std::string_view name, std::size_t most) {
  require_room_name(name);
  if (size_ >= most)
    throw std::length_error(fmt::format("more than {} rooms, or exceptions, of one broadcast", most));
  if (size_ == 0 && name.size() <= first_.size()) {
    std::copy(name.begin(), name.end(), first_.begin());
    first_size_ = static_cast<std::uint8_t>(name.size());
  } else {
    go_own_way();
    shared_->push_back(name);
  }
  ++size_;
}

/// Afterwards this value is at the end of its list.
void RoomList::go_own_way() {
  const std::size_t mine = size_of_shared();
  if (shared_ != nullptr && shared_->size() == mine) return;
  auto own = std::make_shared<socketio::RoomNames>();
  for (std::size_t i = 0; i < mine; ++i) own->push_back((*shared_)[i]);
  shared_ = std::move(own);
}

}  // namespace limpet::detail
