// The guarded door to the application's code.
#include "worker/application/guard.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace limpet::application {
namespace {

struct GuardTest : testing::Test {
  loop::Clock clock;
  Guard guard{clock};
};

TEST_F(GuardTest, CountsWhateverIsThrown) {
  int runs = 0;
  guard.run({"event", "id"}, [&] { ++runs; });
  EXPECT_EQ(guard.failures(), 0u);
  guard.run({"event", "id"}, [&] {
    ++runs;
    throw std::runtime_error("broken");
  });
  guard.run({"event", ""}, [] { throw 42; });  // NOLINT: whatever an application may throw
  guard.note_failure({"event", ""}, "is missing", 1);
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(guard.failures(), 3u);
}

TEST_F(GuardTest, MeasuresOneThatThrowsTooAndOneInsideAnotherOnce) {
  guard.caught({"ours", ""}, [] {});
  EXPECT_EQ(guard.handler_clock().ticks(), 0u) << "not the application's";
  std::uint64_t inside = 1;
  guard.run({"outer", ""}, [&] {
    guard.run({"inner", ""}, [] {});
    inside = guard.handler_clock().ticks();
  });
  EXPECT_EQ(inside, 0u) << "it still runs";
  const std::uint64_t once = guard.handler_clock().ticks();
  EXPECT_GT(once, 0u);
  guard.run({"event", ""}, [] { throw std::runtime_error("broken"); });
  EXPECT_GT(guard.handler_clock().ticks(), once);
}

}  // namespace
}  // namespace limpet::application
