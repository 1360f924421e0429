// A program comes through an upgrade as it was.
#include "supervisor/cluster/saved_program.h"

#include <gtest/gtest.h>

#include "supervisor/options/table.h"

namespace limpet::supervisor {
namespace {

TEST(SavedProgram, options_come_back_as_they_were) {
  Program program;
  program.options = load_options(CommandLine{}).options;
  program.options.move = false;
  program.options.workers = 7;
  program.options.listen = {"tcp://127.0.0.1:1", "tcp://127.0.0.1:2"};
  program.options.drain_window = std::chrono::milliseconds(1234);
  program.options.application = {"./app", "argument"};
  EXPECT_EQ(restore_options(save(program)), program.options);
}

TEST(SavedProgram, options_that_nobody_has_set_are_not_carried_to_a_build_that_may_not_know_them) {
  Program program;
  program.options = load_options(CommandLine{}).options;
  EXPECT_TRUE(save(program).options.empty());
  program.options.send_stall = std::chrono::milliseconds(1234);
  const auto carried = save(program).options;
  ASSERT_EQ(carried.size(), 1U);
  EXPECT_EQ(carried[0].name, "limits.send_stall");
}

}  // namespace
}  // namespace limpet::supervisor
