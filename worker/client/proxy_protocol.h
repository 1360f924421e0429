// The header that a proxy puts in front of a connection to name its client: PROXY protocol, version 1 (a
// line) and version 2 (binary); haproxy.org, proxy-protocol.txt, section 2. Pure: bytes in, a verdict out;
// nothing is kept between two calls, so a connection can travel while its header is incomplete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "worker/client/peer_address.h"

namespace limpet::client {

/// Of a whole header: addresses and TLVs. The protocol asks senders to stay within one segment (536 bytes);
/// certificates in TLVs need more.
inline constexpr std::size_t kProxyHeaderLimitBytes = 4096;

struct ProxyHeader {
  enum class Status : std::uint8_t { Complete, Incomplete, Bad };
  Status status = Status::Incomplete;
  const char* why = "";               ///< Bad: for the log
  std::size_t bytes = 0;              ///< Complete: those of the header, at the front
  std::optional<PeerAddress> client;  ///< none: the proxy speaks for itself (LOCAL, UNKNOWN, UNSPEC)
};

/// `bytes`: everything that came so far.
[[nodiscard]] ProxyHeader parse_proxy_header(std::string_view bytes);

}  // namespace limpet::client
