// Engine.IO packets as text, and their long-polling payloads: packets joined by the dialect's separator,
// binary ones as `b` + base64.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "worker/engineio/dialect.h"
#include "worker/loop/buffer.h"

namespace limpet::engineio {

struct Packet {
  PacketType type = PacketType::Invalid;
  std::string_view data;  ///< behind the type; of Binary: base64
};

[[nodiscard]] Packet parse_packet(std::string_view text) noexcept;

/// Walks the packets of a payload. Give the first call `more` = true; an empty payload has one packet, which
/// is invalid.
[[nodiscard]] std::string_view next_packet(const Dialect& dialect, std::string_view& payload,
                                           bool& more) noexcept;

/// `b`, then base64 of the payload of the one frame in `frame`: as a polling payload has bytes.
[[nodiscard]] loop::Buffer render_binary_packet(std::span<const loop::Buffer> frame);

/// The polling payload of messages made by websocket::FrameBuilder, then `last` (a whole packet) if not
/// empty.
[[nodiscard]] std::string make_payload(const Dialect& dialect, std::span<const loop::Buffer> frames,
                                       std::string_view last);

/// As Node decodes: both alphabets, ends at `=`, ignores what is no base64.
[[nodiscard]] std::string from_base64(std::string_view text);

/// `___eio[index]("payload");`. `index`: its digits are used.
[[nodiscard]] std::string wrap_jsonp(std::string_view index, std::string_view payload);
/// The payload of a JSONP client's form post (`d=…`).
[[nodiscard]] std::string unwrap_jsonp(std::string_view form);

struct Handshake {
  std::string_view sid;
  bool offer_websocket = false;
  std::chrono::milliseconds ping_interval{};
  std::chrono::milliseconds ping_timeout{};
  std::size_t max_payload_bytes = 0;
};
/// `0{"sid":…}`
[[nodiscard]] std::string make_open_packet(const Handshake& handshake);

/// `{"code":…,"message":…}`
[[nodiscard]] std::string make_error_body(int code, std::string_view message);

}  // namespace limpet::engineio
