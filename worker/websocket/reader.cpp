#include "worker/websocket/reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/pages.h"
#include "worker/websocket/utf8.h"

namespace limpet::websocket {

namespace {

constexpr std::size_t kMaskBytes = 4;
constexpr std::size_t kMaxControlBytes = 125;

struct Header {
  bool complete = false;
  bool fin = false;
  bool masked = false;
  bool reserved = false;
  std::uint8_t opcode = 0;
  std::size_t size = 0;           // header bytes, mask included
  std::uint8_t length_field = 0;  // up to 125: the length; else it follows
  std::uint64_t payload = 0;
  std::uint32_t mask = 0;
};

std::uint64_t big_endian(const char* at, std::size_t size) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | static_cast<std::uint8_t>(at[i]);
  return value;
}

/// Fills in what the bytes at hand tell; `complete` if mask and length are all there.
Header read_header(std::span<const char> bytes) noexcept {
  Header header;
  if (bytes.size() < 2) return header;
  const auto first = static_cast<std::uint8_t>(bytes[0]);
  const auto second = static_cast<std::uint8_t>(bytes[1]);
  header.fin = (first & 0x80u) != 0;
  header.reserved = (first & 0x70u) != 0;
  header.opcode = first & 0x0fu;
  header.masked = (second & 0x80u) != 0;
  header.length_field = second & 0x7fu;
  header.payload = header.length_field;
  const std::size_t extended = header.payload == 126 ? 2 : header.payload == 127 ? 8 : 0;
  header.size = 2 + extended + kMaskBytes;
  if (bytes.size() < 2 + extended) return header;
  if (extended != 0) header.payload = big_endian(bytes.data() + 2, extended);
  if (bytes.size() < header.size) return header;
  std::memcpy(&header.mask, bytes.data() + 2 + extended, kMaskBytes);
  header.complete = true;
  return header;
}

bool is_control(std::uint8_t opcode) noexcept { return (opcode & 0x8u) != 0; }

/// The rules that the first two bytes can break. `fragments`: is a message being assembled?
bool breaks_protocol(const Header& header, bool assembling) noexcept {
  if (header.reserved || !header.masked) return true;
  switch (static_cast<Opcode>(header.opcode)) {
    case Opcode::Continuation:
      return !assembling;
    case Opcode::Text:
    case Opcode::Binary:
      return assembling;
    case Opcode::Close:
    case Opcode::Ping:
    case Opcode::Pong:
      return !header.fin || header.length_field > kMaxControlBytes;
  }
  return true;
}

/// RFC 6455 section 7.4: which codes may be on the wire.
bool may_be_sent(std::uint16_t code) noexcept {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

Received failed(CloseCode code) noexcept { return {Received::Kind::Failed, code, 0, {}}; }

Received control(Opcode opcode, std::string_view payload, std::size_t consumed) noexcept {
  if (opcode == Opcode::Ping) return {Received::Kind::Ping, CloseCode::Normal, consumed, payload};
  if (opcode == Opcode::Pong) return {Received::Kind::Pong, CloseCode::Normal, consumed, payload};
  if (payload.empty()) return {Received::Kind::Close, CloseCode::NoStatus, consumed, {}};
  if (payload.size() < 2) return failed(CloseCode::ProtocolError);
  const auto code = static_cast<std::uint16_t>(big_endian(payload.data(), 2));
  if (!may_be_sent(code)) return failed(CloseCode::ProtocolError);
  if (!is_valid_utf8(payload.substr(2))) return failed(CloseCode::InvalidPayload);
  return {Received::Kind::Close, static_cast<CloseCode>(code), consumed, payload.substr(2)};
}

Received message(Opcode opcode, std::string_view payload, bool ascii, std::size_t consumed) noexcept {
  if (opcode == Opcode::Binary) return {Received::Kind::Binary, CloseCode::Normal, consumed, payload};
  if (!ascii && !is_valid_utf8(payload)) return failed(CloseCode::InvalidPayload);
  return {Received::Kind::Text, CloseCode::Normal, consumed, payload};
}

Received fragment(const Header& header, std::string_view payload, std::unique_ptr<Fragments>& fragments,
                  std::size_t consumed) {
  if (fragments == nullptr) {
    fragments = std::make_unique<Fragments>();
    fragments->opcode = static_cast<Opcode>(header.opcode);
  }
  std::string& bytes = fragments->bytes;
  if (const std::size_t size = bytes.size() + payload.size(); size > bytes.capacity())
    base::reserve_resident(bytes, std::max(size, 2 * bytes.capacity()));
  bytes.append(payload);
  if (!header.fin) return {Received::Kind::Skipped, CloseCode::Normal, consumed, {}};
  fragments->delivered = true;
  return message(fragments->opcode, fragments->bytes, false, consumed);
}

}  // namespace

static_assert(std::endian::native == std::endian::little,
              "unmask() takes the mask's bytes from the low end of a word");

bool unmask(std::span<char> bytes, std::uint32_t mask) noexcept {
  const std::uint64_t mask8 = static_cast<std::uint64_t>(mask) << 32 | mask;
  std::uint64_t seen = 0;
  char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    word ^= mask8;
    seen |= word;
    std::memcpy(at, &word, sizeof word);
  }
  // Eight is a multiple of the mask's length: the rest begins with the mask's first byte again.
  for (std::size_t i = 0; i < left; ++i) {
    at[i] = static_cast<char>(at[i] ^ static_cast<char>(mask8 >> (8 * i)));
    seen |= static_cast<std::uint8_t>(at[i]);
  }
  return (seen & 0x8080808080808080ull) == 0;
}

Received receive(std::span<char> bytes, std::unique_ptr<Fragments>& fragments,
                 std::size_t max_message_bytes) {
  // A whole message that was assembled has been delivered by the call before.
  if (fragments != nullptr && fragments->delivered) fragments.reset();
  const Header header = read_header(bytes);
  if (header.size == 0) return {};
  if (breaks_protocol(header, fragments != nullptr)) return failed(CloseCode::ProtocolError);
  if (!header.complete) return {};
  const std::size_t before = fragments == nullptr ? 0 : fragments->bytes.size();
  // `before` alone may be more: it came from a worker with another limit.
  if (!is_control(header.opcode) &&
      (before > max_message_bytes || header.payload > max_message_bytes - before))
    return failed(CloseCode::MessageTooBig);
  const auto payload_bytes = static_cast<std::size_t>(header.payload);
  if (bytes.size() - header.size < payload_bytes)
    return {Received::Kind::Incomplete, CloseCode::Normal, 0, {}, header.size + payload_bytes};
  const std::span<char> body = bytes.subspan(header.size, payload_bytes);
  const bool ascii = unmask(body, header.mask);
  const std::string_view payload(body.data(), body.size());
  const std::size_t consumed = header.size + payload_bytes;
  if (is_control(header.opcode)) return control(static_cast<Opcode>(header.opcode), payload, consumed);
  if (header.fin && fragments == nullptr)
    return message(static_cast<Opcode>(header.opcode), payload, ascii, consumed);
  return fragment(header, payload, fragments, consumed);
}

loop::Buffer make_close_frame(CloseCode code, std::string_view reason) {
  FrameBuilder builder(2 + reason.size());
  if (code != CloseCode::NoStatus) {
    const auto value = static_cast<std::uint16_t>(code);
    builder.append(static_cast<char>(value >> 8));
    builder.append(static_cast<char>(value & 0xffu));
    builder.append(reason.substr(0, kMaxControlBytes - 2));
  }
  return std::move(builder).finish(Opcode::Close);
}

}  // namespace limpet::websocket
