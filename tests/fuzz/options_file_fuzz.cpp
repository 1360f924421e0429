// Whatever stands in limpet.toml: it is refused with mistakes of one line each that name lines which are
// there, or it is read into options that are within their limits, that give the same again when they are
// written, and whose settings a worker can read. Byte 1 stands for a key of very many parts, 2 for very many
// brackets.
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/descriptor.h"
#include "base/plain_line.h"
#include "supervisor/options/file.h"
#include "supervisor/options/options.h"
#include "supervisor/options/settings.h"
#include "supervisor/options/table.h"
#include "worker/process/settings.h"

namespace {

using namespace limpet;
using namespace limpet::supervisor;

constexpr std::size_t kManyParts = 50'000;
constexpr std::size_t kManyBrackets = 40;
constexpr rlim_t kStackBytes = 2 << 20;

void require(bool condition) {
  if (!condition) std::abort();
}

/// The name of a file that holds `text`, until the next call.
const std::string& file_with(std::string_view text) {
  static const base::Descriptor memory(::memfd_create("options", MFD_CLOEXEC));
  static const std::string name = "/proc/self/fd/" + std::to_string(memory.get());
  require(::ftruncate(memory.get(), 0) == 0);
  require(::pwrite(memory.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  return name;
}

void check_mistake(std::string_view mistake, const std::string& file, std::size_t lines, bool is_last) {
  require(base::plain_line(mistake, std::numeric_limits<std::size_t>::max()) == mistake);
  require(mistake.starts_with(file + ":"));
  mistake.remove_prefix(file.size() + 1);
  if (is_last && mistake.starts_with(" and ") && mistake.ends_with(" mistakes more")) return;
  std::size_t line = 0;
  const auto [end, error] = std::from_chars(mistake.data(), mistake.data() + mistake.size(), line);
  require(error == std::errc() && line >= 1 && line <= lines);
  require(std::string_view(end, mistake.data() + mistake.size()).starts_with(": "));
}

void check_mistakes(const std::vector<std::string>& mistakes, const std::string& file,
                    std::string_view text) {
  require(mistakes.size() <= 21);
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  for (const std::string& each : mistakes) check_mistake(each, file, lines, &each == &mistakes.back());
}

/// What goes on to functions that take it for the end.
void has_no_zero(const std::string& text) { require(text.find('\0') == std::string::npos); }

void check_options(const Options& options) {
  Options again = options;
  for (const OptionRow& row : option_table()) {
    const std::vector<std::string> values = values_of(row, options);
    for (const std::string& value : values) has_no_zero(value);
    require(assign(row, values, &again).empty());
  }
  again.listen_tables = options.listen_tables;  // the addresses alone take them away
  require(again == options);
  for (const std::string& each : options.application) has_no_zero(each);
  std::string why;
  for (const std::string& each : options.listen) require(base::parse_address(each, &why).has_value());
  require(options_of_listeners(options).size() == options.listen.size());
}

/// Those that depend on the machine are given.
void check_settings(Options options) {
  if (options.workers == 0) options.workers = 1;
  if (options.memory == 0) options.memory = 1 << 20;
  const process::Settings settings = process::parse_settings(settings_json(options, options.listen, 7));
  require(settings.listen == options.listen && settings.listeners.size() == options.listen.size());
  require(settings.heartbeat_interval == options.heartbeat_interval);
  require(settings.engineio.path.starts_with(options.socketio_path));
  require(settings.engineio.polling || settings.engineio.websocket);
  require(settings.limits.memory_bytes == options.memory && settings.limits.header_bytes == options.header);
  require(settings.ring.capacity_bytes == options.ring_capacity);
  require(boost::json::serialize(settings.app) ==
          boost::json::serialize(boost::json::parse(options.app_json)));
  const std::vector<Options> all = options_of_listeners(options);
  for (std::size_t index = 0; index < all.size(); ++index) {
    require(settings.listeners[index].header_timeout == all[index].header_timeout);
    require(settings.listeners[index].proxy_protocol == all[index].proxy_protocol);
    require(settings.listeners[index].trusted.size() == all[index].trusted.size());
  }
}

std::string expanded(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == 1) {
      for (std::size_t i = 0; i < kManyParts; ++i) result += ".a";
    } else if (c == 2) {
      result.append(kManyBrackets, '[');
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

/// Such a key then needs more stack than there is if every table of it is gone into.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  rlimit limit = {};
  require(::getrlimit(RLIMIT_STACK, &limit) == 0);
  limit.rlim_cur = kStackBytes;
  require(::setrlimit(RLIMIT_STACK, &limit) == 0);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  const std::string_view given(reinterpret_cast<const char*>(data), size);
  if (std::count(given.begin(), given.end(), '\1') > 3) return 0;
  const std::string text = expanded(given);
  const std::string& file = file_with(text);
  CommandLine command_line;
  command_line.file = file;
  const LoadedOptions loaded = load_options(command_line);
  Options options = load_options({}).options;
  const std::vector<std::string> mistakes = read_options_file(file, "limpet", &options).mistakes;
  if (!mistakes.empty()) {
    require(loaded.mistakes.size() == mistakes.size());
    check_mistakes(loaded.mistakes, file, text);
    return 0;
  }
  require(loaded.options == options);  // contradictions or not
  check_options(options);
  check_settings(options);
  return 0;
}
