// Listening sockets of an application that runs alone. Under a supervisor they are inherited instead.
#pragma once

#include <string>
#include <string_view>

#include "base/descriptor.h"

namespace limpet::client {

/// `address`: as base/address.h reads it; port 0 picks a free one.
/// Bound, listening, non-blocking. Throws std::system_error or std::invalid_argument, naming the address.
[[nodiscard]] base::Descriptor listen_on(std::string_view address);
/// The address a listening socket has, in the same form.
[[nodiscard]] std::string address_of(const base::Descriptor& listener);

}  // namespace limpet::client
