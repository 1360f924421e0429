// Rows that show that the growth test notices what it is there for, and nothing else.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/growth/growth.h"

namespace limpet::growth {
namespace {

void erase_at_the_front(std::size_t n) {
  std::vector<std::string> all(n, "something");
  counted([&] {
    while (!all.empty()) all.erase(all.begin());
  });
}

void erase_at_the_back(std::size_t n) {
  std::vector<std::string> all(n, "something");
  counted([&] {
    while (!all.empty()) all.pop_back();
  });
}

void count_nothing(std::size_t n) {
  std::vector<std::string> all(n, "something");
  counted([] {});
  EXPECT_EQ(all.size(), n);
}

}  // namespace

Rows self_test_rows() {
  return {
      {"self_test_linear", 4096, erase_at_the_back},
      {"self_test_quadratic", 512, erase_at_the_front, true},
      {"self_test_counts_nothing", 4096, count_nothing, true},
  };
}

}  // namespace limpet::growth
