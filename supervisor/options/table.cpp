#include "supervisor/options/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/address.h"
#include "base/limits.h"
#include "base/network.h"
#include "base/overloaded.h"

namespace limpet::supervisor {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kSecond = 1000;
constexpr std::uint64_t kHour = 3600 * kSecond;
constexpr std::array<std::string_view, 5> kLogLevels = {"debug", "info", "warning", "error", "critical"};
constexpr std::array<std::string_view, 2> kAddressHeaders = {"x-forwarded-for", "forwarded"};
constexpr std::array<std::string_view, 2> kPlacements = {"address", "least-connections"};
constexpr std::uint64_t kMostMode = 0777;

using O = Options;

// flag, section, key, member, unit, default, help, least, most, needs a restart, power of two, per listener
constexpr OptionRow kOptions[] = {
    {"--listen", "", "listen", &O::listen, Unit::Addresses, "tcp://*:3000",
     "address to serve, tcp://ADDRESS:PORT or unix:///PATH; may be repeated; * is [::] (IPv4 too), or "
     "0.0.0.0 "
     "without IPv6",
     0, 0, true},
    {"--workers", "", "workers", &O::workers, Unit::Workers, "auto",
     "number of slots; auto: the CPUs that affinity and cgroup quota grant", 1, base::kMostSlots, true},
    {"--max-workers", "", "max_workers", &O::max_workers, Unit::Workers, "auto",
     "number of slots that `ctl scale` can open; auto: twice the workers, at least 8", 1, base::kMostSlots,
     true},
    {"--pin", "", "pin", &O::pin, Unit::Switch, "false", "keep each slot's worker on one CPU", 0, 0, true},
    {"--runtime-dir", "", "runtime_dir", &O::runtime_dir, Unit::Text, "",
     "where the control socket and the lock are (default: /run/limpet for root, else $XDG_RUNTIME_DIR/limpet "
     "or "
     "/tmp/limpet-UID)",
     0, 0, true},
    {"--backlog", "", "backlog", &O::backlog, Unit::Plain, "4096",
     "connections that may wait at each listening socket (the system's somaxconn is a limit too)", 1,
     1U << 20, true, false, true},
    {"--unix-mode", "", "unix_mode", &O::unix_mode, Unit::Mode, "0660",
     "who may connect to a Unix socket: its file's mode", 0, 0, true, false, true},
    {"--proxy-protocol", "", "proxy_protocol", &O::proxy_protocol, Unit::Switch, "false",
     "every connection begins with a PROXY protocol header, v1 or v2, that names the client; others are "
     "refused",
     0, 0, false, false, true},
    {"--trusted", "", "trusted", &O::trusted, Unit::Networks, "",
     "networks whose peers are proxies that name the client in a header: 10.0.0.0/8, ::1, unix; may be "
     "repeated",
     0, 0, false, false, true},
    {"--address-header", "", "address_header", &O::address_header, Unit::AddressHeader, "x-forwarded-for",
     "the header in which trusted peers name the client: x-forwarded-for or forwarded (RFC 7239)", 0, 0,
     false, false, true},
    {"--placement", "", "placement", &O::placement, Unit::Placement, "address",
     "which worker gets a new session: address (the client's decides) or least-connections", 0, 0, false},
    {"--log-level", "", "log_level", &O::log_level, Unit::LogLevel, "info",
     "debug, info, warning, error or critical", 0, 0, false},
    {"--heartbeat-interval", "supervision", "heartbeat_interval", &O::heartbeat_interval, Unit::Duration,
     "2.5s", "a worker that does not beat for this long is routed around, for twice as long: killed", 50,
     kHour, false},
    {"--boot-deadline", "supervision", "boot_deadline", &O::boot_deadline, Unit::Duration, "30s",
     "a worker that is not ready by then is killed", 50, kHour, false},
    {"--no-move", "reload", "move", &O::move, Unit::Switch, "true",
     "at a reload, sessions move to the new worker; false (the flag): each is closed, and comes back", 0, 0,
     false},
    {"--probation", "reload", "probation", &O::probation, Unit::Duration, "3s",
     "how long the first successor of a reload must live, ready, before it gets its seat", 0, kHour, false},
    {"--drain-window", "reload", "drain_window", &O::drain_window, Unit::Duration, "5s",
     "a worker that leaves closes the sessions that cannot move evenly over this time", 0, kHour, false},
    {"--drain-deadline", "reload", "drain_deadline", &O::drain_deadline, Unit::Duration, "30s",
     "a worker that has not left by then is killed", 50, kHour, false},

    {"--path", "socketio", "path", &O::socketio_path, Unit::Text, "/socket.io",
     "path of the Socket.IO endpoint", 0, 0, false},
    {"--ping-interval", "socketio", "ping_interval", &O::ping_interval, Unit::Duration, "25s",
     "between two pings of a client", 100, kHour, false},
    {"--ping-timeout", "socketio", "ping_timeout", &O::ping_timeout, Unit::Duration, "20s",
     "a client that does not answer a ping for this long is gone", 100, kHour, false},
    {"--upgrade-timeout", "socketio", "upgrade_timeout", &O::upgrade_timeout, Unit::Duration, "10s",
     "an upgrade to WebSocket must be complete by then", 100, kHour, false},
    {"--connect-timeout", "socketio", "connect_timeout", &O::connect_timeout, Unit::Duration, "45s",
     "a client must join a namespace by then", 100, kHour, false},
    {"--max-payload", "socketio", "max_payload", &O::max_payload, Unit::Bytes, "1000000",
     "largest message of a client", 1024, 16 * kMiB, false},
    {"--transports", "socketio", "transports", &O::transports, Unit::Transports, "polling,websocket",
     "polling, websocket or both", 0, 0, false},

    {"--max-header", "limits", "header", &O::header, Unit::Bytes, "16KiB", "largest head of an HTTP request",
     1024, kMiB, false},
    {"--header-timeout", "limits", "header_timeout", &O::header_timeout, Unit::Duration, "10s",
     "the head of a request must be complete by then", 100, kHour, false, false, true},
    {"--body-timeout", "limits", "body_timeout", &O::body_timeout, Unit::Duration, "30s",
     "a body is due after this, and one second more for each min_rate bytes that came; so is the taking of "
     "an answer",
     100, kHour, false, false, true},
    {"--idle-timeout", "limits", "idle_timeout", &O::idle_timeout, Unit::Duration, "60s",
     "a connection without a request is closed after this", 100, kHour, false, false, true},
    {"--send-queue", "limits", "send_queue", &O::send_queue, Unit::Bytes, "16MiB",
     "a client with more than that unsent is dropped when it takes nothing for send_stall, at once with four "
     "times as much; a single emit or answer may have any size",
     64 * kKiB, 1024 * kMiB, false},
    {"--send-stall", "limits", "send_stall", &O::send_stall, Unit::Duration, "5s",
     "how long a client with a full send_queue may take nothing", 100, kHour, false},
    {"--min-rate", "limits", "min_rate", &O::min_rate, Unit::Bytes, "500",
     "bytes a second: a body has body_timeout and one second more for each of these that came, an answer the "
     "same as it is taken",
     1, 1024 * kMiB, false},
    {"--memory", "limits", "memory", &O::memory, Unit::Memory, "auto",
     "what clients may make each worker hold; the largest are closed first, then new ones are refused; auto: "
     "a "
     "quarter of the machine's (or cgroup's), divided by the workers",
     kMiB, std::uint64_t{1} << 46, false},
    {"--max-connections", "limits", "connections", &O::connections, Unit::Plain, "100000",
     "connections of each worker; further ones are answered 503", 1, 16'000'000, false},
    {"--max-sessions", "limits", "sessions", &O::sessions, Unit::Plain, "200000",
     "sessions of each worker; further handshakes are answered 503", 1, 16'000'000, false},
    {"--connections-per-address", "limits", "connections_per_address", &O::connections_per_address,
     Unit::Plain, "0", "connections of one client address (IPv6: of one /64) to each worker; 0: no limit", 0,
     16'000'000, false},
    {"--handshakes-per-second", "limits", "handshakes_per_second", &O::handshakes_per_second, Unit::Plain,
     "0", "new sessions of one client address (IPv6: of one /64) at each worker; 0: no limit", 0, 1'000'000,
     false},

    {"--ring-capacity", "ring", "capacity", &O::ring_capacity, Unit::Bytes, "16MiB",
     "broadcast ring of each worker; a power of two", 64 * kKiB, 1024 * kMiB, false, true},
    {"--ring-lap-after", "ring", "lap_after", &O::lap_after, Unit::Duration, "100ms",
     "a worker that holds a full ring back for this long is lapped, and told so", 1, kHour, false},
    {"--ring-deferred", "ring", "deferred", &O::deferred, Unit::Bytes, "64MiB",
     "emits that wait for room in a full ring, in each worker", 64 * kKiB, 4096 * kMiB, false},
};

std::optional<std::pair<double, std::string_view>> number_and_unit(std::string_view text) {
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || !(number >= 0 && number <= 1e15)) return std::nullopt;
  return std::pair(number, text.substr(static_cast<std::size_t>(end - text.data())));
}

