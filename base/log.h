// The log of a process: lines on stderr, `subject: attempt: why; what happens next`. spdlog makes the lines
// (its default logger, which an application may use as well); this is the one place that knows it. Nothing
// here waits for whoever reads stderr (base/line_output.h), and every line is filtered (base/plain_line.h).
//
// `log` is for what happens once, or at a pace of our own. Whatever a client, a peer or a program that one of
// those can make speak may cause as often as it likes goes through `log_at_most`.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/log_gate.h"

namespace limpet::base {

enum class LogLevel : unsigned char { Debug, Info, Warning, Error };

/// `pattern`: spdlog's, of what stands before the text. `least`: debug, info, warning or error. Again: the
/// same output with other words. SIGPIPE and SIGXFSZ do nothing from then on: what a log meets must not end
/// the process.
void open_log(const std::string& pattern, std::string_view least);
/// At the end of the process, or before an exec: tells how many lines were left out or dropped since that was
/// last told, and waits a moment for what a thread of the log still has to write.
void finish_log();

void log(LogLevel level, std::string_view line);

namespace detail {
void log_after(LogLevel level, std::string line, std::uint64_t left_out);
void count_left_out() noexcept;
}  // namespace detail

/// Writes the line that `make_line()` returns, unless the gate has let enough of them through.
template <typename MakeLine>
void log_at_most(LogGate& gate, std::chrono::steady_clock::time_point now, LogLevel level,
                 MakeLine&& make_line) {
  if (const auto left_out = gate.pass(now)) return detail::log_after(level, make_line(), *left_out);
  detail::count_left_out();
}

/// Of this process: not taken by whoever reads stderr, or left out by a gate.
[[nodiscard]] std::uint64_t log_lines_dropped() noexcept;

/// For the person who started the program, outside the log: lines on stdout or stderr, with their ends.
/// Filtered, and without waiting, as those of the log; what nobody takes is lost.
void say(int descriptor, std::string_view lines);

}  // namespace limpet::base
