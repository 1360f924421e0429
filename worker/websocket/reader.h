// Takes a client's WebSocket messages out of unread bytes (RFC 6455 section 5). Owns nothing but the
// assembled part of a fragmented message.
//
// Restarting (law 5): a frame is consumed whole or not at all, and unmasked in place only then. A fragment
// that arrived whole is consumed and its payload kept in Fragments, so control frames between fragments are
// consumed, and acted on, once. Fragments are plain bytes: an opcode and a string, all there is to write down
// when a connection moves. An idle connection has none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "worker/websocket/frame.h"

namespace limpet::websocket {

/// Close codes of RFC 6455 section 7.4.1 that a server has use for.
enum class CloseCode : std::uint16_t {
  Normal = 1000,
  GoingAway = 1001,
  ProtocolError = 1002,
  NoStatus = 1005,  ///< never sent: stands for a Close without a code
  InvalidPayload = 1007,
  MessageTooBig = 1009,
  ServiceRestart = 1012,
  TryAgainLater = 1013,  ///< the worker has too little memory
};

struct Fragments {
  Opcode opcode = Opcode::Text;
  bool delivered = false;  ///< whole, and given out; the next receive() frees it
  std::size_t held = 0;    ///< what the owner has told its stream of `bytes`
  std::string bytes;
};

struct Received {
  enum class Kind : std::uint8_t {
    Incomplete,  ///< no whole frame at the front: nothing consumed
    Skipped,     ///< a frame that says nothing by itself (a fragment) was consumed
    Text,        ///< `payload`: the message, valid UTF-8
    Binary,      ///< `payload`: the message
    Ping,        ///< `payload` is to be sent back in a Pong
    Pong,
    Close,   ///< `code` as the client gave it (NoStatus if none): answer with it and end
    Failed,  ///< the client broke the protocol: close with `code` and end
  };
  Kind kind = Kind::Incomplete;
  CloseCode code = CloseCode::Normal;
  std::size_t consumed = 0;    ///< bytes at the front of `bytes`
  std::string_view payload{};  ///< into `bytes`, or into `fragments` until the next call
  std::size_t whole = 0;       ///< Incomplete: bytes that the frame will have, if its header is there
};

/// Takes one frame from the front of `bytes`. `fragments` is the state between calls. A message of more than
/// `max_message_bytes` fails with 1009 as soon as a header tells. To be called until Incomplete, Failed or
/// Close; after the last two never again.
[[nodiscard]] Received receive(std::span<char> bytes, std::unique_ptr<Fragments>& fragments,
                               std::size_t max_message_bytes);

/// A Close frame. NoStatus gives one without a code.
[[nodiscard]] loop::Buffer make_close_frame(CloseCode code, std::string_view reason = {});

/// XORs `bytes` with the mask whose bytes lie in memory order in `mask`; true if the result is ASCII
/// throughout.
bool unmask(std::span<char> bytes, std::uint32_t mask) noexcept;

}  // namespace limpet::websocket
