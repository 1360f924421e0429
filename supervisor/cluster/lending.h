// What arrives at the sockets of a closed slot is served by an heir: the worker of an open slot, to which the
// listening sockets and the inbox are lent. Knows who has borrowed what. A socket never leaves its group, so
// the kernel may still put a connection there.
#pragma once

#include <cstdint>
#include <map>

#include "supervisor/cluster/births.h"
#include "supervisor/cluster/slots.h"
#include "supervisor/listen/listeners.h"

namespace limpet::supervisor {

class Lending {
 public:
  /// All are borrowed for life.
  Lending(const Slots& slots, const Births& births, const Listeners& listeners);

  /// To be called when slots have opened or closed, and when somebody was seated: lends what is closed to
  /// whom has the seat of its heir now, and takes back what is open.
  void update();

 private:
  void lend(std::uint16_t slot, Worker& heir);
  void take_back(std::uint16_t slot, std::uint64_t generation);

  const Slots& slots_;
  const Births& births_;
  const Listeners& listeners_;
  std::map<std::uint16_t, std::uint64_t> lent_;  ///< closed slot -> generation of its heir
};

}  // namespace limpet::supervisor
