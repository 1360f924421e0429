// Who connects, and to where: all of it on 127.0.0.0/8.
#pragma once

#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/descriptor.h"

namespace limpet::bench {

/// One who connects.
struct Caller {
  sockaddr_in source{};
  std::string preamble;  ///< what it says before all else: nothing, or a PROXY protocol header
};

/// 127.1.0.1 … 127.1.0.250, 127.1.1.1 …
[[nodiscard]] sockaddr_in source_address(std::uint32_t index);
/// Callers from that many source addresses, without preamble.
[[nodiscard]] std::vector<Caller> plain_callers(std::uint32_t addresses);

/// A non-blocking connection that has begun, to 127.0.0.1. Throws std::system_error.
[[nodiscard]] base::Descriptor started_connection(const sockaddr_in& source, std::uint16_t port);
/// Raises the limit of open files as far as `connections` need and may. Throws if that is not enough.
void raise_open_files(std::size_t connections);

}  // namespace limpet::bench
