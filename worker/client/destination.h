// Where a connection goes with the request that its unread bytes begin with.
#pragma once

#include <cstdint>

namespace limpet::client {

struct Destination {
  /// Giver: a worker that still has sessions of this one.
  enum class To : std::uint8_t { Nowhere, Slot, Giver };

  To to = To::Nowhere;
  bool opens_session = false;  ///< the request opens a session, for which that slot was chosen
  std::uint16_t slot = 0;

  [[nodiscard]] static constexpr Destination of_slot(std::uint16_t slot, bool opens_session = false) {
    return {To::Slot, opens_session, slot};
  }
  [[nodiscard]] static constexpr Destination giver() { return {To::Giver, false, 0}; }

  explicit operator bool() const noexcept { return to != To::Nowhere; }
  bool operator==(const Destination&) const = default;
};

}  // namespace limpet::client
