// What is charged to a session (Session::hold) for what this layer keeps for it: near enough to what the
// allocator gives, and a function of the thing alone, so that what is taken is given back to the byte.
#pragma once

#include <cstddef>

namespace limpet::socketio {

/// A ClientState.
inline constexpr std::ptrdiff_t kClientBytes = 48;
/// A SocketState, its places in the namespace and in the tables by index and id.
inline constexpr std::ptrdiff_t kSocketBytes = 176;
/// SocketExtras; their text is charged apart. What an application puts into data() is its own affair.
inline constexpr std::ptrdiff_t kExtrasBytes = 96;
/// A membership: 16 bytes in the socket's list, 20 in the room's, which both have room to grow, and for those
/// with many rooms their place by room.
inline constexpr std::ptrdiff_t kMembershipBytes = 64;
/// A room: its node in RoomTable and two vectors. Its name is charged apart.
inline constexpr std::ptrdiff_t kRoomBytes = 192;
/// A handler without what it has captured.
inline constexpr std::ptrdiff_t kHandlerBytes = 32;
/// A reply that is awaited, without what its callback has captured.
inline constexpr std::ptrdiff_t kReplyBytes = 48;
/// The time-out of a reply: two nodes of TimerQueue and a closure.
inline constexpr std::ptrdiff_t kReplyTimerBytes = 208;
/// A packet whose attachments are to come; its text is charged apart. And each attachment, without its bytes.
inline constexpr std::ptrdiff_t kAssemblyBytes = 80;
inline constexpr std::ptrdiff_t kAttachmentBytes = 48;

}  // namespace limpet::socketio
