// A client that sends any bytes as frames: what is received must not depend on where reads end, text is
// always UTF-8, and no message is above the limit.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "worker/websocket/reader.h"
#include "worker/websocket/utf8.h"

namespace {

using namespace limpet::websocket;

constexpr std::size_t kLimit = 300;

std::string receive_in_pieces(std::string_view bytes, std::size_t piece) {
  std::string log;
  std::string unread;
  std::unique_ptr<Fragments> fragments;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    unread += bytes.substr(at, piece);
    for (;;) {
      const Received received = receive({unread.data(), unread.size()}, fragments, kLimit);
      if (received.kind == Received::Kind::Incomplete) break;
      if (received.payload.size() > kLimit || received.consumed > unread.size()) __builtin_trap();
      if (received.kind == Received::Kind::Text && !is_valid_utf8(received.payload)) __builtin_trap();
      log += std::to_string(static_cast<int>(received.kind)) + ":" +
             std::to_string(static_cast<int>(received.code)) + ":";
      log += received.payload;
      if (received.kind == Received::Kind::Failed || received.kind == Received::Kind::Close) return log;
      unread.erase(0, received.consumed);
    }
  }
  return log;
}

/// Random bytes rarely set the mask bit of every frame: set it where a frame begins.
std::string as_frames(std::string_view bytes) {
  std::string frames(bytes);
  std::size_t at = 0;
  while (at + 1 < frames.size()) {
    frames[at] = static_cast<char>(frames[at] & 0x8f);
    frames[at + 1] = static_cast<char>(frames[at + 1] | 0x80);
    at += 6 + (static_cast<unsigned char>(frames[at + 1]) & 0x7fu);
  }
  return frames;
}

void compare(std::string_view bytes, std::size_t piece) {
  if (receive_in_pieces(bytes, bytes.size() + 1) != receive_in_pieces(bytes, piece)) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 4096) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = 1 + data[0] % 16u;
  compare(bytes, piece);
  compare(as_frames(bytes), piece);
  return 0;
}
