#include "worker/process/settings.h"
#include "base/limits.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <stdexcept>

namespace limpet::process {
namespace {

namespace json = boost::json;

[[noreturn]] void refuse(std::string_view key, std::string_view wanted) {
  throw std::runtime_error("settings: " + std::string(key) + ": wants " + std::string(wanted));
}

/// One object of the settings; its getters name the key when a value is of the wrong kind.
class Section {
 public:
  Section(const json::object& parent, std::string_view name) : name_(name) {
    const json::value* found = parent.if_contains(name);
    if (found == nullptr) return;
    object_ = found->if_object();
    if (object_ == nullptr) refuse(name_, "an object");
  }
  explicit Section(const json::object& top) : object_(&top) {}
  struct Itself {};
  Section(const json::object& itself, std::string_view name, Itself) : name_(name), object_(&itself) {}

  void read(std::string_view key, std::chrono::milliseconds& into) const {
    const auto number = number_of(key);
    if (!number) return;
    if (*number > static_cast<std::uint64_t>(base::kLongestDuration.count())) fail(key, "at most a year");
    into = std::chrono::milliseconds(*number);
  }
  void read(std::string_view key, std::size_t& into) const {
    if (const auto number = number_of(key)) into = *number;
  }
  void read(std::string_view key, std::string& into) const {
    const json::value* value = find(key);
    if (value == nullptr) return;
    if (!value->is_string()) fail(key, "a string");
    into = value->as_string();
  }
  [[nodiscard]] std::vector<std::string> strings(std::string_view key,
                                                 std::vector<std::string> fallback) const {
    const json::value* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_array()) fail(key, "an array of strings");
    std::vector<std::string> out;
    for (const json::value& item : value->get_array()) {
      if (!item.is_string()) fail(key, "an array of strings");
      out.emplace_back(item.get_string());
    }
    return out;
  }

  void read(std::string_view key, bool& into) const {
    const json::value* value = find(key);
    if (value == nullptr) return;
    if (!value->is_bool()) fail(key, "true or false");
    into = value->get_bool();
  }
  [[noreturn]] void fail(std::string_view key, std::string_view wanted) const {
    refuse(name_.empty() ? std::string(key) : std::string(name_) + "." + std::string(key), wanted);
  }

 private:
  [[nodiscard]] const json::value* find(std::string_view key) const {
    return object_ == nullptr ? nullptr : object_->if_contains(key);
  }
  [[nodiscard]] std::optional<std::uint64_t> number_of(std::string_view key) const {
    const json::value* value = find(key);
    if (value == nullptr) return std::nullopt;
    json::error_code error;
    const auto number = value->to_number<std::uint64_t>(error);
    if (error) fail(key, "a number that is not negative");
    return number;
  }

  std::string_view name_;
  const json::object* object_ = nullptr;
};

client::ListenerSettings parse_listener(const json::value& value, const client::Limits& limits) {
  if (!value.is_object()) refuse("listeners", "an array of objects");
  const Section section(value.get_object(), "listeners", Section::Itself{});
  client::ListenerSettings listener = client::unknown_listener(limits);
  section.read("header_timeout_ms", listener.header_timeout);
  section.read("body_timeout_ms", listener.body_timeout);
  section.read("idle_timeout_ms", listener.idle_timeout);
  section.read("proxy_protocol", listener.proxy_protocol);
  for (const std::string& text : section.strings("trusted", {})) {
    std::string why;
    const auto network = base::parse_network(text, &why);
    if (!network) section.fail("trusted", "networks: " + why);
    listener.trusted.push_back(*network);
  }
  std::string header = "x-forwarded-for";
  section.read("address_header", header);
  if (header != "x-forwarded-for" && header != "forwarded")
    section.fail("address_header", "x-forwarded-for or forwarded");
  listener.address_header =
      header == "forwarded" ? client::AddressHeader::Forwarded : client::AddressHeader::XForwardedFor;
  return listener;
}

}  // namespace

Settings parse_settings(std::string_view text) {
  json::error_code error;
  const json::value parsed = json::parse(text, error);
  if (error) throw std::runtime_error("settings: no JSON: " + error.message());
  if (!parsed.is_object()) throw std::runtime_error("settings: no JSON object");
  const json::object& top = parsed.get_object();
  Settings settings;

  const Section root(top);
  settings.listen = root.strings("listen", {});
  root.read("heartbeat_interval_ms", settings.heartbeat_interval);

  const Section socketio(top, "socketio");
  socketio.read("path", settings.socketio.path);
  socketio.read("ping_interval_ms", settings.socketio.ping_interval);
  socketio.read("ping_timeout_ms", settings.socketio.ping_timeout);
  socketio.read("upgrade_timeout_ms", settings.socketio.upgrade_timeout);
  socketio.read("connect_timeout_ms", settings.socketio.connect_timeout);
  socketio.read("max_payload_bytes", settings.socketio.max_payload_bytes);
  const auto transports = socketio.strings("transports", {"polling", "websocket"});
  settings.socketio.polling = std::count(transports.begin(), transports.end(), "polling") > 0;
  settings.socketio.websocket = std::count(transports.begin(), transports.end(), "websocket") > 0;

  const Section limits(top, "limits");
  limits.read("header_bytes", settings.limits.header_bytes);
  limits.read("header_timeout_ms", settings.limits.header_timeout);
  limits.read("body_timeout_ms", settings.limits.body_timeout);
  limits.read("idle_timeout_ms", settings.limits.idle_timeout);
  limits.read("send_queue_bytes", settings.limits.send_queue_bytes);
  limits.read("send_stall_ms", settings.limits.send_stall);
  limits.read("min_rate_bytes", settings.limits.min_rate);
  limits.read("memory_bytes", settings.limits.memory_bytes);
  limits.read("connections", settings.limits.connections);
  limits.read("sessions", settings.limits.sessions);
  limits.read("connections_per_address", settings.limits.connections_per_address);
  limits.read("handshakes_per_second", settings.limits.handshakes_per_second);

  if (const json::value* listeners = top.if_contains("listeners"); listeners != nullptr) {
    if (!listeners->is_array()) refuse("listeners", "an array of objects");
    for (const json::value& each : listeners->get_array())
      settings.listeners.push_back(parse_listener(each, settings.limits));
  }
  std::string placement = "address";
  root.read("placement", placement);
  if (placement != "address" && placement != "least-connections")
    refuse("placement", "address or least-connections");
  if (placement == "least-connections") settings.placement = slot::PlacementRule::LeastConnections;

  root.read("placement_seed", settings.placement_seed);

  const Section ring(top, "ring");
  ring.read("capacity_bytes", settings.ring.capacity_bytes);
  ring.read("lap_after_ms", settings.ring.lap_after);
  ring.read("deferred_bytes", settings.ring.deferred_bytes);

  if (const json::value* app = top.if_contains("app"); app != nullptr) {
    if (!app->is_object()) refuse("app", "an object");
    settings.app = app->get_object();
  }
  return settings;
}

std::string read_settings(const base::Descriptor& memory) {
  struct stat facts {};
  base::require(::fstat(memory.get(), &facts), "read the inherited settings");
  std::string text(static_cast<std::size_t>(facts.st_size), '\0');
  const ssize_t got = ::pread(memory.get(), text.data(), text.size(), 0);
  base::require(static_cast<int>(got), "read the inherited settings");
  text.resize(static_cast<std::size_t>(got));
  return text;
}

}  // namespace limpet::process
