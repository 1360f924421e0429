// What `limpet ctl` asks on the control socket and what the supervisor answers, as plain structs, and the one
// door between them and their bytes (law 9). schema/limpet.capnp is the wire format and the manual. No
// descriptors.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ipc/messages/channel.h"
#include "ipc/messages/version.h"

namespace limpet::ipc {

// ---- limpet ctl to supervisor ----

/// First, both ways.
struct CtlHello {
  std::uint32_t protocol_version = kProtocolVersion;
};
struct StatusRequest {};
struct StatsRequest {};
struct ReloadRequest {};
struct UpgradeRequest {};
struct ScaleRequest {
  std::uint16_t workers = 0;
};
struct StopRequest {
  bool at_once = false;
};
using CtlRequest = std::variant<CtlHello, StatusRequest, StatsRequest, ReloadRequest, StopRequest,
                                UpgradeRequest, ScaleRequest>;

// ---- supervisor to limpet ctl ----

struct WorkerStatus {
  std::uint16_t slot = 0;
  std::uint16_t lane = 0;
  std::uint64_t generation = 0;
  std::uint32_t pid = 0;
  std::string state{};  ///< a state of the life-cycle table
  bool seated = false;
  std::chrono::milliseconds age{0};
  std::chrono::milliseconds since_beat{0};
  std::uint64_t sessions = 0;
};
struct SlotStatus {
  std::uint16_t slot = 0;
  std::string state{};  ///< "serving", "starting", "back-off", "routed around", "reloading", "closing"
  std::uint64_t deaths = 0;
  std::chrono::milliseconds next_start{0};  ///< of a slot in back-off: from now
  std::string last_obituary{};
  std::vector<WorkerStatus> workers{};
};
struct StatusReply {
  std::string version{};
  std::uint32_t pid = 0;
  std::chrono::milliseconds uptime{0};
  std::string application{};
  std::string runtime_dir{};
  std::string operation{};  ///< "", "reload since 12.3 s", "stopping since …"
  std::vector<std::string> listeners{};
  std::vector<SlotStatus> slots{};
  std::string binary{};  ///< the supervisor's own file: "/srv/app/current/limpet -> /srv/app/7/limpet"
};
struct CounterReport {
  std::string name{};
  std::string unit{};
  std::string help{};
  bool is_gauge = false;
  std::uint64_t total = 0;
  std::vector<std::uint64_t> by_slot{};
};
struct StatsReply {
  std::vector<CounterReport> counters{};
};
/// A line about an operation under way; more replies follow.
struct Progress {
  std::string line{};
};
/// The last reply of an operation. `exit_code` is that of `limpet ctl`.
struct Done {
  std::uint8_t exit_code = 0;
  std::string line{};
};
using CtlReply = std::variant<CtlHello, StatusReply, StatsReply, Progress, Done>;

[[nodiscard]] std::vector<std::byte> encode(const CtlRequest& message);
[[nodiscard]] std::vector<std::byte> encode(const CtlReply& message);

// nullopt, with the reason in `*why` ("StatusReply: listeners has 1025 items, the limit is 1024"). Never
// throw, and range-check everything.
[[nodiscard]] std::optional<CtlRequest> decode_ctl_request(const Datagram& datagram, std::string* why);
[[nodiscard]] std::optional<CtlReply> decode_ctl_reply(const Datagram& datagram, std::string* why);

}  // namespace limpet::ipc
