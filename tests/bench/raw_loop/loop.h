// The practical limit: one process of an epoll loop that does nothing but the system calls the traffic needs.
// It sends pre-encoded frames, all that one turn queues for a socket in one send, and parses just enough to
// know what to send. Owns its listening socket, its clients, and one end of the pair on which both processes
// tell each other of broadcasts. Good for the load generator only: whatever it does not expect ends the
// process (std::runtime_error).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"

namespace limpet::bench {

class Loop {
 public:
  /// `peer`: a SOCK_SEQPACKET end; one datagram is the number of broadcasts (32 bits) to deliver here. Empty:
  /// there is no other process.
  Loop(base::Descriptor listening, base::Descriptor peer);
  [[noreturn]] void run();

 private:
  enum class Phase : std::uint8_t { Absent, Upgrading, Open };

  void turn();
  void watch(int descriptor);
  void accept_all();
  void receive(int client);
  void handle(int client, std::string_view bytes);
  void handle_frames(int client, std::string_view bytes);
  void append_answer(int client, std::string_view masked, std::string_view mask);
  void forget(int client);
  /// Delivers what this turn's clients asked for: here at once, there through the peer.
  void publish();
  void hear_peer();
  void deliver(std::uint32_t broadcasts);

  base::Descriptor listening_;
  base::Descriptor peer_;
  base::Descriptor epoll_;
  std::vector<Phase> phases_;          ///< by descriptor
  std::vector<std::uint32_t> places_;  ///< by descriptor: where it stands in clients_
  std::vector<int> clients_;           ///< whoever has joined
  std::vector<char> buffer_;
  std::string broadcasts_;            ///< kMostQueued frames of the broadcast, one after the other
  std::size_t broadcast_length_ = 0;  ///< of one frame
  std::string ack_suffix_;
  std::string answers_;      ///< for the client at hand
  std::uint32_t asked_ = 0;  ///< broadcasts asked for in this turn
  std::uint64_t sessions_ = 0;
};

}  // namespace limpet::bench
