#include "worker/socketio/packet.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace limpet::socketio {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Takes decimal digits off the front. False: none, or a value above `limit`.
bool take_number(std::string_view& text, std::uint64_t limit, std::uint64_t& value) noexcept {
  std::size_t digits = 0;
  value = 0;
  for (; digits < text.size() && is_digit(text[digits]); ++digits) {
    value = value * 10 + static_cast<std::uint64_t>(text[digits] - '0');
    if (value > limit) return false;
  }
  text.remove_prefix(digits);
  return digits > 0;
}

bool has_attachments(PacketType type) noexcept {
  return type == PacketType::BinaryEvent || type == PacketType::BinaryAck;
}

bool event_payload_fits(Packet& packet) {
  if (!scan_array(packet.json, packet.elements) || packet.elements.size() == 0) return false;
  JsonElement& name = packet.elements.front();
  if (name.kind == JsonKind::Number) {
    name.kind = JsonKind::Name;
    return true;
  }
  if (name.kind != JsonKind::String) return false;
  std::string storage;
  return !is_reserved_event(packet.event_name(storage));
}

bool payload_fits(Packet& packet) {
  JsonKind kind{};
  switch (packet.type) {
    case PacketType::Connect:
      return packet.json.empty() || (scan_value(packet.json, &kind) && kind == JsonKind::Object);
    case PacketType::Disconnect:
      return packet.json.empty();
    case PacketType::Event:
    case PacketType::BinaryEvent:
      return event_payload_fits(packet);
    case PacketType::Ack:
    case PacketType::BinaryAck:
      return packet.id.has_value() && scan_array(packet.json, packet.elements);
    case PacketType::ConnectError:
      return scan_value(packet.json, &kind) && (kind == JsonKind::Object || kind == JsonKind::String);
  }
  return false;
}

/// Each attachment is named once at most: a client's encoder makes a new one for each place, and so does ours
/// on the way out, which would make ten of one that came in.
bool placeholders_fit(const Packet& packet) {
  if (!has_attachments(packet.type)) return true;
  std::vector<Placeholder> found;
  if (!find_placeholders(packet.json, packet.attachments, found)) return false;
  std::array<bool, kMaxAttachments> named{};
  return std::none_of(found.begin(), found.end(), [&named](const Placeholder& place) {
    return std::exchange(named[place.number], true);
  });
}

}  // namespace

bool is_reserved_event(std::string_view name) noexcept {
  static constexpr std::array<std::string_view, 6> kReserved = {
      "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"};
  // All of them are between 7 and 14 bytes long; most names need no comparison at all.
  if (name.size() < 7 || name.size() > 14) return false;
  return std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end();
}

std::string_view Packet::event_name(std::string& storage) const {
  const JsonElement& name = elements.view().front();
  if (name.kind != JsonKind::String) return json.substr(name.begin, name.end - name.begin);
  const std::string_view inside = json.substr(name.begin + 1, name.end - name.begin - 2);
  if (!name.escaped) return inside;
  storage = unescape(inside);
  return storage;
}

bool decode_packet(std::string_view text, Packet& packet) {
  if (text.empty() || text.front() < '0' || text.front() > '6') return false;
  packet.text = text;
  packet.type = static_cast<PacketType>(text.front() - '0');
  text.remove_prefix(1);

  std::uint64_t number = 0;
  if (has_attachments(packet.type)) {
    if (!take_number(text, kMaxAttachments, number) || text.empty() || text.front() != '-') return false;
    packet.attachments = static_cast<std::uint32_t>(number);
    text.remove_prefix(1);
  }
  if (!text.empty() && text.front() == '/') {
    const std::size_t comma = std::min(text.find(','), text.size());
    packet.nsp = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  if (!text.empty() && is_digit(text.front())) {
    if (!take_number(text, kMaxAckId, number)) return false;
    packet.id = number;
  }
  packet.json = text;
  return payload_fits(packet) && placeholders_fit(packet);
}

}  // namespace limpet::socketio
