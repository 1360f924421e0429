// The door between bytes and structs for every message between processes. Cap'n Proto stays behind it:
// codec.cpp alone includes the generated headers. Decoding range-checks everything and never throws.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ipc/messages/channel.h"
#include "ipc/messages/messages.h"
#include "ipc/messages/supervisor_state.h"

namespace limpet::ipc {

[[nodiscard]] std::vector<std::byte> encode(const WorkerMessage& message);
[[nodiscard]] std::vector<std::byte> encode(const SupervisorMessage& message);
[[nodiscard]] std::vector<std::byte> encode(const Handover& message);
[[nodiscard]] std::vector<std::byte> encode(const CtlRequest& message);
[[nodiscard]] std::vector<std::byte> encode(const CtlReply& message);
[[nodiscard]] std::vector<std::byte> encode(const SupervisorState& state);

// nullopt, with the reason in `*why` ("unknown message 17", "Hello: wants 4 descriptors, got 3"). Descriptors
// are counted here and stay in the datagram, in the order that messages.h names.
[[nodiscard]] std::optional<WorkerMessage> decode_worker_message(const Datagram& datagram, std::string* why);
[[nodiscard]] std::optional<SupervisorMessage> decode_supervisor_message(const Datagram& datagram,
                                                                         std::string* why);
[[nodiscard]] std::optional<Handover> decode_handover(const Datagram& datagram, std::string* why);
[[nodiscard]] std::optional<CtlRequest> decode_ctl_request(const Datagram& datagram, std::string* why);
[[nodiscard]] std::optional<CtlReply> decode_ctl_reply(const Datagram& datagram, std::string* why);
[[nodiscard]] std::optional<SupervisorState> decode_supervisor_state(const Datagram& file, std::string* why);

}  // namespace limpet::ipc
