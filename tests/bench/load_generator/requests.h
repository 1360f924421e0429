// Clients of polling sessions that only send: each has a session at its own slot and one at another, and
// posts messages to them over one connection at a time. What is measured is the way of a request, not what it
// asks for: no handler listens. Checks every answer, byte for byte.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "tests/bench/load_generator/meter.h"

namespace limpet::bench {

/// What a client sends again and again.
struct RequestPattern {
  /// What goes in one write: a letter for each request, `h` for the session at home, in the slot that gets
  /// the client's connections, `o` for the other. The next write follows when all is answered.
  std::vector<std::string> writes;
  bool fresh = false;  ///< each write on a connection of its own
};

class Requesters {
 public:
  /// Opens the sessions; nobody sends yet. Throws std::runtime_error if the server has only one slot.
  Requesters(std::uint16_t port, std::size_t clients, RequestPattern pattern);
  ~Requesters();

  /// Unit: a request.
  Figure measure(Meter& meter);

 private:
  class Requester;
  void turn();

  std::uint16_t port_;
  RequestPattern pattern_;
  base::Descriptor epoll_;
  std::string answer_;  ///< to each request
  std::vector<std::unique_ptr<Requester>> requesters_;
  std::uint64_t answered_ = 0;
};

}  // namespace limpet::bench
