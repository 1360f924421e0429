#include "worker/websocket/frame.h"

#include <algorithm>

namespace limpet::websocket {

void FrameBuilder::grow(std::size_t more) {
  capacity_ = std::max(capacity_ * 2, end_ + more);
  loop::Buffer larger = loop::Buffer::allocate(capacity_);
  std::memcpy(larger.data() + kMaxHeaderBytes, buffer_.data() + kMaxHeaderBytes, end_ - kMaxHeaderBytes);
  buffer_ = std::move(larger);
}

loop::Buffer FrameBuilder::finish(Opcode opcode) && {
  const std::size_t size = payload_size();
  const std::size_t header = size < 126 ? 2 : size < 65536 ? 4 : 10;
  static_assert(kMaxHeaderBytes <= loop::Buffer::kMostInFront);
  const std::size_t begin = kMaxHeaderBytes - header;
  auto* bytes = reinterpret_cast<std::uint8_t*>(buffer_.data() + begin);
  bytes[0] = static_cast<std::uint8_t>(0x80u | static_cast<std::uint8_t>(opcode));
  bytes[1] = static_cast<std::uint8_t>(header == 2 ? size : header == 4 ? 126 : 127);
  for (std::size_t i = 2; i < header; ++i)
    bytes[i] = static_cast<std::uint8_t>(size >> (8 * (header - 1 - i)));
  buffer_.narrow(begin, end_);
  buffer_.set_payload_offset(header);
  return std::move(buffer_);
}

loop::Buffer make_frame(Opcode opcode, std::string_view payload) {
  FrameBuilder builder(payload.size());
  builder.append(payload);
  return std::move(builder).finish(opcode);
}

}  // namespace limpet::websocket
