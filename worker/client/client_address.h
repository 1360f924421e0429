// Whose request is it, if trusted proxies name the client in a header? Pure. The list in X-Forwarded-For
// grows to the right, one proxy after the other; so does Forwarded's (RFC 7239 section 4). What trusted
// proxies have written stands at its right end, and what stands left of the rightmost address that is not
// trusted, anybody may have invented.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/network.h"
#include "worker/client/peer_address.h"

namespace limpet::client {

enum class AddressHeader : std::uint8_t { XForwardedFor, Forwarded };

[[nodiscard]] bool is_trusted(const PeerAddress& peer, const std::vector<base::Network>& trusted) noexcept;

/// The rightmost address of the header that is not trusted; the leftmost if all are. Stops at what is no
/// address ("unknown", "_hidden", nonsense): the one right of it is the last that is known. Nothing if `peer`
/// is not trusted or the header names nobody. `raw_head`: as RequestHead::raw.
[[nodiscard]] std::optional<PeerAddress> forwarded_client(const PeerAddress& peer,
                                                          const std::vector<base::Network>& trusted,
                                                          AddressHeader header, std::string_view raw_head);

}  // namespace limpet::client
