#include "worker/limpet/encode.h"

#include <cmath>
#include <stdexcept>

#include "worker/socketio/json_scan.h"
#include "worker/websocket/utf8.h"

namespace limpet::socketio {
namespace {

bool is_ascii(std::string_view text) noexcept {
  std::uint64_t seen = 0;
  std::size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, 8);
    seen |= word;
  }
  for (; at < text.size(); ++at) seen |= static_cast<unsigned char>(text[at]);
  return (seen & 0x8080808080808080u) == 0;
}

/// Bytes of the UTF-8 sequence that `lead` begins; 0: it begins none.
std::size_t sequence_size(char lead) noexcept {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xc2 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf5 ? 4 : 0;
}

/// Each byte that belongs to no valid sequence becomes U+FFFD.
std::string repaired_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  while (!text.empty()) {
    const std::size_t size = sequence_size(text.front());
    if (size != 0 && size <= text.size() && websocket::is_valid_utf8(text.substr(0, size))) {
      out.append(text.substr(0, size));
      text.remove_prefix(size);
    } else {
      out.append("\xef\xbf\xbd");
      text.remove_prefix(1);
    }
  }
  return out;
}

bool needs_repair(std::string_view text) noexcept {
  return !is_ascii(text) && !websocket::is_valid_utf8(text);
}

void append_escape(websocket::FrameBuilder& out, char c) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      return out.append("\\\"");
    case '\\':
      return out.append("\\\\");
    case '\n':
      return out.append("\\n");
    case '\r':
      return out.append("\\r");
    case '\t':
      return out.append("\\t");
    default: {
      const auto byte = static_cast<unsigned char>(c);
      const char escape[] = {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
      out.append({escape, sizeof escape});
    }
  }
}

void append_string(websocket::FrameBuilder& out, std::string_view text) {
  out.append('"');
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p != end) {
    const char* const stop = skip_plain_string(p, end);
    out.append({p, static_cast<std::size_t>(stop - p)});
    p = stop;
    if (p != end) append_escape(out, *p++);
  }
  out.append('"');
}

void append_integer(websocket::FrameBuilder& out, std::uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append({digits, static_cast<std::size_t>(end - digits)});
}

std::size_t count(std::string_view text, std::span<const loop::Buffer> attachments) {
  std::vector<Placeholder> found;
  (void)find_placeholders(text, static_cast<std::uint32_t>(attachments.size()), found);
  return found.size();
}

}  // namespace

std::string with_valid_utf8(std::string text) {
  if (needs_repair(text)) return repaired_utf8(text);
  return text;
}

Encoder::Encoder(PacketType type, std::string_view nsp, std::optional<std::uint64_t> id,
                 std::size_t attachments, std::size_t size_hint)
    : builder_(size_hint + nsp.size()) {
  if (attachments > kMaxAttachments)
    throw std::length_error("emit: more binary arguments than clients accept (10)");
  if (attachments > 0) {
    type = type == PacketType::Event ? PacketType::BinaryEvent : PacketType::BinaryAck;
    attachments_.reserve(attachments + 1);
    attachments_.emplace_back();
  }
  builder_.append('4');
  builder_.append(static_cast<char>('0' + static_cast<int>(type)));
  if (attachments > 0) {
    append_integer(builder_, attachments);
    builder_.append('-');
  }
  if (nsp != "/") {
    builder_.append(nsp);
    builder_.append(',');
  }
  if (id) append_integer(builder_, *id);
  builder_.append('[');
}

void Encoder::event(std::string_view name) {
  if (is_reserved_event(name))
    throw std::invalid_argument("emit: \"" + std::string(name) +
                                "\" is a name that the protocol keeps for itself");
  string(name);
}

void Encoder::string(std::string_view text) {
  separate();
  if (needs_repair(text))
    append_string(builder_, repaired_utf8(text));
  else
    append_string(builder_, text);
}

void Encoder::boolean(bool value) {
  separate();
  builder_.append(value ? std::string_view("true") : std::string_view("false"));
}

void Encoder::null() {
  separate();
  builder_.append("null");
}

void Encoder::number(double value) {
  if (!std::isfinite(value)) return null();
  separate();
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  builder_.append({digits, static_cast<std::size_t>(end - digits)});
}

void Encoder::json(const Json& value) {
  separate();
  relay(value.text(), value.attachments());
}

void Encoder::json(const boost::json::value& value) {
  separate();
  builder_.append(with_valid_utf8(boost::json::serialize(value)));
}

void Encoder::args(const Args& arguments) {
  for (std::size_t index = 0; index < arguments.size(); ++index) {
    separate();
    relay(arguments.text(index), arguments.attachments());
  }
}

void Encoder::binary(const Binary& value) {
  separate();
  placeholder(value.frame() ? value.frame() : websocket::make_frame(websocket::Opcode::Binary, {}));
}

void Encoder::placeholder(const loop::Buffer& frame) {
  builder_.append("{\"_placeholder\":true,\"num\":");
  append_integer(builder_, attachments_.size() - 1);
  builder_.append('}');
  attachments_.push_back(frame);
}

/// Text of another packet, its attachments numbered anew.
void Encoder::relay(std::string_view text, std::span<const loop::Buffer> attachments) {
  std::vector<Placeholder> found;
  if (!attachments.empty())
    (void)find_placeholders(text, static_cast<std::uint32_t>(attachments.size()), found);
  std::size_t copied = 0;
  for (const Placeholder& place : found) {
    builder_.append(text.substr(copied, place.begin - copied));
    placeholder(attachments[place.number]);
    copied = place.end;
  }
  builder_.append(text.substr(copied));
}

std::span<const loop::Buffer> Encoder::finish() {
  builder_.append(']');
  loop::Buffer frame = std::move(builder_).finish(websocket::Opcode::Text);
  if (attachments_.empty()) {
    frame_ = std::move(frame);
    return {&frame_, 1};
  }
  attachments_.front() = std::move(frame);
  return attachments_;
}

std::size_t count_placeholders(const Json& value) { return count(value.text(), value.attachments()); }

std::size_t count_placeholders(const Args& arguments) {
  std::size_t total = 0;
  for (std::size_t index = 0; index < arguments.size(); ++index)
    total += count(arguments.text(index), arguments.attachments());
  return total;
}

}  // namespace limpet::socketio
