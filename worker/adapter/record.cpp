#include "worker/adapter/record.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>

#include "worker/websocket/frame.h"

namespace limpet::adapter {
namespace {

constexpr std::uint8_t kBroadcast = 1;
constexpr std::uint8_t kFollows = 2;
constexpr std::uint8_t kVolatile = 1;
constexpr std::size_t kMaxCount = std::numeric_limits<std::uint16_t>::max();
// What the application is refused earlier, in words.
static_assert(socketio::kLongestRoomName <= kMaxCount && socketio::kMostRooms <= kMaxCount);

template <class Number>
void append_number(std::string& to, std::size_t value) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) to.push_back(static_cast<char>(value >> (8 * i)));
}

void append_name(std::string& to, std::string_view name) {
  append_number<std::uint16_t>(to, name.size());
  to.append(name);
}

/// Takes numbers and names off the front of a record; once something is missing, every further read fails.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes)
      : rest_(reinterpret_cast<const char*>(bytes.data()), bytes.size()) {}

  template <class Number>
  Number number() {
    const std::string_view bytes = take(sizeof(Number));
    Number value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      value =
          static_cast<Number>(value | static_cast<Number>(static_cast<std::uint8_t>(bytes[i])) << (8 * i));
    }
    return value;
  }
  std::string_view name() { return take(number<std::uint16_t>()); }
  std::string_view take(std::size_t size) {
    if (size > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool at_end() const { return !failed_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace

std::span<const std::span<const std::byte>> RecordWriter::write(const socketio::Broadcast& broadcast) {
  parts_.clear();
  head_.clear();
  if (broadcast.rooms.size() > kMaxCount || broadcast.except.size() > kMaxCount ||
      broadcast.frames.size() > kMaxCount || broadcast.nsp.size() > kMaxCount) {
    return {};
  }
  head_.push_back(static_cast<char>(kBroadcast));
  head_.push_back(static_cast<char>(broadcast.is_volatile ? kVolatile : 0));
  append_number<std::uint16_t>(head_, broadcast.rooms.size());
  append_number<std::uint16_t>(head_, broadcast.except.size());
  append_number<std::uint16_t>(head_, broadcast.frames.size());
  append_name(head_, broadcast.nsp);
  for (const auto names : {broadcast.rooms, broadcast.except}) {
    for (const std::string_view name : names) {
      if (name.size() > kMaxCount) return {};
      append_name(head_, name);
    }
  }
  for (const loop::Buffer& frame : broadcast.frames) {
    head_.push_back(static_cast<char>(websocket::opcode_of(frame)));
    append_number<std::uint32_t>(head_, frame.payload().size());
  }
  parts_.push_back(std::as_bytes(std::span(head_)));
  for (const loop::Buffer& frame : broadcast.frames)
    parts_.push_back(std::as_bytes(std::span(frame.payload())));
  return parts_;
}

std::span<const std::span<const std::byte>> RecordWriter::write(const RingPosition& position) {
  parts_.clear();
  head_.clear();
  head_.push_back(static_cast<char>(kFollows));
  append_number<std::uint16_t>(head_, position.writer.slot);
  append_number<std::uint16_t>(head_, position.writer.lane);
  append_number<std::uint64_t>(head_, position.writer.generation);
  append_number<std::uint64_t>(head_, position.sequence);
  parts_.push_back(std::as_bytes(std::span(head_)));
  return parts_;
}

std::optional<RingPosition> RecordReader::read_position(std::span<const std::byte> bytes) {
  Cursor cursor(bytes);
  if (cursor.number<std::uint8_t>() != kFollows) return std::nullopt;
  RingPosition position;
  position.writer.slot = cursor.number<std::uint16_t>();
  position.writer.lane = cursor.number<std::uint16_t>();
  position.writer.generation = cursor.number<std::uint64_t>();
  position.sequence = cursor.number<std::uint64_t>();
  if (!cursor.at_end()) return std::nullopt;
  return position;
}

const socketio::Broadcast* RecordReader::read(std::span<const std::byte> bytes) {
  Cursor cursor(bytes);
  if (cursor.number<std::uint8_t>() != kBroadcast) return nullptr;
  const auto flags = cursor.number<std::uint8_t>();
  const std::size_t rooms = cursor.number<std::uint16_t>();
  const std::size_t except = cursor.number<std::uint16_t>();
  const std::size_t frames = cursor.number<std::uint16_t>();
  broadcast_.nsp = cursor.name();
  names_.clear();
  for (std::size_t i = 0; i < rooms + except && !cursor.failed(); ++i) names_.push_back(cursor.name());

  frames_.clear();
  Cursor sizes = cursor;
  cursor.take(frames * 5);
  for (std::size_t i = 0; i < frames && !cursor.failed(); ++i) {
    const auto opcode = static_cast<websocket::Opcode>(sizes.number<std::uint8_t>());
    if (opcode != websocket::Opcode::Text && opcode != websocket::Opcode::Binary) return nullptr;
    const std::string_view payload = cursor.take(sizes.number<std::uint32_t>());
    if (!cursor.failed()) frames_.push_back(websocket::make_frame(opcode, payload));
  }
  if (!cursor.at_end() || frames_.empty()) return nullptr;
  broadcast_.is_volatile = (flags & kVolatile) != 0;
  broadcast_.rooms = std::span(names_).first(rooms);
  broadcast_.except = std::span(names_).subspan(rooms);
  broadcast_.frames = frames_;
  return &broadcast_;
}

}  // namespace limpet::adapter
