// How `limpet ctl` shows answers: a table for people, JSON with a schema version for programs. Pure.
#pragma once

#include <string>

#include "ipc/messages/ctl.h"

namespace limpet::supervisor {

/// Grows when a field changes its meaning or goes; not when one is added.
inline constexpr int kCtlSchemaVersion = 1;

[[nodiscard]] std::string status_table(const ipc::StatusReply& status);
[[nodiscard]] std::string status_json(const ipc::StatusReply& status);
[[nodiscard]] std::string stats_table(const ipc::StatsReply& stats);
[[nodiscard]] std::string stats_json(const ipc::StatsReply& stats);

}  // namespace limpet::supervisor
