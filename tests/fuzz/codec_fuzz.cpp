// Whatever a peer sends: each decoder admits it or gives a reason. The first byte is the number of
// descriptors that came with the datagram.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "ipc/messages/control.h"
#include "ipc/messages/ctl.h"
#include "ipc/messages/handover.h"
#include "supervisor/upgrade/state.h"

namespace {

using namespace limpet::ipc;
using limpet::supervisor::upgrade::decode_supervisor_state;
using limpet::supervisor::upgrade::SupervisorState;

void require(bool condition) {
  if (!condition) std::abort();
}

/// What was admitted is within every limit, so it can be written again, and comes back.
template <class Message, class Decode>
void decode_twice(const Datagram& datagram, Decode decode) {
  std::string why;
  const std::optional<Message> message = decode(datagram, &why);
  require(message.has_value() == why.empty());
  if (!message) return;
  Datagram again{.bytes = encode(*message), .descriptors = {}};
  again.descriptors.resize(datagram.descriptors.size());
  require(decode(again, &why).has_value());
}

Datagram datagram_of(const std::uint8_t* data, std::size_t size) {
  Datagram datagram;
  datagram.descriptors.resize(size > 0 ? data[0] % 6 : 0);
  const std::size_t skip = std::min<std::size_t>(size, 1);
  datagram.bytes.resize(size - skip);
  if (size > skip) std::memcpy(datagram.bytes.data(), data + skip, size - skip);
  return datagram;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Datagram datagram = datagram_of(data, size);
  decode_twice<WorkerMessage>(datagram, decode_worker_message);
  decode_twice<SupervisorMessage>(datagram, decode_supervisor_message);
  decode_twice<Handover>(datagram, decode_handover);
  decode_twice<CtlRequest>(datagram, decode_ctl_request);
  decode_twice<CtlReply>(datagram, decode_ctl_reply);
  decode_twice<SupervisorState>(datagram, decode_supervisor_state);
  return 0;
}
