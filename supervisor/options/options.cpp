#include "supervisor/options/options.h"

#include <fmt/format.h>

#include <set>

#include "base/check.h"
#include "base/plain_line.h"
#include "supervisor/options/file.h"
#include "supervisor/options/table.h"

namespace limpet::supervisor {
namespace {

/// In bytes; a file's name may have 4,096.
constexpr std::size_t kLongestMistake = 8192;

Options defaults() {
  Options result;
  for (const OptionRow& row : option_table()) {
    const std::string why = assign(row, {std::string(row.default_text)}, &result);
    CHECK(why.empty(), fmt::format("the default of {}: {}", row.flag, why));
  }
  return result;
}

/// Contradictions between options that are right one by one.
std::vector<std::string> contradictions(const Options& options) {
  std::vector<std::string> result;
  if (options.drain_window > options.drain_deadline) {
    result.push_back(fmt::format("reload.drain_window ({} ms) is longer than reload.drain_deadline ({} ms)",
                                 options.drain_window.count(), options.drain_deadline.count()));
  }
  if (options.max_workers != 0 && options.workers > options.max_workers) {
    result.push_back(
        fmt::format("workers ({}) is more than max_workers ({})", options.workers, options.max_workers));
  }
  std::set<std::string> listens;
  for (const std::string& address : options.listen) {
    // Port 0 is another free one each time.
    if (!address.ends_with(":0") && !listens.insert(address).second)
      result.push_back(fmt::format("listen: {} stands there twice", address));
  }
  return result;
}

/// As one line each: a mistake quotes what was given, which may have lines and control characters.
void append(const std::vector<std::string>& more, std::vector<std::string>* to) {
  for (const std::string& each : more) to->push_back(base::plain_line(each, kLongestMistake));
}

}  // namespace

std::vector<Options> options_of_listeners(const Options& options) {
  // A copy of all addresses for each of them would be n² of them.
  Options common = options;
  common.listen.clear();
  common.listen_tables.clear();
  std::vector<Options> result(options.listen.size(), common);
  for (std::size_t index = 0; index < options.listen_tables.size(); ++index) {
    for (const GivenFlag& given : options.listen_tables[index]) {
      const OptionRow& row = option_table()[given.row];
      const std::string why = assign(row, given.values, &result.at(index));
      CHECK(why.empty(), fmt::format("{} of a listener, which was checked: {}", row.key, why));
    }
  }
  return result;
}

LoadedOptions load_options(const CommandLine& command_line) {
  LoadedOptions result{defaults(), {}};
  if (!command_line.file.empty())
    append(read_options_file(command_line.place.at(command_line.file), command_line.place.command(),
                             &result.options),
           &result.mistakes);
  for (const GivenFlag& flag : command_line.flags) {
    const OptionRow& row = option_table()[flag.row];
    const std::string why = assign(row, flag.values, &result.options);
    if (!why.empty()) append({fmt::format("{}: {}", row.flag, why)}, &result.mistakes);
  }
  if (!command_line.application.empty()) result.options.application = command_line.application;
  if (result.mistakes.empty()) append(contradictions(result.options), &result.mistakes);
  return result;
}

}  // namespace limpet::supervisor
