// What one worker gives another on the inbox of its slot, as a plain struct, and the one door between it and
// its bytes (law 9). schema/limpet.capnp is the wire format and the manual.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ipc/messages/channel.h"

namespace limpet::ipc {

/// A datagram of a socket with the default buffer takes it, beside addresses.
inline constexpr std::size_t kHandoverLimitBytes = 48u << 10;

/// What the receiver of a handover gets.
enum class HandoverKind : std::uint8_t {
  Connection,  ///< the client's own socket: the receiver owns it from now on
  Request,     ///< one end of a stream socketpair that carries one request: answer, then close
};
/// One connection or request for a session that the receiving slot owns, or is to have. Descriptor: the
/// socket. `bytes`: read and not acted on, from the first byte of the request's head.
struct Handover {
  HandoverKind kind = HandoverKind::Connection;
  std::string client_address{};  ///< as Socket.IO's handshake.address shows it
  std::uint16_t client_port = 0;
  std::uint16_t listener = 0;  ///< index of the listening address that accepted it
  std::string bytes{};         ///< ≤ kHandoverLimitBytes
  bool placed = false;         ///< opens a new session, which stays with the receiver
  bool by_proxy = false;       ///< the PROXY protocol has named the client
};

/// CHECKs kHandoverLimitBytes.
[[nodiscard]] std::vector<std::byte> encode(const Handover& message);
/// nullopt, with the reason in `*why`. Never throws, and range-checks everything. The descriptor is counted
/// here and stays in the datagram.
[[nodiscard]] std::optional<Handover> decode_handover(const Datagram& datagram, std::string* why);

}  // namespace limpet::ipc