/// Larger than any limit, and still a number of 64 bits.
constexpr double kFarTooMuch = 9e18;

/// 0 stands for it.
bool can_be_auto(Unit unit) { return unit == Unit::Workers || unit == Unit::Memory; }
bool is_size(Unit unit) { return unit == Unit::Bytes || unit == Unit::Memory; }

std::string in_unit(std::uint64_t value, Unit unit) {
  if (unit == Unit::Duration) {
    return value % kSecond == 0 ? fmt::format("\"{}s\"", value / kSecond) : fmt::format("\"{}ms\"", value);
  }
  if (is_size(unit)) {
    if (value % kMiB == 0) return fmt::format("\"{}MiB\"", value / kMiB);
    if (value % kKiB == 0) return fmt::format("\"{}KiB\"", value / kKiB);
  }
  return std::to_string(value);
}

std::string range_of(const OptionRow& row) {
  return fmt::format("from {} to {}", in_unit(row.least, row.unit), in_unit(row.most, row.unit));
}

std::string check_range(const OptionRow& row, std::uint64_t value) {
  if (value < row.least || value > row.most)
    return fmt::format("is out of range; {} is right", range_of(row));
  if (row.power_of_two && !std::has_single_bit(value))
    return fmt::format("{} is no power of two; {} is", value, row.default_text);
  return "";
}

