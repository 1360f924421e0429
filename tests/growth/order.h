// The orders in which a client can do something with n things that were made one after another.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <random>
#include <vector>

namespace limpet::growth {

enum class Order { AsMade, Reverse, Random };

/// 0 … n-1 in that order, always the same.
inline std::vector<std::size_t> numbers(std::size_t n, Order order) {
  std::vector<std::size_t> all(n);
  std::iota(all.begin(), all.end(), std::size_t{0});
  if (order == Order::Reverse) std::reverse(all.begin(), all.end());
  if (order == Order::Random) std::shuffle(all.begin(), all.end(), std::mt19937(4711));
  return all;
}

}  // namespace limpet::growth
