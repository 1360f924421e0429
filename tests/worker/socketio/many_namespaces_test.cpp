// Clients in many namespaces: each packet finds its socket, each socket ends alone, whatever their number.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/worker/socketio/world.h"
#include "worker/socketio/many_sockets.h"

namespace limpet::socketio {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

std::string name(std::size_t number) { return "/" + std::to_string(number); }

/// One client in so many namespaces, in each of which it may say "e".
struct InMany : World {
  explicit InMany(std::size_t count, int first_id = 0) : client(open()) {
    ids = first_id;
    for (std::size_t i = 0; i < count; ++i) {
      io.of(name(i)).on_connection([this, i](Socket& socket) {
        sockets.insert_or_assign(i, socket);
        socket.on("e", [this, i] { heard.push_back(i); });
        socket.on_disconnect([this, i](std::string_view) {
          ended.push_back(i);
          if (on_end) on_end(i);
        });
      });
    }
    for (std::size_t i = 0; i < count; ++i) enter(i);
  }
  void enter(std::size_t number) { client.say("0" + name(number) + ","); }
  void exit(std::size_t number) { client.say("1" + name(number) + ","); }
  /// Does the server have it there?
  bool says(std::size_t number) {
    heard.clear();
    client.say("2" + name(number) + R"(,["e"])");
    return heard == std::vector<std::size_t>{number};
  }
  /// So that the end of this socket takes several turns.
  void await_much(std::size_t number) {
    for (int i = 0; i < 300; ++i) sockets.at(number).emit("q", [](std::optional<Error>) {});
  }

  std::map<std::size_t, Socket> sockets;
  std::vector<std::size_t> heard;
  std::vector<std::size_t> ended;
  std::function<void(std::size_t)> on_end;
  Client client;
};

constexpr std::size_t kCounts[] = {1, 2, kFewSockets - 1, kFewSockets, kFewSockets + 1, 3 * kFewSockets};

TEST(ManyNamespaces, EachPacketFindsItsSocketAndAnotherOneOnceItHasComeAgain) {
  for (const std::size_t count : kCounts) {
    InMany world(count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t number = (i * 7 + count / 2) % count;  // 7 divides none of them
      ASSERT_TRUE(world.says(number)) << number << " of " << count;
      const Socket before = world.sockets.at(number);
      world.exit(number);
      ASSERT_FALSE(before.connected());
      world.enter(number);
      ASSERT_TRUE(world.says(number)) << number << " of " << count;
      ASSERT_TRUE(world.sockets.at(number).connected());
    }
    EXPECT_EQ(world.io.of(name(0)).local_size(), 1u);
    EXPECT_FALSE(world.client.closed_by_server());
  }
}

TEST(ManyNamespaces, AllAreLeftInAnyOrderAndJoinedAgain) {
  for (const std::size_t count : kCounts) {
    InMany world(count);
    for (int round = 0; round < 2; ++round) {
      for (std::size_t i = 0; i < count; ++i) {
        world.exit((i * 7 + 1) % count);
        for (std::size_t later = i + 1; later < count; ++later)
          ASSERT_TRUE(world.says((later * 7 + 1) % count));
      }
      for (std::size_t i = 0; i < count; ++i) world.enter(i);
    }
    EXPECT_THAT(world.ended, SizeIs(2 * count));
    EXPECT_FALSE(world.client.closed_by_server());
  }
}

TEST(ManyNamespaces, WhatIsSaidWhereTheClientIsNotClosesIt) {
  for (const std::size_t count : kCounts) {
    InMany world(count);
    world.exit(0);
    EXPECT_FALSE(world.says(0));
    EXPECT_TRUE(world.client.closed_by_server());
    EXPECT_THAT(world.ended, SizeIs(count)) << "its other sockets end with it";
  }
}

TEST(ManyNamespaces, ASocketThatIsStillEndingIsNotTheOneThatHasComeInItsPlace) {
  for (const std::size_t count : kCounts) {
    InMany world(count);
    world.await_much(0);
    world.exit(0);
    EXPECT_THAT(world.ended, IsEmpty());
    world.enter(0);
    EXPECT_TRUE(world.says(0));
    while (world.ended.empty()) world.advance(0ms);
    EXPECT_TRUE(world.says(0));
    world.client.close();
    EXPECT_THAT(world.ended, SizeIs(count + 1));
    EXPECT_EQ(world.server.held_for_ended(), 0u);
  }
}

TEST(ManyNamespaces, AllEndWithTheSessionThoughSomeTakeSeveralTurns) {
  for (const std::size_t count : kCounts) {
    InMany world(count);
    for (std::size_t i = 0; i < count; i += 2) world.await_much(i);
    world.client.close();
    for (int i = 0; i < 100 && world.ended.size() < count; ++i) world.advance(0ms);
    std::sort(world.ended.begin(), world.ended.end());
    ASSERT_THAT(world.ended, SizeIs(count));
    EXPECT_EQ(std::unique(world.ended.begin(), world.ended.end()), world.ended.end()) << "each once";
    EXPECT_EQ(world.server.held_for_ended(), 0u);
  }
}

TEST(ManyNamespaces, AHandlerThatEndsOtherSocketsOfTheClientThatGoesMayDoSo) {
  for (const std::size_t count : kCounts) {
    InMany world(count);
    world.await_much(0);
    world.on_end = [&](std::size_t number) {
      for (const std::size_t other : {number + 1, number + 7, number / 2})
        if (other < count) world.sockets.at(other).disconnect();
    };
    world.client.close();
    for (int i = 0; i < 100 && world.ended.size() < count; ++i) world.advance(0ms);
    EXPECT_THAT(world.ended, SizeIs(count));
  }
}

TEST(ManyNamespaces, TheyMoveWithTheirClient) {
  for (const std::size_t count : kCounts) {
    InMany from(count);
    InMany to(count, 1000);  // no socket of the same id
    for (std::size_t i = 0; i < count; ++i) from.await_much(i);
    FakeSession session("GET / HTTP/1.1\r\n\r\n");
    ASSERT_TRUE(to.server.arrive(session, from.server.depart(from.client.session())));
    to.heard.clear();
    to.server.announce_arrival(session);
    for (std::size_t i = 0; i < count; ++i) to.server.on_text(session, "2" + name(i) + R"(,["e"])");
    EXPECT_THAT(to.heard, SizeIs(count));
    from.server.give_up_moved_replies();
    from.server.forget_moved();
    for (int i = 0; i < 100 && from.application.next_deadline(); ++i) from.advance(0ms);
    EXPECT_EQ(from.server.held_for_ended(), 0u);
    to.server.on_close(session, engineio::CloseReason::TransportClose);
    EXPECT_THAT(to.ended, SizeIs(count));
  }
}

TEST(ManyNamespaces, TheServerMayGoFirst) {
  FakeSession session("GET / HTTP/1.1\r\n\r\n");
  for (const std::size_t count : kCounts) {
    InMany world(count);
    world.server.on_open(session);
    for (std::size_t i = 0; i < count; ++i) world.server.on_text(session, "0" + name(i) + ",");
  }
  EXPECT_EQ(session.user, nullptr);
}

}  // namespace
}  // namespace limpet::socketio
