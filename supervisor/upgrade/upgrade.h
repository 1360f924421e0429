// How a supervisor becomes another image of `limpet` in the same process. The image is tried first, as a
// child with a copy of the state: what fails in the dynamic loader, or does not understand the state, must
// not be found out by exec. What was tried is the open file that is executed then, whatever lies at its path
// by that time. Its path is the name by which limpet was started, followed anew.
//
// The order travels in the environment (LIMPET_TAKE_OVER=trial:3), the state in a memfd; command line
// and descriptors stay as they are; the working directory is what its name leads to by then (an older build
// reads its configuration there).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "ipc/birth/spawn.h"
#include "supervisor/system/loop.h"
#include "supervisor/system/start_place.h"
#include "supervisor/upgrade/state.h"

namespace limpet::supervisor {

/// One try of the binary at a path. Kills what it started when it is destroyed.
class Trial {
 public:
  /// `objection`: "" if `image` can take over; else why not, and no image. Called once, from the loop.
  using Verdict = std::function<void(base::Descriptor image, const std::string& objection)>;

  /// `place`: whose binary, as the names lead now, is tried in that directory.
  Trial(Loop& loop, const StartPlace& place, const upgrade::SupervisorState& state, Verdict verdict);
  /// -1: it has ended.
  [[nodiscard]] pid_t pid() const noexcept { return child_ ? child_->pid() : -1; }

 private:
  void begin(const StartPlace& place, const upgrade::SupervisorState& state);
  void read_output();
  void conclude();
  void object(const std::string& why);

  Loop& loop_;
  Verdict verdict_;
  base::Descriptor image_;
  base::Descriptor output_;
  std::optional<ipc::Child> child_;
  std::string said_;
  std::unique_ptr<Readiness> on_output_;
  std::unique_ptr<Readiness> on_end_;
  Timer deadline_;
};

/// Returns only if it failed, with the reason: nothing has changed then. Signals are blocked, and stay so in
/// the new image until it handles them.
[[nodiscard]] std::string become_image(const base::Descriptor& image, const StartPlace& place,
                                       const upgrade::SupervisorState& state);

// ---- in the new image ----

struct TakeoverOrder {
  bool is_trial = false;
  int state = -1;
};
/// nullopt in a process that nobody's upgrade has started. Takes it out of the environment.
[[nodiscard]] std::optional<TakeoverOrder> takeover_order();
/// nullopt, with the reason. Closes the descriptor.
[[nodiscard]] std::optional<upgrade::SupervisorState> read_state(const TakeoverOrder& order,
                                                                 std::string* why);
/// What a trial that has no objection says last.
void say_can_take_over();

}  // namespace limpet::supervisor
