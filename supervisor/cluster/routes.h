// Which slots get new clients: those where somebody is seated who beats, or will be within moments. Tells the
// kernel, through the listening sockets, and the workers, through the slot board. Decides by Slot::takes_part
// alone.
#pragma once

#include <vector>

#include "ipc/shared/slot_board.h"
#include "supervisor/cluster/slots.h"
#include "supervisor/listen/listeners.h"

namespace limpet::supervisor {

class Routes {
 public:
  /// All are borrowed for life. Tells nobody anything yet.
  Routes(const Slots& slots, Listeners& listeners, ipc::SlotBoard& board);

  /// Every open slot gets its clients, whatever kernel and board say.
  void begin();
  /// Looks at every slot once more, and tells what has changed. Not once everything stops: the listening
  /// sockets are closed then.
  void update();
  /// The slots from the open ones up to `slots` are about to open: the board says which of them take part.
  void show_opening(std::uint16_t slots);
  /// On the board: how many each slot has.
  void publish_sessions();

 private:
  void tell(std::vector<bool> next);

  const Slots& slots_;
  Listeners& listeners_;
  ipc::SlotBoard& board_;
  std::vector<bool> routes_;  ///< what kernel and board were told; by slot
};

}  // namespace limpet::supervisor
