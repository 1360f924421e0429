// What an application sets up around its sockets.
#include "worker/application/application.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tests/worker/plenty.h"
#include "tests/worker/socketio/world.h"

namespace limpet::application {
namespace {

using namespace std::chrono_literals;
using socketio::World;

TEST(Gaps, AreToldToTheApplication) {
  World world;
  std::uint64_t missed = 0;
  world.io.on_gap([&](const Gap& gap) { missed += gap.missed; });
  world.io.on_gap([](const Gap&) { throw std::runtime_error("broken"); });
  world.application.report_gap({.slot = 1, .worker_generation = 2, .missed = 17});
  EXPECT_EQ(missed, 17u);
  EXPECT_EQ(world.application.handler_exceptions(), 1u);
}

TEST(Timers, RunInOrderAndCanBeCancelled) {
  World world;
  std::string order;
  world.io.after(20ms, [&] { order += "b"; });
  world.io.after(10ms, [&] { order += "a"; });
  const TimerId never = world.io.after(15ms, [&] { order += "x"; });
  TimerId every = 0;
  every = world.io.every(10ms, [&] {
    order += ".";
    if (order.size() > 4) {
      EXPECT_TRUE(world.io.cancel(every));
    }
  });
  EXPECT_TRUE(world.io.cancel(never));
  EXPECT_FALSE(world.io.cancel(never));
  for (int i = 0; i < 10; ++i) world.advance(10ms);
  EXPECT_EQ(order, "a.b..");
  EXPECT_FALSE(world.application.next_deadline().has_value());
}

TEST(Timers, OneThatThrowsRunsAgain) {
  World world;
  int runs = 0;
  world.io.every(10ms, [&] {
    ++runs;
    throw std::runtime_error("broken");
  });
  world.advance(10ms);
  world.advance(10ms);
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(world.application.handler_exceptions(), 2u);
}

TEST(Timers, OneThatAddsItselfDoesNotHoldTheLoop) {
  World world;
  int runs = 0;
  std::function<void()> again = [&] {
    ++runs;
    world.io.after(0ms, again);
  };
  world.io.after(0ms, again);
  world.application.tick(test::plenty());
  EXPECT_EQ(runs, 1);
  world.application.tick(test::plenty());
  EXPECT_EQ(runs, 2);
}

TEST(Timers, LateLoopDoesNotMakeUpForMissedRounds) {
  World world;
  int runs = 0;
  world.io.every(10ms, [&] { ++runs; });
  world.advance(10s);
  EXPECT_EQ(runs, 1);
}

TEST(Timers, AndTimeOutsOfRepliesRunInTheOrderOfTheirTimesHoweverLateTheLoop) {
  World world;
  std::string order;
  world.io.on_connection([&](Socket& socket) {
    world.io.after(20ms, [&] { order += "b"; });
    socket.timeout(10ms).emit("e", [&](std::optional<Error> error) {
      EXPECT_EQ(error.value_or(Error{}).message, "operation has timed out");
      order += "a";
    });
    socket.timeout(30ms).emit("e", [&](std::optional<Error>) { order += "c"; });
  });
  const socketio::Client client = world.join();
  EXPECT_EQ(world.application.next_deadline(), world.clock.now() + 10ms);
  world.advance(1s);
  EXPECT_EQ(order, "abc");
}

TEST(Timers, ThatUseUpTheAllowanceLeaveEveryOtherTurnToTheServer) {
  World world({.connect_timeout = 10ms});
  const auto busy = std::make_shared<std::function<void()>>();
  *busy = [&world, again = busy.get()] { world.io.after(0ms, *again); };
  world.io.after(0ms, *busy);
  socketio::Client late = world.open();
  world.clock.advance_to(world.clock.now() + 10ms);
  for (int turn = 0; turn < 2; ++turn) {
    loop::Allowance one_unit;
    one_unit.begin(1, 1h);
    world.application.tick(one_unit);
  }
  EXPECT_TRUE(late.closed_by_server());
}

TEST(Deadlines, AreTheFirstOfTimersAndServer) {
  World world({.connect_timeout = 5s});
  EXPECT_FALSE(world.application.next_deadline().has_value());
  const socketio::Client waiting = world.open();
  EXPECT_EQ(world.application.next_deadline(), world.clock.now() + 5s);
  const TimerId timer = world.io.after(1s, [] {});
  EXPECT_EQ(world.application.next_deadline(), world.clock.now() + 1s);
  world.io.cancel(timer);
  world.io.after(9s, [] {});
  EXPECT_EQ(world.application.next_deadline(), world.clock.now() + 5s);
}

TEST(Protocols, TheFirstOneIsChosenUnlessTheApplicationNamesAnotherThatIsOffered) {
  World world;
  const std::array<std::string_view, 2> offered = {"a", "b"};
  EXPECT_EQ(world.application.choose_protocol(offered), "a");
  std::optional<std::string> answer;
  world.io.handle_protocols([&](std::span<const std::string_view>) { return answer; });
  EXPECT_EQ(world.application.choose_protocol(offered), "");
  answer = "b";
  EXPECT_EQ(world.application.choose_protocol(offered), "b");
  answer = "c";
  EXPECT_EQ(world.application.choose_protocol(offered), "");
  world.io.handle_protocols([](std::span<const std::string_view>) -> std::optional<std::string> {
    throw std::runtime_error("no");
  });
  EXPECT_EQ(world.application.choose_protocol(offered), "");
  EXPECT_EQ(world.application.handler_exceptions(), 1u);
}

TEST(Namespaces, HaveOneNameWithAndWithoutItsSlash) {
  World world;
  EXPECT_EQ(world.io.of("admin").name(), "/admin");
  EXPECT_EQ(&world.application.namespace_named("admin"), &world.application.namespace_named("/admin"));
  EXPECT_EQ(&world.application.namespace_named("/"), &world.application.namespace_named(""));
}

TEST(Middlewares, OneThatIsAddedByAnotherRunsForTheSameSocket) {
  World world;
  std::string order;
  world.io.use([&](Socket&) -> std::optional<Error> {
    order += "1";
    if (order == "1")
      world.io.use([&](Socket&) -> std::optional<Error> {
        order += "2";
        return Error{"no"};
      });
    return std::nullopt;
  });
  world.io.use([&](Socket&) -> std::optional<Error> {
    order += "x";
    return std::nullopt;
  });
  socketio::Client client = world.open();
  client.say("0");
  EXPECT_EQ(order, "1x2");
  EXPECT_EQ(client.heard(), (socketio::Texts{R"(4{"message":"no"})"}));
}

}  // namespace
}  // namespace limpet::application
