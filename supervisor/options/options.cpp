#include "supervisor/options/options.h"

#include <fmt/format.h>

#include <initializer_list>
#include <map>
#include <set>
#include <utility>

#include "base/address.h"
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

/// Where each option was given: "limpet.toml:3", "--workers".
using Places = std::map<std::string, std::string>;

/// Contradictions between options that are right one by one.
std::vector<std::string> contradictions(const Options& options, const Places& places) {
  std::vector<std::string> result;
  const auto add = [&](std::initializer_list<const char*> names, const std::string& sentence) {
    std::string given;
    for (const char* name : names) {
      const auto place = places.find(name);
      if (place != places.end()) given += (given.empty() ? "" : ", ") + place->second;
    }
    result.push_back(given.empty() ? sentence : fmt::format("{}: {}", given, sentence));
  };
  if (options.drain_window > options.drain_deadline) {
    add({"reload.drain_window", "reload.drain_deadline"},
        fmt::format("reload.drain_window ({} ms) is longer than reload.drain_deadline ({} ms)",
                    options.drain_window.count(), options.drain_deadline.count()));
  }
  if (options.max_workers != 0 && options.workers > options.max_workers) {
    add({"workers", "max_workers"},
        fmt::format("workers ({}) is more than max_workers ({})", options.workers, options.max_workers));
  }
  std::set<std::string> listens;
  for (const std::string& address : options.listen) {
    // Port 0 is another free one each time.
    std::string why;
    const auto parsed = base::parse_address(address, &why);
    const std::string written = parsed ? base::to_text(*parsed) : address;
    if (!written.ends_with(":0") && !listens.insert(written).second)
      add({"listen"}, fmt::format("{} stands twice in listen", address));
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
  Places places;
  if (!command_line.file.empty()) {
    FileContents contents = read_options_file(command_line.place.at(command_line.file),
                                              command_line.place.command(), &result.options);
    append(contents.mistakes, &result.mistakes);
    places = std::move(contents.places);
  }
  for (const GivenFlag& flag : command_line.flags) {
    const OptionRow& row = option_table()[flag.row];
    const std::string why = assign(row, flag.values, &result.options);
    if (!why.empty()) append({fmt::format("{}: {}", row.flag, why)}, &result.mistakes);
    places[name_in_file(row)] = row.flag;
  }
  if (!command_line.application.empty()) {
    result.options.application = command_line.application;
    result.options.application_place.clear();
  }
  if (result.mistakes.empty()) append(contradictions(result.options, places), &result.mistakes);
  return result;
}

}  // namespace limpet::supervisor
