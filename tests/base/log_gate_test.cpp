#include "base/log_gate.h"

#include <gtest/gtest.h>

#include <chrono>

namespace limpet::base::test {
namespace {

using namespace std::chrono_literals;

TEST(LogGate, LetsFiveLinesASecondThroughAndTellsTheNextOneHowManyWereLeftOut) {
  LogGate gate;
  const std::chrono::steady_clock::time_point start(1000s);
  for (unsigned i = 0; i < LogGate::kLinesPerSecond; ++i) EXPECT_EQ(gate.pass(start), 0u);
  for (int i = 0; i < 53'012; ++i) EXPECT_FALSE(gate.pass(start + 999ms));
  EXPECT_EQ(gate.pass(start + 1s), 53'012u);
  EXPECT_EQ(gate.pass(start + 1s), 0u) << "told once";
}

TEST(LogGate, LetsTheFirstLineThroughWhateverTheTimeIs) { EXPECT_EQ(LogGate().pass({}), 0u); }

}  // namespace
}  // namespace limpet::base::test
