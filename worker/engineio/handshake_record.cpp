#include "worker/engineio/handshake_record.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace limpet::engineio {

HandshakeRecord::HandshakeRecord(std::string_view head, std::string_view address) {
  head = head.substr(0, head.find_last_not_of("\r\n") + 1);
  address = address.substr(0, std::numeric_limits<std::uint16_t>::max());
  bytes_.reset(new char[kSizesBytes + head.size() + address.size()]);
  const Sizes sizes{static_cast<std::uint32_t>(head.size()), static_cast<std::uint16_t>(address.size())};
  std::memcpy(bytes_.get(), &sizes, kSizesBytes);
  char* place = std::copy(head.begin(), head.end(), bytes_.get() + kSizesBytes);
  std::copy(address.begin(), address.end(), place);
}

HandshakeRecord::Sizes HandshakeRecord::sizes() const noexcept {
  Sizes sizes{};
  std::memcpy(&sizes, bytes_.get(), kSizesBytes);
  return sizes;
}

std::string_view HandshakeRecord::head() const noexcept { return {bytes_.get() + kSizesBytes, sizes().head}; }

std::string_view HandshakeRecord::address() const noexcept {
  return {bytes_.get() + kSizesBytes + sizes().head, sizes().address};
}

}  // namespace limpet::engineio
