// A hash that nobody outside can foresee: SipHash-2-4 with a key drawn anew by each process. For every table
// whose keys are bytes that a client may have chosen (law 13): with a hash that is known, a client makes all
// of its names collide. Its values must not leave the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace limpet::loop {

[[nodiscard]] std::uint64_t keyed_hash(std::string_view bytes) noexcept;

/// For std::unordered_map and others of its kind, keyed by strings and asked by views.
struct KeyedHash {
  using is_transparent = void;
  // Not noexcept: libstdc++ then keeps each element's hash and does not compute it anew at every step.
  std::size_t operator()(std::string_view bytes) const { return keyed_hash(bytes); }
};

}  // namespace limpet::loop
