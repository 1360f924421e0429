#include "worker/application/guard.h"

#include <fmt/format.h>

#include "base/log.h"

namespace limpet::application {
namespace {

/// Of what an application or a client names, in one line of the log.
constexpr std::size_t kLongestTextInLog = 500;

}  // namespace

void Guard::note_failure(const HandlerName& name, std::string_view why, std::size_t argument) noexcept {
  ++failures_;
  try {
    base::log_at_most(lines_, clock_.now(), base::LogLevel::Warning, [&] {
      const std::string subject = argument == 0 ? "" : fmt::format("argument {} ", argument);
      const std::string whose = name.socket.empty() ? "" : fmt::format(", client {}", name.socket);
      return fmt::format("handler of {}{}: {}{}", name.what.substr(0, kLongestTextInLog), whose, subject,
                         why.substr(0, kLongestTextInLog));
    });
  } catch (...) {  // the counter has it
  }
}

}  // namespace limpet::application
