// Builds an unmasked server frame (RFC 6455 section 5.2) in one buffer: header and payload side by side,
// encoded once and shared by every socket it goes to. The payload alone (Buffer::payload()) is the
// long-polling rendering.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/loop/buffer.h"

namespace limpet::websocket {

enum class Opcode : std::uint8_t { Continuation = 0, Text = 1, Binary = 2, Close = 8, Ping = 9, Pong = 10 };

/// The longest header of an unmasked frame.
inline constexpr std::size_t kMaxHeaderBytes = 10;

class FrameBuilder {
 public:
  /// `payload_hint`: expected payload size in bytes; more may be appended.
  explicit FrameBuilder(std::size_t payload_hint)
      : buffer_(loop::Buffer::allocate(kMaxHeaderBytes + payload_hint)),
        capacity_(kMaxHeaderBytes + payload_hint) {}

  void append(std::string_view bytes) {
    if (!bytes.empty()) std::memcpy(extend(bytes.size()), bytes.data(), bytes.size());
  }
  void append(char byte) { *extend(1) = byte; }
  /// `size` bytes at the end, to be filled by the caller before the next call.
  char* extend(std::size_t size) {
    if (end_ + size > capacity_) grow(size);
    char* place = buffer_.data() + end_;
    end_ += size;
    return place;
  }
  /// Drops the last `size` bytes.
  void retract(std::size_t size) noexcept { end_ -= size; }
  [[nodiscard]] std::size_t payload_size() const noexcept { return end_ - kMaxHeaderBytes; }

  /// The finished frame; the builder is empty afterwards.
  loop::Buffer finish(Opcode opcode) &&;

 private:
  void grow(std::size_t more);

  loop::Buffer buffer_;
  std::size_t capacity_;
  std::size_t end_ = kMaxHeaderBytes;
};

/// A whole frame of `payload`.
loop::Buffer make_frame(Opcode opcode, std::string_view payload);

/// The opcode of a frame made by a FrameBuilder.
inline Opcode opcode_of(const loop::Buffer& frame) noexcept {
  return static_cast<Opcode>(static_cast<std::uint8_t>(frame.view().front()) & 0x0f);
}

}  // namespace limpet::websocket
