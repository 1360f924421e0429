// What tells builds of different age apart. An upgrade joins a supervisor and workers of different builds,
// and `limpet ctl` may be older than the supervisor that it asks.
#pragma once

#include <cstdint>

namespace limpet::ipc {

/// Grows when an older peer could not understand a newer one. Both sides say theirs first.
inline constexpr std::uint32_t kProtocolVersion = 1;

/// What a build knows, beside the first protocol: each side says its level in its first message, and is sent
/// nothing that is of a higher one, for an upgrade joins builds of different age. Whoever adds a message, a
/// field that matters or a kind of record makes this higher, and says here what it is.
///   0  builds that do not say
///   1  Knows
///   2  Signalled, GoOn, Leave
inline constexpr std::uint32_t kLevel = 2;

}  // namespace limpet::ipc
