#include "worker/process/settings.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <stdexcept>
#include <utility>
#include <variant>

#include "base/limits.h"

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

/// One key of the settings object whose value is read as it stands there.
struct Row {
  using Member = std::variant<std::chrono::milliseconds*, std::size_t*, std::string*>;
  std::string_view section;  ///< "": the top
  std::string_view key;
  Member (*member_of)(Settings& settings);
};

// All of them but lists, words and [app]; ipc/birth/heritage.h says what they mean.
constexpr Row kRows[] = {
    {"", "heartbeat_interval_ms", [](Settings& s) -> Row::Member { return &s.heartbeat_interval; }},
    {"", "placement_seed", [](Settings& s) -> Row::Member { return &s.placement_seed; }},
    {"socketio", "path", [](Settings& s) -> Row::Member { return &s.engineio.path; }},
    {"socketio", "ping_interval_ms", [](Settings& s) -> Row::Member { return &s.engineio.ping_interval; }},
    {"socketio", "ping_timeout_ms", [](Settings& s) -> Row::Member { return &s.engineio.ping_timeout; }},
    {"socketio", "upgrade_timeout_ms",
     [](Settings& s) -> Row::Member { return &s.engineio.upgrade_timeout; }},
    {"socketio", "connect_timeout_ms", [](Settings& s) -> Row::Member { return &s.connect_timeout; }},
    {"socketio", "max_payload_bytes",
     [](Settings& s) -> Row::Member { return &s.engineio.max_payload_bytes; }},
    {"limits", "header_bytes", [](Settings& s) -> Row::Member { return &s.limits.header_bytes; }},
    {"limits", "header_timeout_ms", [](Settings& s) -> Row::Member { return &s.limits.header_timeout; }},
    {"limits", "body_timeout_ms", [](Settings& s) -> Row::Member { return &s.limits.body_timeout; }},
    {"limits", "idle_timeout_ms", [](Settings& s) -> Row::Member { return &s.limits.idle_timeout; }},
    {"limits", "send_queue_bytes", [](Settings& s) -> Row::Member { return &s.limits.send_queue_bytes; }},
    {"limits", "send_stall_ms", [](Settings& s) -> Row::Member { return &s.limits.send_stall; }},
    {"limits", "min_rate_bytes", [](Settings& s) -> Row::Member { return &s.limits.min_rate; }},
    {"limits", "memory_bytes", [](Settings& s) -> Row::Member { return &s.limits.memory_bytes; }},
    {"limits", "connections", [](Settings& s) -> Row::Member { return &s.limits.connections; }},
    {"limits", "sessions", [](Settings& s) -> Row::Member { return &s.limits.sessions; }},
    {"limits", "connections_per_address",
     [](Settings& s) -> Row::Member { return &s.limits.connections_per_address; }},
    {"limits", "handshakes_per_second",
     [](Settings& s) -> Row::Member { return &s.limits.handshakes_per_second; }},
    {"ring", "capacity_bytes", [](Settings& s) -> Row::Member { return &s.ring.capacity_bytes; }},
    {"ring", "lap_after_ms", [](Settings& s) -> Row::Member { return &s.ring.lap_after; }},
    {"ring", "deferred_bytes", [](Settings& s) -> Row::Member { return &s.ring.deferred_bytes; }},
};

std::string with_slashes(const std::string& path) {
  std::string result;
  if (!path.starts_with('/')) result += '/';
  result += path;
  if (!result.ends_with('/')) result += '/';
  return result;
}

void take_transports(const std::vector<std::string>& transports, Settings* settings) {
  settings->engineio.polling = std::count(transports.begin(), transports.end(), "polling") > 0;
  settings->engineio.websocket = std::count(transports.begin(), transports.end(), "websocket") > 0;
}

void take_placement(const json::object& top, Settings* settings) {
  std::string placement = "address";
  Section(top).read("placement", placement);
  if (placement != "address" && placement != "least-connections")
    refuse("placement", "address or least-connections");
  if (placement == "least-connections") settings->placement = slot::PlacementRule::LeastConnections;
}

void take_listeners(const json::object& top, Settings* settings) {
  const json::value* listeners = top.if_contains("listeners");
  if (listeners == nullptr) return;
  if (!listeners->is_array()) refuse("listeners", "an array of objects");
  for (const json::value& each : listeners->get_array())
    settings->listeners.push_back(parse_listener(each, settings->limits));
}

}  // namespace

Settings parse_settings(std::string_view text) {
  json::error_code error;
  const json::value parsed = json::parse(text, error);
  if (error) throw std::runtime_error("settings: no JSON: " + error.message());
  if (!parsed.is_object()) throw std::runtime_error("settings: no JSON object");
  const json::object& top = parsed.get_object();

  Settings settings;
  for (const Row& row : kRows) {
    const Section section = row.section.empty() ? Section(top) : Section(top, row.section);
    std::visit([&](auto* member) { section.read(row.key, *member); }, row.member_of(settings));
  }
  settings.engineio.path = with_slashes(settings.engineio.path);
  settings.listen = Section(top).strings("listen", {});
  take_transports(Section(top, "socketio").strings("transports", {"polling", "websocket"}), &settings);
  take_placement(top, &settings);
  take_listeners(top, &settings);
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
