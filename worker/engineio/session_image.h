// All that an Engine.IO session knows, as one plain value: what travels when its client moves to another
// process. What is not in it can be derived from it or does not exist (law 5). The stream is not in it: that
// is a descriptor and the bytes on both sides of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "worker/engineio/session.h"
#include "worker/loop/buffer.h"

namespace limpet::engineio {

struct SessionImage {
  /// The fragments so far of a WebSocket message whose last one is still to come.
  struct Fragments {
    bool binary = false;
    std::string bytes;
  };

  std::string sid;             ///< 20 characters
  std::string handshake_head;  ///< as Session::handshake_head()
  std::string address;         ///< as Session::address()
  std::int64_t issued_ms = 0;
  Transport transport = Transport::Polling;
  /// A ping is out, and `timer` is what is left for its pong; else what is left until the next ping.
  bool awaits_pong = false;
  std::chrono::milliseconds timer{0};
  /// Closed by its server: waits for a poll by which to say so. `timer` is what is left of the wait.
  bool lingering = false;
  std::vector<loop::Buffer> queue;     ///< polling: frames that wait for the next poll, the oldest first
  std::optional<Fragments> fragments;  ///< WebSocket
};

}  // namespace limpet::engineio
