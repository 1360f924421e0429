// The classic BPF program that the kernel runs for each new connection of an SO_REUSEPORT group: the client's
// source address -> a slot. Pure: builds instructions, attaches nothing.
//
// clang-format off
// R1 The same address always gives the same slot, on every listener: IPv4, IPv4 on a dual-stack socket and
//    IPv4-mapped IPv6 are one address.
// R2 Rendezvous hashing: a slot that is taken out loses its clients to all the others, and a slot that comes
//    wins its share from all the others; nobody else moves.
// R3 The address's hash and the slots' weights are those of base/placement_hash.h, so that a worker that
//    places an address finds the same slot.
// R4 The result is an index into the group in the order of listen(), which must be the order of slots.
// clang-format on
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

namespace limpet::supervisor {

/// `takes_part[slot]`; at least one must. The size is the number of slots. `seed`: the cluster's.
[[nodiscard]] std::vector<sock_filter> routing_program(const std::vector<bool>& takes_part,
                                                       std::uint64_t seed);

}  // namespace limpet::supervisor
