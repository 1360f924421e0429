#include "supervisor/options/settings.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <boost/json.hpp>

#include "base/machine_memory.h"
#include "supervisor/options/table.h"
#include "supervisor/system/cpus.h"

namespace limpet::supervisor {
namespace {

namespace json = boost::json;

json::value value_of(bool value) { return value; }
json::value value_of(std::uint64_t value) { return value; }
json::value value_of(std::chrono::milliseconds value) { return value.count(); }
json::value value_of(const std::string& value) { return json::value(value); }
json::value value_of(const std::vector<std::string>& value) { return json::value_from(value); }

/// Raw integers carry their unit last: ping_interval -> ping_interval_ms.
std::string key_of(const OptionRow& row) {
  if (row.unit == Unit::Duration) return fmt::format("{}_ms", row.key);
  if (row.unit == Unit::Bytes || row.unit == Unit::Memory) return fmt::format("{}_bytes", row.key);
  return std::string(row.key);
}

/// What the workers must know of a listening address.
json::object listener_json(const Options& options) {
  return {{"header_timeout_ms", options.header_timeout.count()},
          {"body_timeout_ms", options.body_timeout.count()},
          {"idle_timeout_ms", options.idle_timeout.count()},
          {"proxy_protocol", options.proxy_protocol},
          {"trusted", json::value_from(options.trusted)},
          {"address_header", options.address_header}};
}

bool is_for_workers(std::string_view section) {
  return section == "socketio" || section == "limits" || section == "ring";
}

}  // namespace

std::string settings_json(const Options& options, const std::vector<std::string>& listen,
                          std::uint64_t placement_seed) {
  json::object result;
  result["listen"] = json::value_from(listen);
  json::array& listeners = (result["listeners"] = json::array()).as_array();
  for (const Options& its : options_of_listeners(options)) listeners.push_back(listener_json(its));
  result["placement"] = options.placement;
  result["placement_seed"] = placement_seed;
  result["heartbeat_interval_ms"] = options.heartbeat_interval.count();
  for (const OptionRow& row : option_table()) {
    if (!is_for_workers(row.section)) continue;
    if (!result.contains(row.section)) result[row.section] = json::object();
    result[row.section].as_object()[key_of(row)] =
        std::visit([&](auto member) { return value_of(options.*member); }, row.member);
  }
  const std::uint64_t workers = options.workers == 0 ? granted_cpus() : options.workers;
  if (options.memory == 0)
    result["limits"].as_object()["memory_bytes"] = base::default_memory_of_worker(workers);
  result["app"] = json::parse(options.app_json);
  return json::serialize(result);
}

base::Descriptor sealed_memory(const char* name, std::string_view text) {
  base::Descriptor memory(
      base::require(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd for settings"));
  for (std::size_t done = 0; done < text.size();) {
    done += static_cast<std::size_t>(base::require(
        static_cast<int>(::write(memory.get(), text.data() + done, text.size() - done)), "write settings"));
  }
  base::require(::lseek(memory.get(), 0, SEEK_SET) == 0 ? 0 : -1, "rewind settings");
  base::require(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL),
                "seal settings");
  return memory;
}

}  // namespace limpet::supervisor
