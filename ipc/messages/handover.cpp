#include "ipc/messages/handover.h"

#include <fmt/format.h>

#include "base/check.h"
#include "ipc/messages/wire.h"

namespace limpet::ipc {
namespace {

HandoverKind read(const Door& door, wire::Handover::Kind from) {
  switch (from) {
    case wire::Handover::Kind::CONNECTION:
      return HandoverKind::Connection;
    case wire::Handover::Kind::REQUEST:
      return HandoverKind::Request;
  }
  door.refuse(fmt::format("unknown kind {}", static_cast<unsigned>(from)));
}

Handover read(const Door& door, wire::Handover::Reader from) {
  return {.kind = read(door, from.getKind()),
          .client_address = door.text(from.getClientAddress(), "client address"),
          .client_port = from.getClientPort(),
          .listener = from.getListener(),
          .bytes = door.bytes(from.getBytes(), kHandoverLimitBytes, "bytes"),
          .placed = from.getPlaced(),
          .by_proxy = from.getByProxy()};
}

}  // namespace

std::vector<std::byte> encode(const Handover& message) {
  CHECK(message.bytes.size() <= kHandoverLimitBytes,
        fmt::format("a handover of {} bytes, the limit is {}", message.bytes.size(), kHandoverLimitBytes));
  capnp::MallocMessageBuilder builder;
  auto to = builder.initRoot<wire::Handover>();
  to.setKind(message.kind == HandoverKind::Request ? wire::Handover::Kind::REQUEST
                                                   : wire::Handover::Kind::CONNECTION);
  to.setClientAddress(Text(message.client_address));
  to.setClientPort(message.client_port);
  to.setListener(message.listener);
  to.setPlaced(message.placed);
  to.setByProxy(message.by_proxy);
  to.setBytes(data_of(message.bytes));
  return bytes_of(builder);
}

std::optional<Handover> decode_handover(const Datagram& datagram, std::string* why) {
  return decode<wire::Handover>(datagram, why, [&](wire::Handover::Reader from) {
    return read(Door("Handover", true, datagram, 1), from);
  });
}

}  // namespace limpet::ipc
