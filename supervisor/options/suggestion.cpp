#include "supervisor/options/suggestion.h"

#include <algorithm>
#include <numeric>

namespace limpet::supervisor {
namespace {

/// Insertions, deletions and replacements from one to the other (Levenshtein).
std::size_t distance(std::string_view one, std::string_view other) {
  std::vector<std::size_t> row(other.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < one.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < other.size(); ++j) {
      const std::size_t replaced = diagonal + (one[i] == other[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& each : known) {
    // At least so many have to be inserted: a very long word costs nothing.
    if (std::max(word.size(), each.size()) - std::min(word.size(), each.size()) >= least) continue;
    const std::size_t steps = distance(word, each);
    if (steps < least) {
      least = steps;
      best = each;
    }
  }
  return best;
}

}  // namespace limpet::supervisor
