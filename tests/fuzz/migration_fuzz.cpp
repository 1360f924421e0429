// Whatever comes on a migration stream: it is refused with a reason, or it is a message that can be written
// again and comes back the same. The first byte is the number of descriptors that came with the frame.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "worker/migration/codec.h"

namespace {

using namespace limpet;

void require(bool condition) {
  if (!condition) std::abort();
}

ipc::Datagram datagram_of(const std::uint8_t* data, std::size_t size) {
  ipc::Datagram datagram;
  datagram.descriptors.resize(size > 0 ? data[0] % 6 : 0);
  const std::size_t skip = std::min<std::size_t>(size, 1);
  datagram.bytes.resize(size - skip);
  if (size > skip) std::memcpy(datagram.bytes.data(), data + skip, size - skip);
  return datagram;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ipc::Datagram datagram = datagram_of(data, size);
  std::string why;
  const auto message = migration::decode_migration_message(datagram, &why);
  require(message.has_value() == why.empty());
  if (!message) return 0;
  // Our own writing of it has one form, so the bytes say whether anything was changed.
  ipc::Datagram again{.bytes = migration::encode(*message), .descriptors = {}};
  again.descriptors.resize(datagram.descriptors.size());
  const auto back = migration::decode_migration_message(again, &why);
  require(back.has_value());
  require(migration::encode(*back) == again.bytes);
  return 0;
}
