// Arguments as values: the one door behind which JSON text becomes what a handler asked for.
#include "worker/limpet/args.h"

#include <charconv>
#include <cmath>

#include "worker/socketio/json_scan.h"
#include "worker/socketio/json_value.h"
#include "worker/websocket/frame.h"
#include "worker/websocket/utf8.h"

namespace limpet {
namespace {

using socketio::JsonKind;

bool is(const socketio::Arguments& args, std::size_t index, JsonKind kind) noexcept {
  return index < args.size() && args.element(index).kind == kind;
}

template <typename T>
bool read_exactly(std::string_view text, T& out) noexcept {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out);
  return problem == std::errc() && end == text.data() + text.size();
}

/// `above` is the first power of two beyond T.
template <typename T>
bool read_integer(const socketio::Arguments& args, std::size_t index, T& out, double lowest,
                  double above) noexcept {
  if (!is(args, index, JsonKind::Number)) return false;
  if (read_exactly(args.text(index), out)) return true;
  double wide = 0;  // "1e3", "2.0"
  if (!read_exactly(args.text(index), wide) || std::trunc(wide) != wide || wide < lowest || wide >= above)
    return false;
  out = static_cast<T>(wide);
  return true;
}

}  // namespace

Binary::Binary(std::string_view bytes) : frame_(websocket::make_frame(websocket::Opcode::Binary, bytes)) {}

std::optional<Json> Json::checked(std::string_view text) {
  if (!socketio::scan_value(text) || !websocket::is_valid_utf8(text)) return std::nullopt;
  return Json(text, {});
}

boost::json::value Json::value(const boost::json::storage_ptr& storage) const {
  return socketio::json_value(text_, storage);
}

Json Args::operator[](std::size_t index) const noexcept {
  if (index >= size()) return {};
  return {all_.text(index), all_.attachments()};
}

boost::json::array Args::values() const {
  boost::json::array values;
  values.reserve(size());
  for (std::size_t index = 0; index < size(); ++index) values.push_back((*this)[index].value());
  return values;
}

namespace detail {

bool is_null_or_missing(const socketio::Arguments& args, std::size_t index) noexcept {
  return index >= args.size() || args.element(index).kind == JsonKind::Null;
}

bool read_argument(const socketio::Arguments& args, std::size_t index, std::string_view& out,
                   std::string& storage) {
  if (index >= args.size()) return false;
  const socketio::JsonElement& element = args.element(index);
  out = args.text(index);
  if (element.kind == JsonKind::Name) return true;
  if (element.kind != JsonKind::String) return false;
  out = out.substr(1, out.size() - 2);
  if (element.escaped) {
    storage = socketio::unescape(out);
    out = storage;
  }
  return true;
}

bool read_argument(const socketio::Arguments& args, std::size_t index, std::string& out) {
  std::string_view view;
  std::string storage;
  if (!read_argument(args, index, view, storage)) return false;
  if (view.data() == storage.data())
    out = std::move(storage);
  else
    out.assign(view);
  return true;
}

bool read_argument(const socketio::Arguments& args, std::size_t index, bool& out) noexcept {
  if (!is(args, index, JsonKind::Bool)) return false;
  out = args.text(index).front() == 't';
  return true;
}

bool read_argument(const socketio::Arguments& args, std::size_t index, double& out) noexcept {
  return is(args, index, JsonKind::Number) && read_exactly(args.text(index), out);
}

bool read_argument(const socketio::Arguments& args, std::size_t index, std::int64_t& out) noexcept {
  return read_integer(args, index, out, -0x1p63, 0x1p63);
}

bool read_argument(const socketio::Arguments& args, std::size_t index, std::uint64_t& out) noexcept {
  return read_integer(args, index, out, 0.0, 0x1p64);
}

bool read_argument(const socketio::Arguments& args, std::size_t index, boost::json::value& out) {
  if (index >= args.size()) return true;  // null: what JavaScript calls undefined
  std::optional<boost::json::value> parsed = socketio::parse_json(args.text(index));
  if (!parsed) return false;
  out = std::move(*parsed);
  return true;
}

bool read_argument(const socketio::Arguments& args, std::size_t index, boost::json::object& out) {
  boost::json::value value;
  if (!is(args, index, JsonKind::Object) || !read_argument(args, index, value)) return false;
  out = std::move(value.as_object());
  return true;
}

bool read_argument(const socketio::Arguments& args, std::size_t index, boost::json::array& out) {
  boost::json::value value;
  if (!is(args, index, JsonKind::Array) || !read_argument(args, index, value)) return false;
  out = std::move(value.as_array());
  return true;
}

bool read_argument(const socketio::Arguments& args, std::size_t index, Json& out) noexcept {
  out = index < args.size() ? Json(args.text(index), args.attachments()) : Json();
  return true;
}

bool read_argument(const socketio::Arguments& args, std::size_t index, Binary& out) {
  if (args.attachments().empty() || !is(args, index, JsonKind::Object)) return false;
  const std::string_view text = args.text(index);
  std::vector<socketio::Placeholder> found;
  const auto limit = static_cast<std::uint32_t>(args.attachments().size());
  if (!socketio::find_placeholders(text, limit, found) || found.size() != 1) return false;
  if (found[0].begin != 0 || found[0].end != text.size()) return false;
  out = Binary::from_frame(args.attachments()[found[0].number]);
  return true;
}

}  // namespace detail
}  // namespace limpet
