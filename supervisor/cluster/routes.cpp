#include "supervisor/cluster/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "supervisor/system/log.h"

namespace limpet::supervisor {
namespace {

using std::chrono::steady_clock;

std::string list_of(const std::vector<bool>& routes, bool wanted) {
  std::string result;
  for (std::size_t slot = 0; slot < routes.size(); ++slot) {
    if (routes[slot] == wanted) result += fmt::format("{}{}", result.empty() ? "" : ", ", slot);
  }
  return result;
}

}  // namespace

Routes::Routes(const Slots& slots, Listeners& listeners, ipc::SlotBoard& board)
    : slots_(slots), listeners_(listeners), board_(board) {}

void Routes::begin() { tell(std::vector<bool>(slots_.open(), true)); }

void Routes::update() {
  if (slots_.stopping()) return;
  const auto now = steady_clock::now();
  std::vector<bool> next;
  for (std::uint16_t slot = 0; slot < slots_.open(); ++slot) next.push_back(slots_.at(slot).takes_part(now));
  // Nobody can take anything: their clients wait where they belong.
  const bool none = std::none_of(next.begin(), next.end(), [](bool each) { return each; });
  if (none) next.assign(next.size(), true);
  if (next == routes_) return;
  tell(std::move(next));
  const std::string out = list_of(routes_, false);
  log(Level::Info,
      none          ? "routes: no slot serves; clients wait at their own"
      : out.empty() ? "routes: every slot gets its clients"
                    : fmt::format("routes: clients of slots {} go to slots {}", out, list_of(routes_, true)));
}

void Routes::tell(std::vector<bool> next) {
  listeners_.route(next);
  routes_ = std::move(next);
  // Of every slot there can be: one that is closed takes no part.
  for (std::uint16_t slot = 0; slot < board_.slots(); ++slot)
    board_.set_takes_part(slot, slot < routes_.size() && routes_[slot]);
}

void Routes::show_opening(std::uint16_t slots) {
  for (std::uint16_t slot = slots_.open(); slot < slots; ++slot)
    board_.set_takes_part(slot, slots_.at(slot).takes_part(steady_clock::now()));
}

void Routes::publish_sessions() {
  for (const auto& slot : slots_) {
    std::uint64_t sessions = 0;
    for (const auto& worker : slot->workers) {
      if (worker->counters) sessions += worker->counters->get(ipc::Counter::SessionsOpen);
    }
    board_.set_sessions(slot->number, sessions);
  }
  board_.publish();
}

}  // namespace limpet::supervisor
