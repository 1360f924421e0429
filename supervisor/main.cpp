// limpet: `limpet serve` runs a cluster, `limpet ctl` talks to one.
#include "base/signals.h"
#include "base/standard_descriptors.h"
#include "supervisor/command_line.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/serve.h"
#include "supervisor/system/start_place.h"

int main(int count, char** words) {
  using namespace limpet::supervisor;
  limpet::base::fill_standard_descriptors();
  limpet::base::reset_dispositions();
  limpet::base::cancel_timers();
  const StartPlace place = start_place(count > 0 ? words[0] : nullptr);
  const Command command = parse_command_line(count, words, place.command());
  if (const auto* serve = std::get_if<CommandLine>(&command)) {
    CommandLine from_here = *serve;
    from_here.place = place;
    return run_serve(from_here);
  }
  if (const auto* ctl = std::get_if<CtlCommand>(&command)) return run_ctl(*ctl);
  return std::get<ExitNow>(command).code;
}
