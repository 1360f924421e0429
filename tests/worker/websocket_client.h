// A WebSocket client's bytes, for tests: masked frames out, server frames in. A second opinion on RFC 6455,
// written without the code under test.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace limpet::test {

struct ServerFrame {
  int opcode = 0;
  std::string payload;
  bool operator==(const ServerFrame&) const = default;
};

struct FrameOptions {
  bool fin = true;
  bool mask = true;
  int reserved = 0;  // 0x40, 0x20, 0x10
};

inline std::string client_frame(int opcode, std::string_view payload, FrameOptions options = {}) {
  std::string frame;
  frame += static_cast<char>((options.fin ? 0x80 : 0) | options.reserved | opcode);
  const int mask_bit = options.mask ? 0x80 : 0;
  if (payload.size() < 126) {
    frame += static_cast<char>(mask_bit | static_cast<int>(payload.size()));
  } else {
    const int bytes = payload.size() < 65536 ? 2 : 8;
    frame += static_cast<char>(mask_bit | (bytes == 2 ? 126 : 127));
    for (int i = bytes - 1; i >= 0; --i) frame += static_cast<char>(payload.size() >> (8 * i) & 0xff);
  }
  const std::array<char, 4> key{'\x37', '\xfa', '\x21', '\x3d'};
  if (options.mask) frame.append(key.data(), key.size());
  for (std::size_t i = 0; i < payload.size(); ++i)
    frame += static_cast<char>(payload[i] ^ (options.mask ? key[i % 4] : 0));
  return frame;
}

inline std::string text_frame(std::string_view payload) { return client_frame(1, payload); }

/// All of `bytes`, which must be whole server frames; an opcode of -1 stands for what is none.
inline std::vector<ServerFrame> server_frames(std::string_view bytes) {
  std::vector<ServerFrame> frames;
  while (!bytes.empty()) {
    const auto at = [&](std::size_t i) {
      return static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i]));
    };
    std::size_t header = 2;
    std::size_t size = bytes.size() < 2 ? 0 : at(1);
    const std::size_t extended = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (bytes.size() < 2 + extended || size > 127) return frames.push_back({-1, std::string(bytes)}), frames;
    if (extended != 0) size = 0;
    for (std::size_t i = 0; i < extended; ++i) size = size << 8 | at(2 + i);
    header += extended;
    if (bytes.size() < header + size || (at(0) & 0xf0) != 0x80)
      return frames.push_back({-1, std::string(bytes)}), frames;
    frames.push_back({static_cast<int>(at(0) & 0x0f), std::string(bytes.substr(header, size))});
    bytes.remove_prefix(header + size);
  }
  return frames;
}

/// The payload of a Close frame.
inline std::string close_payload(int code, std::string_view reason = {}) {
  std::string payload;
  payload += static_cast<char>(code >> 8);
  payload += static_cast<char>(code & 0xff);
  payload += reason;
  return payload;
}

}  // namespace limpet::test
