#include "base/log.h"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include "base/line_output.h"
#include "base/plain_line.h"
#include "base/signals.h"

namespace limpet::base {
namespace {

constexpr std::chrono::milliseconds kFlush{200};
constexpr const char* kLogger = "limpet";

std::atomic<std::uint64_t> left_out_by_gates{0};
std::atomic<std::uint64_t> untold_by_gates{0};

/// `count` of them are told by a line of their kind.
void take_told_by_gate(std::uint64_t count) noexcept {
  std::uint64_t untold = untold_by_gates.load(std::memory_order_relaxed);
  while (!untold_by_gates.compare_exchange_weak(untold, untold - std::min(untold, count),
                                                std::memory_order_relaxed)) {
  }
}

std::string whole_line(std::string_view text) {
  return plain_line(text, LineOutput::kLongestLine - 1) + "\n";
}

/// A mutex: threads of an application may use the default logger.
class StderrSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  [[nodiscard]] std::uint64_t dropped() noexcept { return output_.drops().total(); }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    // Nothing newer before it.
    if (!tell_drops()) return output_.drop();
    output_.write(format(message));
  }
  void flush_() override {
    (void)tell_drops();
    output_.flush(kFlush);
  }

  /// False: there is something to tell, and nobody takes it.
  bool tell_drops() {
    const std::uint64_t untold = output_.drops().take_untold();
    if (untold == 0) return true;
    const std::string text = fmt::format("log: {} lines of this log were dropped: nobody took them", untold);
    return output_.tell(format({kLogger, spdlog::level::warn, text}), untold);
  }

  std::string format(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t formatted;
    formatter_->format(message, formatted);
    std::string_view text(formatted.data(), formatted.size());
    if (text.ends_with('\n')) text.remove_suffix(1);
    return whole_line(text);
  }

  LineOutput output_{STDERR_FILENO};
};

/// Set once, by the main thread.
std::shared_ptr<StderrSink>& the_sink() {
  static std::shared_ptr<StderrSink> sink;
  return sink;
}

}  // namespace

void open_log(const std::string& pattern, std::string_view least) {
  do_nothing_at({SIGPIPE, SIGXFSZ});
  if (!the_sink()) the_sink() = std::make_shared<StderrSink>();
  auto logger = std::make_shared<spdlog::logger>(kLogger, the_sink());
  logger->set_pattern(pattern);
  logger->set_level(spdlog::level::from_str(std::string(least)));
  // spdlog would print to stderr, and wait, what is wrong with a format of the application's.
  logger->set_error_handler([](const std::string&) { detail::count_left_out(); });
  spdlog::set_default_logger(std::move(logger));
}

void finish_log() {
  if (!the_sink()) return;
  if (const std::uint64_t untold = untold_by_gates.exchange(0, std::memory_order_relaxed); untold > 0)
    log(LogLevel::Warning,
        fmt::format("log: {} lines were left out at the end: of each kind, {} a second are "
                    "written",
                    untold, LogGate::kLinesPerSecond));
  the_sink()->flush();
}

void log(LogLevel level, std::string_view line) {
  constexpr std::array kLevels = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                  spdlog::level::err};
  spdlog::default_logger_raw()->log(kLevels[static_cast<std::size_t>(level)],
                                    spdlog::string_view_t(line.data(), line.size()));
}

void detail::log_after(LogLevel level, std::string line, std::uint64_t left_out) {
  take_told_by_gate(left_out);
  if (left_out > 0) line += fmt::format(" ({} lines like this one were left out before it)", left_out);
  log(level, line);
}

void detail::count_left_out() noexcept {
  left_out_by_gates.fetch_add(1, std::memory_order_relaxed);
  untold_by_gates.fetch_add(1, std::memory_order_relaxed);
}

std::uint64_t log_lines_dropped() noexcept {
  return left_out_by_gates.load(std::memory_order_relaxed) + (the_sink() ? the_sink()->dropped() : 0);
}

void say(int descriptor, std::string_view lines) {
  LineOutput output(descriptor);
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    output.write(whole_line(lines.substr(0, end)));
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
  }
}

}  // namespace limpet::base
