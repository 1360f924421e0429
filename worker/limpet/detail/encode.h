// From arguments to a Socket.IO packet: encoded once, as the frames that every socket it goes to will share.
// Only for the library's own templates; an application calls emit and Ack.
#pragma once

#include <boost/json.hpp>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "worker/limpet/args.h"
#include "worker/limpet/auth.h"
#include "worker/socketio/packet_type.h"
#include "worker/websocket/frame.h"

namespace limpet::detail {

/// Writes one EVENT or ACK packet, with the arguments' binaries as attachments. Text that is not UTF-8
/// becomes U+FFFD where it is not, for a client would close its connection over it.
class Encoder {
 public:
  /// `attachments`: how many the arguments will add; it decides the type and stands in front. `size_hint`:
  /// bytes.
  Encoder(socketio::PacketType type, std::string_view nsp, std::optional<std::uint64_t> id,
          std::size_t attachments, std::size_t size_hint);

  /// An EVENT's first element. Throws std::invalid_argument for a reserved name.
  void event(std::string_view name);
  void string(std::string_view text);
  void boolean(bool value);
  void null();
  void number(double value);
  template <typename T>
  void integer(T value) {
    separate();
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    builder_.append({digits, static_cast<std::size_t>(end - digits)});
  }
  void json(const Json& value);
  void json(const boost::json::value& value);
  void args(const Args& arguments);
  void binary(const Binary& value);

  /// Closes the packet: its frames, text first. Valid while the encoder lives.
  [[nodiscard]] std::span<const loop::Buffer> finish();

 private:
  void separate() {
    if (separated_) builder_.append(',');
    separated_ = true;
  }
  void placeholder(const loop::Buffer& frame);
  void relay(std::string_view text, std::span<const loop::Buffer> attachments);

  websocket::FrameBuilder builder_;
  loop::Buffer frame_;
  std::vector<loop::Buffer> attachments_;  // [0] is kept free for the text frame
  bool separated_ = false;
};

/// Placeholders in `value`'s text.
[[nodiscard]] std::size_t count_placeholders(const Json& value);
[[nodiscard]] std::size_t count_placeholders(const Args& arguments);

template <typename T>
std::size_t attachments_in(const T& argument) {
  if constexpr (std::is_same_v<T, Binary>)
    return 1;
  else if constexpr (std::is_same_v<T, Json> || std::is_same_v<T, Args>)
    return count_placeholders(argument);
  else if constexpr (kIsOptional<T>)
    return argument ? attachments_in(*argument) : 0;
  else
    return 0;
}

template <typename T>
std::size_t size_hint_of(const T& argument) {
  if constexpr (std::is_same_v<T, Json>)
    return argument.text().size() + 1;
  else if constexpr (std::is_same_v<T, std::nullptr_t>)
    return 5;
  else if constexpr (std::is_convertible_v<const T&, std::string_view>)
    return std::string_view(argument).size() + 3;
  else
    return 24;
}

template <typename T>
void encode_argument(Encoder& out, const T& argument) {
  if constexpr (std::is_same_v<T, bool>)
    out.boolean(argument);
  else if constexpr (std::is_same_v<T, std::nullptr_t> || std::is_same_v<T, std::nullopt_t>)
    out.null();
  else if constexpr (std::is_same_v<T, Json> || std::is_same_v<T, boost::json::value>)
    out.json(argument);
  else if constexpr (std::is_same_v<T, Auth>)
    out.json(argument.value());
  else if constexpr (std::is_same_v<T, Args>)
    out.args(argument);
  else if constexpr (std::is_same_v<T, Binary>)
    out.binary(argument);
  else if constexpr (kIsOptional<T>)
    argument ? encode_argument(out, *argument) : out.null();
  else if constexpr (std::is_same_v<T, char>)
    out.string(std::string_view(&argument, 1));
  else if constexpr (std::is_integral_v<T>)
    out.integer(argument);
  else if constexpr (std::is_floating_point_v<T>)
    out.number(static_cast<double>(argument));
  else if constexpr (std::is_convertible_v<const T&, std::string_view>)
    out.string(argument);
  else
    out.json(boost::json::value_from(argument));
}

}  // namespace limpet::detail
