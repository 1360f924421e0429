// What only a socket in many rooms has: its places by room, and the gate, by which it leaves most of them at
// once when it ends.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "worker/engineio/session.h"
#include "worker/socketio/room_table.h"

namespace limpet::socketio {

/// A socket in more rooms than this has ManyRooms; in fewer, its list of rooms is searched. It is given up
/// again at half as many.
inline constexpr std::size_t kFewRooms = 16;
/// So many rooms, and as many acknowledgements, are dealt with at once when a socket ends; what is beyond
/// waits for its turn (endings.cpp).
inline constexpr std::uint32_t kEndedAtOnce = 256;

/// A socket in more rooms than this joins them over several turns when it arrives from another worker.
inline constexpr std::size_t kJoinedAtOnce = 1024;

/// Stands for the session in the rooms behind the first kEndedAtOnce of a socket. Shut, it drops what it is
/// given: rooms that an ended socket has not left yet deliver to nobody, and the session may be gone; nor do
/// those that a socket joins before it arrives from another worker.
class Gate final : public engineio::Session {
 public:
  /// Null: shut. `packets_out` has counted what is dropped, once for each call.
  Gate(engineio::Session* session, std::uint64_t& packets_out) noexcept
      : session_(session), packets_out_(packets_out) {}
  void open(engineio::Session& session) noexcept { session_ = &session; }
  void shut() noexcept { session_ = nullptr; }

  void send(std::span<const loop::Buffer> frames) override {
    if (session_ == nullptr)
      --packets_out_;
    else
      session_->send(frames);
  }
  void expect_send() const noexcept override {
    if (session_ != nullptr) session_->expect_send();
  }
  [[nodiscard]] bool writable() const noexcept override {
    return session_ != nullptr && session_->writable();
  }

  // Rooms ask for nothing of this.
  [[nodiscard]] std::string_view sid() const noexcept override { return {}; }
  [[nodiscard]] engineio::Transport transport() const noexcept override {
    return engineio::Transport::WebSocket;
  }
  void close(engineio::CloseReason) override {}
  [[nodiscard]] std::string_view handshake_head() const noexcept override { return {}; }
  [[nodiscard]] std::string address() const override { return {}; }
  [[nodiscard]] bool secure() const noexcept override { return false; }
  [[nodiscard]] std::int64_t issued_ms() const noexcept override { return 0; }

 private:
  engineio::Session* session_;
  std::uint64_t& packets_out_;
};

struct ManyRooms {
  ManyRooms(engineio::Session* session, std::uint64_t& packets_out) noexcept : gate(session, packets_out) {}
  boost::unordered_flat_map<const RoomState*, std::uint32_t> places;  // in SocketState::rooms
  Gate gate;
  std::size_t held = 0;  // bytes that the socket's rooms are charged with
};

}  // namespace limpet::socketio
