#include "supervisor/cluster/process_status.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <sstream>

namespace limpet::supervisor {
namespace {

std::string what_holds_one_with(const std::string& state, int tracer) {
  std::istringstream text(fmt::format("Name:\tapp\nState:\t{}\nPid:\t9\nTracerPid:\t{}\n", state, tracer));
  return what_holds(read_process_status(text));
}

TEST(ProcessStatus, says_what_may_hold_a_process_that_was_killed) {
  EXPECT_EQ(what_holds_one_with("D (disk sleep)", 0),
            "it is in a system call that cannot be interrupted (state D)");
  EXPECT_EQ(what_holds_one_with("t (tracing stop)", 12), "process 12 debugs it");
  EXPECT_EQ(what_holds_one_with("Z (zombie)", 12), "process 12 debugs it");
  EXPECT_EQ(what_holds_one_with("Z (zombie)", 0), "one of its threads has not ended");
  EXPECT_EQ(what_holds_one_with("R (running)", 0), "its state is R");
}

TEST(ProcessStatus, is_read_from_proc) {
  EXPECT_EQ(process_status(::getpid()).state, 'R');
  EXPECT_EQ(process_status(::getpid()).tracer, 0);
  EXPECT_EQ(process_status(-1).state, '?') << "nobody";
}

}  // namespace
}  // namespace limpet::supervisor
