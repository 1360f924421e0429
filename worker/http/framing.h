// How much of a chunked body may be no body: the size lines of its chunks, their extensions, the trailer.
// Internal to worker/http.
#pragma once

#include <cstddef>
#include <cstdint>

namespace limpet::http {

/// A chunk of one byte has five bytes of framing, and more with zeroes before its size. What is beyond that,
/// extensions above all, is nothing that anybody needs: the whole body may have so many of it.
inline constexpr std::uint64_t kFramingPerByte = 16;

[[nodiscard]] constexpr bool is_framing_too_long(std::uint64_t framing_bytes, std::uint64_t body_bytes,
                                                 std::size_t spare_bytes) noexcept {
  return framing_bytes > spare_bytes + kFramingPerByte * body_bytes;
}

}  // namespace limpet::http
