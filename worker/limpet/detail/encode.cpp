#include "worker/limpet/detail/encode.h"

#include <cmath>
#include <stdexcept>

#include "worker/socketio/json_scan.h"
#include "worker/socketio/utf8_repair.h"

namespace limpet::detail {
namespace {

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
    const char* const stop = socketio::skip_plain_string(p, end);
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
  if (attachments.empty()) return 0;
  std::vector<socketio::Placeholder> found;
  (void)socketio::find_placeholders(text, static_cast<std::uint32_t>(attachments.size()), found);
  return found.size();
}

}  // namespace

Encoder::Encoder(socketio::PacketType type, std::string_view nsp, std::optional<std::uint64_t> id,
                 std::size_t attachments, std::size_t size_hint)
    : builder_(size_hint + nsp.size()) {
  if (attachments > socketio::kMaxAttachments)
    throw std::length_error("emit: more binary arguments than clients accept (10)");
  if (attachments > 0) {
    type = type == socketio::PacketType::Event ? socketio::PacketType::BinaryEvent
                                               : socketio::PacketType::BinaryAck;
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
  if (socketio::is_reserved_event(name))
    throw std::invalid_argument("emit: \"" + std::string(name) +
                                "\" is a name that the protocol keeps for itself");
  string(name);
}

void Encoder::string(std::string_view text) {
  separate();
  if (socketio::needs_repair(text))
    append_string(builder_, socketio::repaired_utf8(text));
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
  builder_.append(socketio::with_valid_utf8(boost::json::serialize(value)));
}

void Encoder::args(const Args& arguments) {
  for (std::size_t index = 0; index < arguments.size(); ++index) {
    separate();
    relay(arguments.all().text(index), arguments.all().attachments());
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
  std::vector<socketio::Placeholder> found;
  if (!attachments.empty())
    (void)socketio::find_placeholders(text, static_cast<std::uint32_t>(attachments.size()), found);
  std::size_t copied = 0;
  for (const socketio::Placeholder& place : found) {
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
  const socketio::Arguments& all = arguments.all();
  if (all.attachments().empty()) return 0;
  std::size_t total = 0;
  for (std::size_t index = 0; index < all.size(); ++index) total += count(all.text(index), all.attachments());
  return total;
}

}  // namespace limpet::detail
