#include "ipc/messages/inbox.h"

#include <utility>

namespace limpet::ipc {

Inbox make_inbox() {
  auto [receiving, sending] = Channel::pair();
  widen_buffers(sending.get());
  return {.receiving = std::move(receiving), .sending = std::move(sending)};
}

SendStatus send_handover(Channel& to, const Handover& handover, int socket) {
  if (handover.bytes.size() > kHandoverLimitBytes) return SendStatus::TooLarge;
  return to.send(encode(handover), {&socket, 1});
}

InboxStatus receive_handover(Channel& inbox, ReceivedHandover* into, std::string* why) {
  Datagram datagram;
  switch (inbox.receive(&datagram)) {
    case ReceiveStatus::Message:
      break;
    case ReceiveStatus::Empty:
      return InboxStatus::Empty;
    case ReceiveStatus::DescriptorsLost:
      *why = "this worker has no descriptor left for the connection (RLIMIT_NOFILE)";
      return InboxStatus::Bad;
    case ReceiveStatus::Truncated:
      *why = "the message or its descriptor was cut off";
      return InboxStatus::Bad;
    case ReceiveStatus::Closed:
    case ReceiveStatus::Failed:
      return InboxStatus::Failed;
  }
  std::optional<Handover> handover = decode_handover(datagram, why);
  if (!handover) return InboxStatus::Bad;
  into->handover = std::move(*handover);
  into->socket = std::move(datagram.descriptors.front());
  return InboxStatus::Received;
}

}  // namespace limpet::ipc
