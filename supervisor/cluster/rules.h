// What a worker may say in which state: a table. A worker's word is gossip: what comes at the wrong time
// costs the worker its life, or is ignored where an honest worker can cross a message of ours. Pure.
#pragma once

#include <array>
#include <variant>

#include "ipc/messages/messages.h"
#include "supervisor/cluster/lifecycle.h"

namespace limpet::supervisor {

enum class Rule : std::uint8_t {
  Allowed,
  Ignored,  ///< crossed something of ours on its way
  Drop,     ///< no honest worker says it now: kill it, and say so
};

/// In the order of ipc::WorkerMessage.
enum class WorkerWord : std::uint8_t {
  Hello,
  Ready,
  Failed,
  DrainProgress,
  Leaving,
  BucketsMoved,
  Signalled,
  kCount
};
inline constexpr auto kWorkerWords = static_cast<std::size_t>(WorkerWord::kCount);
inline constexpr std::array<std::string_view, kWorkerWords> kWorkerWordNames = {
    "hello", "ready", "failed", "drain progress", "leaving", "buckets moved", "signalled"};
static_assert(std::variant_size_v<ipc::WorkerMessage> == kWorkerWords);
static_assert(std::is_same_v<std::variant_alternative_t<3, ipc::WorkerMessage>, ipc::DrainProgress>);

namespace rules {
using R = Rule;
inline constexpr Rule A = Rule::Allowed;
inline constexpr Rule I = Rule::Ignored;
inline constexpr Rule D = Rule::Drop;

struct Row {
  WorkerState state;
  std::array<Rule, kWorkerWords>
      words;  ///< Hello, Ready, Failed, DrainProgress, Leaving, BucketsMoved, Signalled
};

inline constexpr std::array<Row, kWorkerStates> kTable = {{
    {WorkerState::Spawned, {A, D, A, D, A, D, D}},
    {WorkerState::Attaching, {D, A, A, D, A, D, A}},
    {WorkerState::Ready, {D, D, A, A, A, D, A}},
    // DrainProgress: nobody answered its Signalled in time. Failed, Leaving: for the obituary of one that
    // ends itself.
    {WorkerState::Serving, {D, D, A, A, A, A, A}},
    {WorkerState::Draining, {D, D, A, A, A, A, I}},
    {WorkerState::Stopping, {I, I, A, I, A, I, I}},
    {WorkerState::Dead, {I, I, A, I, A, I, I}},  // last words, found in the channel after the death
}};

constexpr bool each_state_has_its_row() {
  for (std::size_t state = 0; state < kWorkerStates; ++state) {
    if (kTable[state].state != static_cast<WorkerState>(state)) return false;
  }
  return true;
}
static_assert(each_state_has_its_row());
}  // namespace rules

[[nodiscard]] constexpr Rule rule_for(WorkerState state, WorkerWord word) {
  return rules::kTable[static_cast<std::size_t>(state)].words[static_cast<std::size_t>(word)];
}

}  // namespace limpet::supervisor
