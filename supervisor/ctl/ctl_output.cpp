#include "supervisor/ctl/ctl_output.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/json.hpp>

namespace limpet::supervisor {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

std::string duration(milliseconds time) {
  const auto seconds = time.count() / 1000;
  if (seconds < 120) return fmt::format("{:.1f} s", static_cast<double>(time.count()) / 1000);
  if (seconds < 2 * 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
}

std::string slot_line(const ipc::SlotStatus& slot) {
  std::string line = fmt::format("{:>4}  {:<14}", slot.slot, slot.state);
  if (slot.next_start.count() > 0) line += fmt::format("  next start in {}", duration(slot.next_start));
  return line;
}

std::string worker_columns(const ipc::WorkerStatus& worker) {
  return fmt::format("{:>8}  {:>4}  {:>4}  {:<10}  {:>9}  {:>12}  {:>12}", worker.pid, worker.generation,
                     worker.lane, worker.state, worker.sessions, duration(worker.since_beat),
                     duration(worker.age));
}

json::object to_json(const ipc::WorkerStatus& worker) {
  return {{"slot", worker.slot},
          {"lane", worker.lane},
          {"generation", worker.generation},
          {"pid", worker.pid},
          {"state", worker.state},
          {"seated", worker.seated},
          {"age_ms", worker.age.count()},
          {"since_beat_ms", worker.since_beat.count()},
          {"sessions", worker.sessions}};
}

json::object to_json(const ipc::SlotStatus& slot) {
  json::array workers;
  for (const auto& each : slot.workers) workers.push_back(to_json(each));
  return {{"slot", slot.slot},
          {"state", slot.state},
          {"deaths", slot.deaths},
          {"next_start_ms", slot.next_start.count()},
          {"last_obituary", slot.last_obituary},
          {"workers", std::move(workers)}};
}

}  // namespace

std::string status_table(const ipc::StatusReply& status) {
  std::string text =
      fmt::format("limpet {}, pid {}, up {}\n", status.version, status.pid, duration(status.uptime));
  // Empty from the supervisor of an older build.
  if (!status.binary.empty()) text += fmt::format("limpet       {}\n", status.binary);
  text += fmt::format("application  {}\nlistening    {}\nruntime dir  {}\n", status.application,
                      fmt::join(status.listeners, ", "), status.runtime_dir);
  if (!status.operation.empty()) text += fmt::format("operation    {}\n", status.operation);
  text += fmt::format("\n{:>4}  {:<14}  {:>6}  {:>8}  {:>4}  {:>4}  {:<10}  {:>9}  {:>12}  {:>12}\n", "slot",
                      "state", "deaths", "pid", "gen", "lane", "worker", "sessions", "last beat", "age");
  for (const auto& slot : status.slots) {
    if (slot.workers.empty()) text += fmt::format("{}  deaths {}\n", slot_line(slot), slot.deaths);
    bool first = true;
    for (const auto& worker : slot.workers) {
      text += fmt::format("{:>4}  {:<14}  {:>6}  {}\n", first ? std::to_string(slot.slot) : "",
                          first ? slot.state : "", first ? std::to_string(slot.deaths) : "",
                          worker_columns(worker));
      first = false;
    }
  }
  for (const auto& slot : status.slots) {
    if (!slot.last_obituary.empty()) text += fmt::format("last death: {}\n", slot.last_obituary);
  }
  return text;
}

std::string status_json(const ipc::StatusReply& status) {
  json::array slots;
  for (const auto& each : status.slots) slots.push_back(to_json(each));
  const json::object object = {{"schema_version", kCtlSchemaVersion},
                               {"version", status.version},
                               {"pid", status.pid},
                               {"uptime_ms", status.uptime.count()},
                               {"binary", status.binary},
                               {"application", status.application},
                               {"runtime_dir", status.runtime_dir},
                               {"operation", status.operation},
                               {"listeners", json::value_from(status.listeners)},
                               {"slots", std::move(slots)}};
  return json::serialize(object) + "\n";
}

std::string stats_table(const ipc::StatsReply& stats) {
  std::string text = fmt::format("{:<24}  {:>16}  {:<12}  by slot\n", "counter", "total", "unit");
  for (const auto& each : stats.counters) {
    text += fmt::format("{:<24}  {:>16}  {:<12}  {}\n", each.name, each.total, each.unit,
                        fmt::join(each.by_slot, " "));
  }
  return text;
}

std::string stats_json(const ipc::StatsReply& stats) {
  json::array counters;
  for (const auto& each : stats.counters) {
    counters.push_back(json::object{{"name", each.name},
                                    {"unit", each.unit},
                                    {"help", each.help},
                                    {"type", each.is_gauge ? "gauge" : "counter"},
                                    {"total", each.total},
                                    {"by_slot", json::value_from(each.by_slot)}});
  }
  return json::serialize(
             json::object{{"schema_version", kCtlSchemaVersion}, {"counters", std::move(counters)}}) +
         "\n";
}

}  // namespace limpet::supervisor