std::string assign_duration(const OptionRow& row, const std::string& text, std::chrono::milliseconds* into) {
  const auto value = parse_duration(text);
  if (!value)
    return fmt::format("'{}' is no duration; a number with its unit is one: \"500ms\", \"25s\", \"2m\"",
                       text);
  *into = *value;
  return check_range(row, static_cast<std::uint64_t>(value->count()));
}

/// With its zero in front: 660, or what TOML makes of 0o660, would be another mode in silence.
std::string assign_mode(const std::string& text, std::uint64_t* into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *into, 8);
  const bool read = error == std::errc() && end == text.data() + text.size();
  if (read && text.front() == '0' && *into <= kMostMode) return "";
  return fmt::format("'{}' is no mode; \"0660\" is one, up to \"0777\"", text);
}

std::string assign_number(const OptionRow& row, const std::string& text, std::uint64_t* into) {
  if (row.unit == Unit::Mode) return assign_mode(text, into);
  if (can_be_auto(row.unit) && text == "auto") {
    *into = 0;
    return "";
  }
  const auto value = is_size(row.unit) ? parse_bytes(text) : [&]() -> std::optional<std::uint64_t> {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
  }();
  const std::string_view also = can_be_auto(row.unit) ? ", or \"auto\"" : "";
  if (!value) {
    const std::string_view what =
        is_size(row.unit) ? "size (KiB, MiB and GiB are the units)" : "whole number";
    return fmt::format("'{}' is no {}; {}{} is right", text, what, range_of(row), also);
  }
  *into = *value;
  return check_range(row, *value);
}

std::string assign_switch(const std::string& text, bool* into) {
  *into = text == "true";
  return text == "true" || text == "false" ? "" : fmt::format("'{}' is neither true nor false", text);
}

std::string one_of(std::span<const std::string_view> known, std::string_view what, const std::string& text) {
  if (std::find(known.begin(), known.end(), text) != known.end()) return "";
  return fmt::format("'{}' is no {}; {} are", text, what, fmt::join(known, ", "));
}

std::string assign_text(const OptionRow& row, const std::string& text, std::string* into) {
  *into = text;
  if (row.unit == Unit::LogLevel) return one_of(kLogLevels, "log level", text);
  if (row.unit == Unit::AddressHeader) return one_of(kAddressHeaders, "header that names clients", text);
  if (row.unit == Unit::Placement) return one_of(kPlacements, "placement", text);
  if (row.key == "path" && (!text.starts_with('/') || text.size() < 2)) {
    return fmt::format("'{}' is no path; / and a name is one, as /socket.io", text);
  }
  return "";
}

std::vector<std::string> split_at_commas(const std::vector<std::string>& values) {
  std::vector<std::string> result;
  for (const std::string& value : values) {
    for (std::size_t from = 0; from <= value.size();) {
      const std::size_t comma = std::min(value.find(',', from), value.size());
      result.push_back(value.substr(from, comma - from));
      from = comma + 1;
    }
  }
  return result;
}

std::string check_element(const OptionRow& row, const std::string& text) {
  std::string why;
  if (row.unit == Unit::Addresses) return base::parse_address(text, &why) ? "" : why;
  if (row.unit == Unit::Networks) return base::parse_network(text, &why) ? "" : why;
  if (row.unit == Unit::Transports && text != "polling" && text != "websocket") {
    return fmt::format("'{}' is no transport; polling and websocket are", text);
  }
  return "";
}

