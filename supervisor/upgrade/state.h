// Everything that a supervisor knows, as one plain struct: what the image before an upgrade leaves to the one
// after it, in the same process; and the one door between it and its bytes (law 9). schema/limpet.capnp is
// the format (SupervisorState); the structs have its names, in a namespace of their own, for the life cycle
// has a WorkerState too. Descriptors are numbers here: they stay open across the exec, and belong to whoever
// reads this there (supervisor/upgrade/descriptors.h).
//
// What is not in it must be derived from it or not exist: timers (from the moments), what is watched, the
// table of buckets (a new page: the old one can never again be mapped writable).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ipc/birth/incarnation.h"
#include "ipc/messages/channel.h"
#include "ipc/messages/control.h"
#include "ipc/messages/version.h"
#include "supervisor/system/file_mark.h"

namespace limpet::supervisor::upgrade {

/// Grows when a reader of the older number would lose or mistake something.
inline constexpr std::uint32_t kStateVersion = 1;

/// Milliseconds of CLOCK_MONOTONIC; 0: never.
using Moment = std::chrono::milliseconds;
[[nodiscard]] inline Moment moment_of(std::chrono::steady_clock::time_point time) {
  return std::chrono::duration_cast<Moment>(time.time_since_epoch());
}
[[nodiscard]] inline std::chrono::steady_clock::time_point time_of(Moment moment) {
  return std::chrono::steady_clock::time_point(moment);
}

/// By names, so that builds may number them differently.
struct NamedNumber {
  std::string name{};
  std::uint64_t number = 0;
};
struct NamedValues {
  std::string name{};
  std::vector<std::string> values{};
};

struct ProgramState {
  std::vector<NamedValues> options{};  ///< as in limpet.toml: "reload.drain_window": "5000ms"
  std::vector<std::string> application{};
  std::string executable{};
  std::vector<std::string> arguments{};
  int image = -1;  ///< -1: a script
  int settings = -1;
  int directory = -1;  ///< working directory of its workers; -1: that of the supervisor
  FileMark mark{};     ///< of the executable when it was opened
};
struct ListenerState {
  std::string address{};
  std::vector<int> sockets{};  ///< TCP: by slot; Unix: the socket of all, and its lock
};
struct SlotState {
  int inbox_receiving = -1;
  int inbox_sending = -1;
  std::uint32_t deaths_in_a_row = 0;
  Moment next_start{0};  ///< of a slot in back-off
  Moment vacant_since{0};
  std::uint64_t deaths = 0;
  std::string last_obituary{};
  std::uint64_t starts = 0;
  std::vector<NamedNumber> ends{};     ///< by cause
  std::vector<NamedNumber> retired{};  ///< counters of the dead
};
struct WorkerState {
  ipc::Incarnation who{};
  std::uint32_t pid = 0;
  std::string state{};        ///< of the life-cycle table
  std::uint16_t program = 0;  ///< index into `programs`
  int pidfd = -1;
  int control = -1;
  /// Since its hello; else -1.
  int ring = -1;
  int reader_page = -1;
  int counters = -1;
  int doorbell = -1;
  int giver_end = -1;
  Moment born{0};
  Moment ready_since{0};
  Moment drained_by{0};
  bool is_moving = false;
  bool has_progress = false;
  ipc::DrainProgress progress{};
  std::string cause{};  ///< "": not known yet
  std::string cause_text{};
  std::string ended_while{};
  std::string last_words{};
  std::uint32_t level = 0;  ///< of its hello
};

struct SupervisorState {
  std::uint32_t version = kStateVersion;
  std::uint32_t protocol_version = ipc::kProtocolVersion;  ///< of the workers' control channels
  std::string build{};
  std::string binary{};  ///< path of `limpet`, as it was named
  std::string runtime_dir{};
  Moment started{0};
  bool announced = false;     ///< every slot has served
  bool reload_again = false;  ///< a HUP waits for the end of the upgrade
  std::uint64_t last_generation = 0;
  std::vector<std::uint16_t> free_lanes{};
  std::vector<std::uint16_t> bucket_owners{};
  int lock = -1;
  int control_socket = -1;
  std::vector<int> clients{};            ///< of the control socket; they wait for the verdict
  std::vector<ProgramState> programs{};  ///< the cluster's first
  std::vector<ListenerState> listeners{};
  std::vector<SlotState> slots{};
  std::vector<WorkerState> workers{};  ///< in each slot the oldest first
  std::uint16_t open_slots = 0;        ///< those below have a worker and buckets; the others only sockets
  std::uint16_t used_slots = 0;        ///< those below have ever been open
  std::uint64_t descriptor_limit = 0;  ///< the soft one of the first image's start; 0: it has raised none
  std::uint64_t placement_seed = 0;    ///< base/placement_hash.h
  std::string start_directory{};       ///< as it was named; "": an image that did not follow names
  FileMark image{};                    ///< of the image that this state comes from
};

[[nodiscard]] std::vector<std::byte> encode(const SupervisorState& state);
/// nullopt, with the reason in `*why`. Never throws, and range-checks everything.
[[nodiscard]] std::optional<SupervisorState> decode_supervisor_state(const ipc::Datagram& file,
                                                                     std::string* why);

}  // namespace limpet::supervisor::upgrade
