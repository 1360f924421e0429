// Client addresses by the slot that they belong to, in a cluster of two slots without a seed.
#pragma once

#include <string>

#include "worker/slot/placement.h"

namespace limpet::slot::test {

/// An address that rendezvous hashing gives to `slot`.
inline std::string address_of(std::uint16_t slot) {
  for (int i = 1;; ++i) {
    const std::string address = "192.0.2." + std::to_string(i);
    if (rendezvous_slot(client::PeerAddress::from_text(address, 0), base::PlacementHash(0), 2,
                        [](auto) { return true; }) == slot)
      return address;
  }
}

}  // namespace limpet::slot::test
