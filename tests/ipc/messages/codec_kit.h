// What tests of the codecs share: datagrams as they arrive, and what decoding makes of them.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "ipc/birth/incarnation.h"
#include "ipc/messages/channel.h"

namespace limpet::ipc {

inline constexpr auto kMost16 = std::numeric_limits<std::uint16_t>::max();
inline constexpr auto kMost32 = std::numeric_limits<std::uint32_t>::max();
inline constexpr auto kMost64 = std::numeric_limits<std::uint64_t>::max();
inline constexpr std::chrono::milliseconds kLongest{std::int64_t{100} * 366 * 24 * 3600 * 1000};
inline constexpr Incarnation kHighest{.slot = 4095, .lane = 8192, .generation = kMost64};

inline Datagram datagram_of(std::vector<std::byte> bytes, std::size_t descriptors = 0) {
  Datagram datagram{.bytes = std::move(bytes), .descriptors = {}};
  while (datagram.descriptors.size() < descriptors) datagram.descriptors.emplace_back(::dup(0));
  return datagram;
}

/// The body that arrives when `sent` was sent in its envelope; fails the test if none does.
template <class Body, class Decode>
Body arrived(const auto& envelope, std::size_t descriptors, Decode decode) {
  std::string why;
  const auto message = decode(datagram_of(encode(envelope), descriptors), &why);
  if (!message || !std::holds_alternative<Body>(*message)) {
    ADD_FAILURE() << "did not arrive as what it was: " << why;
    return Body{};
  }
  return std::get<Body>(*message);
}

template <class Decode>
std::string refusal(const Datagram& datagram, Decode decode) {
  std::string why;
  EXPECT_FALSE(decode(datagram, &why).has_value());
  return why;
}

/// A message of one data word, whose first 16 bits are `number`, and one pointer: an envelope, or a
/// handover's head.
inline Datagram with_first_number(std::uint16_t number, std::size_t descriptors) {
  const std::uint64_t words[] = {
      std::uint64_t{3} << 32,          // one segment of 3 words
      0x0001'0001'0000'0000u,          // a struct: 1 word of data, 1 pointer
      number, 0x0000'0000'ffff'fffcu,  // the pointer: an empty struct
  };
  std::vector<std::byte> bytes(sizeof words);
  std::memcpy(bytes.data(), words, sizeof words);
  return datagram_of(std::move(bytes), descriptors);
}

}  // namespace limpet::ipc
