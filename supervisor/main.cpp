// limpet: `limpet serve` runs a cluster, `limpet ctl` talks to one.
#include "base/signals.h"
#include "base/standard_descriptors.h"
#include "supervisor/command_line.h"
#include "supervisor/ctl.h"
#include "supervisor/serve.h"

int main(int count, char** words) {
  using namespace limpet::supervisor;
  limpet::base::fill_standard_descriptors();
  limpet::base::reset_dispositions();
  const Command command = parse_command_line(count, words);
  if (const auto* serve = std::get_if<CommandLine>(&command)) return run_serve(*serve);
  if (const auto* ctl = std::get_if<CtlCommand>(&command)) return run_ctl(*ctl);
  return std::get<ExitNow>(command).code;
}
