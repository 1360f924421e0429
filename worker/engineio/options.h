// What an engineio::Server is told when it is made: settings, and what the process layer supplies.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "worker/http/request.h"
#include "worker/loop/accounts.h"

namespace limpet::engineio {

struct Options {
  /// With both slashes. A request belongs to Engine.IO if its target begins with this (as Node's does).
  std::string path = "/socket.io/";
  std::chrono::milliseconds ping_interval{25'000};
  std::chrono::milliseconds ping_timeout{20'000};
  std::chrono::milliseconds upgrade_timeout{10'000};
  std::size_t max_payload_bytes = 1'000'000;
  bool polling = true;
  bool websocket = true;
  bool allow_upgrades = true;
  /// What may wait for a client's next poll, a single emit apart; see send_stall.
  std::size_t max_queued_bytes = 16 * 1024 * 1024;
  /// A session with more than that is ended when no poll has taken anything for so long; at once with four
  /// times as much.
  std::chrono::milliseconds send_stall{5000};
  bool operator==(const Options&) const = default;
};

/// What the process layer supplies.
struct Hooks {
  /// Fills in a new sid: 20 characters of [A-Za-z0-9_-], unguessable, never one that is in use. Required.
  std::function<void(std::span<char, base::kIdBytes>)> new_sid;
  /// Wall-clock time in ms since 1970. Default: the system's.
  std::function<std::int64_t()> wall_clock_ms;
  /// Refuses a handshake with 403 and code 4: the message ("" means "Forbidden"), or nothing if allowed.
  /// Optional.
  std::function<std::optional<std::string>(const http::RequestHead&)> refuse;
  /// Chooses the WebSocket subprotocol of those that a client offers, one at least; "": none. Optional:
  /// without it the first one.
  std::function<std::string(std::span<const std::string_view> offered)> choose_protocol = {};
  /// Where the memory of sessions is counted. Null: nowhere that anybody looks.
  loop::MemoryTotal* memory = nullptr;
};

}  // namespace limpet::engineio