std::string assign_list(const OptionRow& row, const std::vector<std::string>& values,
                        std::vector<std::string>* into) {
  *into = split_at_commas(values);
  if (row.unit == Unit::Networks) {
    std::erase(*into, "");
  } else if (into->empty())
    return "is empty; one value at least is needed";
  for (const std::string& each : *into) {
    if (std::string why = check_element(row, each); !why.empty()) return why;
  }
  return "";
}

}  // namespace

std::span<const OptionRow> option_table() { return kOptions; }

std::string name_in_file(const OptionRow& row) {
  return row.section.empty() ? std::string(row.key) : fmt::format("{}.{}", row.section, row.key);
}

std::string assign(const OptionRow& row, const std::vector<std::string>& values, Options* options) {
  for (const std::string& value : values)
    if (value.find('\0') != std::string::npos) return "has a zero byte in it; no value may";
  if (const auto* list = std::get_if<std::vector<std::string> Options::*>(&row.member)) {
    if (row.unit == Unit::Addresses) options->listen_tables.clear();
    return assign_list(row, values, &(options->**list));
  }
  if (values.size() != 1) return fmt::format("has {} values; one is right", values.size());
  const std::string& text = values.front();
  return std::visit(
      base::Overloaded{
          [&](bool Options::*member) { return assign_switch(text, &(options->*member)); },
          [&](std::uint64_t Options::*member) { return assign_number(row, text, &(options->*member)); },
          [&](std::chrono::milliseconds Options::*member) {
            return assign_duration(row, text, &(options->*member));
          },
          [&](std::string Options::*member) { return assign_text(row, text, &(options->*member)); },
          [&](std::vector<std::string> Options::*) { return std::string("is a list"); }},
      row.member);
}

std::vector<std::string> values_of(const OptionRow& row, const Options& options) {
  using Values = std::vector<std::string>;
  return std::visit(
      base::Overloaded{[&](bool O::*member) { return Values{options.*member ? "true" : "false"}; },
                       [&](std::uint64_t O::*member) {
                         const bool automatic = can_be_auto(row.unit) && options.*member == 0;
                         if (row.unit == Unit::Mode) return Values{fmt::format("{:04o}", options.*member)};
                         return Values{automatic ? "auto" : std::to_string(options.*member)};
                       },
                       [&](std::chrono::milliseconds O::*member) {
                         return Values{fmt::format("{}ms", (options.*member).count())};
                       },
                       [&](std::string O::*member) { return Values{options.*member}; },
                       [&](std::vector<std::string> O::*member) { return options.*member; }},
      row.member);
}

namespace {

/// Of what a socket is opened with; the rest of a [[listen]] table is the workers'.
bool same_sockets(const Options& before, const Options& after) {
  const std::vector<Options> one = options_of_listeners(before);
  const std::vector<Options> other = options_of_listeners(after);
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const Options& a, const Options& b) {
                      return a.backlog == b.backlog && a.unix_mode == b.unix_mode;
                    });
}

}  // namespace

std::vector<std::string> changes_that_need_a_restart(const Options& before, const Options& after,
                                                     std::uint16_t slots) {
  std::vector<std::string> result;
  for (const OptionRow& row : kOptions) {
    if (row.key == "workers" && after.workers == slots) continue;
    const bool same = std::visit([&](auto member) { return before.*member == after.*member; }, row.member);
    if (row.needs_restart && !same) result.push_back(name_in_file(row));
  }
  if (result.empty() && !same_sockets(before, after)) result.emplace_back("listen");
  return result;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto parsed = number_and_unit(text);
  if (!parsed) return std::nullopt;
  for (const auto& [unit, factor] :
       {std::pair<std::string_view, double>{"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}}) {
    if (parsed->second == unit) {
      return std::chrono::milliseconds(
          static_cast<std::int64_t>(std::llround(std::min(parsed->first * factor, kFarTooMuch))));
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  const auto parsed = number_and_unit(text);
  if (!parsed) return std::nullopt;
  for (const auto& [unit, factor] : {std::pair<std::string_view, std::uint64_t>{"", 1},
                                     {"KiB", kKiB},
                                     {"MiB", kMiB},
                                     {"GiB", 1024 * kMiB}}) {
    const double bytes = parsed->first * static_cast<double>(factor);
    if (parsed->second == unit && bytes == std::floor(bytes))
      return static_cast<std::uint64_t>(std::min(bytes, kFarTooMuch));
  }
  return std::nullopt;
}

}  // namespace limpet::supervisor
