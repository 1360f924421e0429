// What travels in an event: JSON values, bytes, and all arguments of one event together. Json and Args are
// views into the packet: good while the handler runs; keep a boost::json::value, a std::string or a Binary
// instead.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "worker/loop/buffer.h"
#include "worker/socketio/arguments.h"
#include "worker/socketio/error.h"

namespace limpet {

/// Why a middleware refuses a client, or why no reply came ("operation has timed out", "socket has been
/// disconnected").
using socketio::Error;

/// The bytes of one binary argument (a Buffer, ArrayBuffer or Blob of the client). Copies share the bytes.
class Binary {
 public:
  Binary() = default;
  /// Copies `bytes`.
  explicit Binary(std::string_view bytes);
  [[nodiscard]] std::string_view bytes() const noexcept { return frame_.payload(); }
  [[nodiscard]] std::size_t size() const noexcept { return bytes().size(); }

  /// The attachment as Session::send takes it; for the library.
  [[nodiscard]] const loop::Buffer& frame() const noexcept { return frame_; }
  static Binary from_frame(loop::Buffer frame) noexcept {
    Binary binary;
    binary.frame_ = std::move(frame);
    return binary;
  }

 private:
  loop::Buffer frame_;
};

/// A JSON value as text that is known to be valid: passed on verbatim by emit and Ack, parsed only when
/// asked.
class Json {
 public:
  /// null
  Json() = default;
  /// A view of `text`, if it is one valid JSON value in UTF-8.
  static std::optional<Json> checked(std::string_view text);
  [[nodiscard]] std::string_view text() const noexcept { return text_; }
  /// Parses it. Throws std::invalid_argument for what boost::json has no number for.
  /// In memory of `storage`, which outlives it.
  [[nodiscard]] boost::json::value value(const boost::json::storage_ptr& storage = {}) const;

  /// For the library: text that has been validated, and the attachments its placeholders name.
  Json(std::string_view valid_text, std::span<const loop::Buffer> attachments) noexcept
      : text_(valid_text), attachments_(attachments) {}
  [[nodiscard]] std::span<const loop::Buffer> attachments() const noexcept { return attachments_; }

 private:
  std::string_view text_ = "null";
  std::span<const loop::Buffer> attachments_;
};

/// The arguments of an event, or of a reply, from the handler parameter's place on.
class Args {
 public:
  Args() = default;
  [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
  [[nodiscard]] bool empty() const noexcept { return all_.empty(); }
  /// null where there is no such argument.
  [[nodiscard]] Json operator[](std::size_t index) const noexcept;
  /// The argument as a T, with the rules of handler parameters; nothing if it is of another type.
  template <typename T>
  [[nodiscard]] std::optional<T> get(std::size_t index) const;
  [[nodiscard]] boost::json::array values() const;

  /// For the library.
  explicit Args(const socketio::Arguments& all) noexcept : all_(all) {}
  [[nodiscard]] const socketio::Arguments& all() const noexcept { return all_; }

 private:
  socketio::Arguments all_;
};

namespace detail {

/// One argument as a value. False: it is missing, or of another type. `storage` holds text that had to be
/// unescaped.
bool read_argument(const socketio::Arguments& args, std::size_t index, std::string_view& out,
                   std::string& storage);
bool read_argument(const socketio::Arguments& args, std::size_t index, std::string& out);
bool read_argument(const socketio::Arguments& args, std::size_t index, bool& out) noexcept;
bool read_argument(const socketio::Arguments& args, std::size_t index, double& out) noexcept;
bool read_argument(const socketio::Arguments& args, std::size_t index, std::int64_t& out) noexcept;
bool read_argument(const socketio::Arguments& args, std::size_t index, std::uint64_t& out) noexcept;
bool read_argument(const socketio::Arguments& args, std::size_t index, boost::json::value& out);
bool read_argument(const socketio::Arguments& args, std::size_t index, boost::json::object& out);
bool read_argument(const socketio::Arguments& args, std::size_t index, boost::json::array& out);
bool read_argument(const socketio::Arguments& args, std::size_t index, Json& out) noexcept;
bool read_argument(const socketio::Arguments& args, std::size_t index, Binary& out);
[[nodiscard]] bool is_null_or_missing(const socketio::Arguments& args, std::size_t index) noexcept;

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

/// The types read_argument knows; any other goes through boost::json::value_to.
template <typename T>
inline constexpr bool kIsBasic =
    std::is_same_v<T, std::string> || std::is_same_v<T, bool> || std::is_same_v<T, double> ||
    std::is_same_v<T, std::int64_t> || std::is_same_v<T, std::uint64_t> ||
    std::is_same_v<T, boost::json::value> || std::is_same_v<T, boost::json::object> ||
    std::is_same_v<T, boost::json::array> || std::is_same_v<T, Json> || std::is_same_v<T, Binary>;

template <typename T>
bool read_as(const socketio::Arguments& args, std::size_t index, T& out, std::string& storage) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return read_argument(args, index, out, storage);
  } else if constexpr (kIsOptional<T>) {
    if (is_null_or_missing(args, index)) return true;
    return read_as(args, index, out.emplace(), storage);
  } else if constexpr (kIsBasic<T>) {
    return read_argument(args, index, out);
  } else if constexpr (std::is_integral_v<T>) {
    std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t> wide = 0;
    if (!read_argument(args, index, wide) || wide < std::numeric_limits<T>::min() ||
        wide > std::numeric_limits<T>::max())
      return false;
    out = static_cast<T>(wide);
    return true;
  } else if constexpr (std::is_floating_point_v<T>) {
    double wide = 0;
    if (!read_argument(args, index, wide)) return false;
    out = static_cast<T>(wide);
    return true;
  } else {
    boost::json::value value;
    if (!read_argument(args, index, value)) return false;
    auto converted = boost::json::try_value_to<T>(value);
    if (!converted) return false;
    out = std::move(*converted);
    return true;
  }
}

}  // namespace detail

template <typename T>
std::optional<T> Args::get(std::size_t index) const {
  static_assert(!std::is_same_v<T, std::string_view>, "a view could outlive its text: ask for a std::string");
  std::string storage;
  T value{};
  if (!detail::read_as(all_, index, value, storage)) return std::nullopt;
  return value;
}

}  // namespace limpet
