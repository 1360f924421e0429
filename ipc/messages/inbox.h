// The inbox of a slot: the one socket on which it receives connections and requests from other slots. The
// supervisor makes it, keeps both ends open for life and gives the receiving end to the slot's workers, the
// sending end to all; so a handover waits in it while a worker is replaced.
//
// The sending end is one socket that several processes write: datagrams are atomic, and have no order between
// writers. Two workers of the slot may read at once (during a reload). Nothing here waits.
#pragma once

#include <optional>
#include <string>

#include "ipc/messages/channel.h"
#include "ipc/messages/handover.h"

namespace limpet::ipc {

struct Inbox {
  base::Descriptor receiving;
  base::Descriptor sending;
};

/// Throws std::system_error.
[[nodiscard]] Inbox make_inbox();

/// `socket` is lent; close it after Sent or Queued (then the receiver's copy, or the queue's, is the one that
/// counts). TooLarge: the bytes are over kHandoverLimitBytes. Full: nothing was taken, the connection is
/// still the caller's.
[[nodiscard]] SendStatus send_handover(Channel& to, const Handover& handover, int socket);

struct ReceivedHandover {
  Handover handover;
  base::Descriptor socket;
};

enum class InboxStatus : std::uint8_t {
  Received,
  Empty,   ///< nothing now
  Bad,     ///< one message was lost, with the reason: undecodable, or no descriptor number was free. Read on
  Failed,  ///< nobody can ever write to it again, or a system error: fatal
};

/// One handover from an inbox. A truncated datagram costs only itself here: the next one is whole.
[[nodiscard]] InboxStatus receive_handover(Channel& inbox, ReceivedHandover* into, std::string* why);

}  // namespace limpet::ipc
