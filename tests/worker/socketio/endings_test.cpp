// Sockets with many rooms, replies and handlers: how they end over several turns, and that what is charged to
// their sessions is given back to the byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/worker/socketio/world.h"

namespace limpet::socketio {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::string room(std::size_t number) { return "room " + std::to_string(number); }

struct Pair : World {
  explicit Pair(int count = 2) {
    io.on_connection([this](Socket& socket) { sockets.push_back(socket); });
    for (int i = 0; i < count; ++i) clients.push_back(join());
  }
  void join_rooms(std::size_t count) {
    for (const Socket& socket : sockets)
      for (std::size_t i = 0; i < count; ++i) socket.join(room(i));
  }
  /// A turn that may do so many units.
  void turn(std::uint32_t units) {
    loop::Allowance allowance;
    allowance.begin(units, 1h);
    application.tick(allowance);
  }
  [[nodiscard]] bool at_work() const {
    const auto next = application.next_deadline();
    return next && *next <= clock.now();
  }
  /// How many turns it took.
  std::size_t finish(std::uint32_t units = 100) {
    std::size_t turns = 0;
    for (; at_work(); ++turns) turn(units);
    return turns;
  }
  std::vector<Socket> sockets;
  std::deque<Client> clients;
};

constexpr std::size_t kMany = 1000;

TEST(Endings, ASocketThatEndedWithManyRoomsGetsNoBroadcastThoughItHasNotLeftThem) {
  Pair pair;
  pair.join_rooms(kMany);
  pair.clients[0].say("1");  // the namespace alone: its session goes on
  EXPECT_TRUE(pair.at_work());
  const std::uint64_t sent = pair.server.stats().packets_out;
  for (std::size_t i = 0; i < kMany; ++i) pair.io.to(room(i)).emit("e");
  EXPECT_THAT(pair.clients[0].heard(), IsEmpty());
  EXPECT_THAT(pair.clients[1].heard(), SizeIs(kMany));
  EXPECT_EQ(pair.server.stats().packets_out - sent, kMany) << "what nobody got is not counted";
  EXPECT_GT(pair.finish(), 5u);
  EXPECT_EQ(pair.server.held_for_ended(), 0u);
  pair.io.to(room(kMany - 1)).emit("e");
  EXPECT_THAT(pair.clients[1].heard(), SizeIs(1));
}

TEST(Endings, ASessionMayBeGoneBeforeItsSocketHasLeftAllRooms) {
  Pair pair;
  pair.join_rooms(kMany);
  pair.clients.pop_front();  // the session is freed
  EXPECT_TRUE(pair.at_work());
  pair.io.to(room(kMany / 2)).except(room(3)).emit("e");
  pair.io.to(room(kMany / 2)).emit("e");
  pair.io.to(room(kMany / 2)).volatile_().emit("e");
  EXPECT_THAT(pair.clients[0].heard(), SizeIs(2));
  pair.finish();
  EXPECT_EQ(pair.server.held_for_ended(), 0u);
}

TEST(Endings, TheServerMayGoBeforeAllRoomsAreLeft) {
  Pair pair;
  pair.join_rooms(kMany);
  pair.clients.clear();
  EXPECT_TRUE(pair.at_work());
}

TEST(Endings, TheNamesOfRoomsAreChargedToTheTurnByTheirBytes) {
  const auto turns_with = [](const std::string& prefix) {
    Pair pair;
    for (std::size_t i = 0; i < 400; ++i) pair.sockets[0].join(prefix + room(i));
    pair.clients[0].close();
    return pair.finish();
  };
  EXPECT_LE(turns_with(""), 2u);
  EXPECT_GE(turns_with(std::string(40'000, 'n')), 144 * 9 / 100)
      << "144 rooms are left, each of 9 units and more";
}

TEST(Endings, AClientThatJoinsAgainIsANewSocketWhileTheOldOneIsStillEnding) {
  Pair pair;
  pair.join_rooms(kMany);
  pair.sockets[0].emit("q", [](std::optional<Error>) {});
  for (std::size_t i = 0; i < kMany; ++i) pair.sockets[0].emit("q", [](std::optional<Error>) {});
  pair.clients[0].say("1").heard();
  pair.clients[0].say("0");
  EXPECT_FALSE(pair.clients[0].closed_by_server());
  EXPECT_THAT(pair.clients[0].heard(), ElementsAre(R"(0{"sid":")" + World::id(3) + "\"}"));
  EXPECT_TRUE(pair.sockets[2].join(room(1)));
  pair.io.to(room(1)).emit("e");
  EXPECT_THAT(pair.clients[0].heard(), SizeIs(1));
  pair.finish();
  EXPECT_TRUE(pair.sockets[2].in_room(room(1)));
}

TEST(Endings, ManyRepliesAreGivenUpBeforeTheDisconnectHandlersRun) {
  Pair pair;
  std::vector<std::string> seen;
  pair.sockets[0].on_disconnect([&](std::string_view reason) { seen.emplace_back(reason); });
  for (std::size_t i = 0; i < kMany; ++i)
    pair.sockets[0].emit("q", [&seen](std::optional<Error> error) { seen.push_back(error->message); });
  pair.clients[0].close();
  EXPECT_THAT(seen, SizeIs(256));
  EXPECT_GT(pair.finish(), 5u);
  ASSERT_THAT(seen, SizeIs(kMany + 1));
  EXPECT_EQ(seen[kMany - 1], "socket has been disconnected");
  EXPECT_EQ(seen[kMany], "transport close");
  EXPECT_FALSE(pair.sockets[0].connected());
  EXPECT_EQ(pair.server.held_for_ended(), 0u);
}

TEST(Endings, RoomsOfEveryCountAreJoinedAndLeftInAnyOrder) {
  // Around each size at which something changes: the index, and the gate.
  for (const std::size_t count : {8, 9, 16, 17, 18, 255, 256, 257, 300}) {
    Pair pair;
    pair.join_rooms(count);
    pair.join_rooms(count);  // again: nothing happens
    EXPECT_THAT(pair.sockets[0].rooms(), SizeIs(count + 1));
    for (std::size_t i = 0; i < count; ++i) {
      const std::string name = room(i * 7 % count);
      if (count % 7 == 0) break;
      ASSERT_TRUE(pair.sockets[0].leave(name)) << count;
      ASSERT_FALSE(pair.sockets[0].in_room(name));
      ASSERT_FALSE(pair.sockets[0].leave(name));
      pair.io.to(name).emit("e");
      ASSERT_THAT(pair.clients[0].heard(), IsEmpty());
      ASSERT_THAT(pair.clients[1].heard(), SizeIs(1));
    }
    pair.sockets[0].join("one more");
    pair.io.to("one more").emit("e");
    EXPECT_THAT(pair.clients[0].heard(), SizeIs(1));
  }
}

TEST(Endings, RepliesAreFoundInAnyOrder) {
  Pair pair;
  std::size_t answered = 0;
  for (std::size_t i = 0; i < kMany; ++i) pair.sockets[0].emit("q", [&answered] { ++answered; });
  for (std::size_t i = 0; i < kMany; ++i) {
    const std::string answer = "3" + std::to_string(i * 7 % kMany) + "[]";
    pair.clients[0].say(answer).say(answer);  // the second one is for nobody
    ASSERT_EQ(answered, i + 1);
  }
}

TEST(Endings, HandlersOfManyEventsAreCalledAndRemovedOneByOne) {
  Pair pair;
  std::vector<std::size_t> calls(200);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    pair.sockets[0].on(room(i), [&calls, i] { calls[i] += 1; });
    pair.sockets[0].once(room(i), [&calls, i] { calls[i] += 100; });
  }
  for (int round = 0; round < 2; ++round)
    for (std::size_t i = 0; i < calls.size(); ++i) pair.clients[0].say("2[\"" + room(i) + "\"]");
  EXPECT_THAT(calls, testing::Each(102u));
  for (std::size_t i = 0; i < calls.size(); ++i) {
    EXPECT_TRUE(pair.sockets[0].off(room(i)));
    EXPECT_FALSE(pair.sockets[0].off(room(i)));
  }
}

// ---- what is held

TEST(Held, EveryKindOfThingIsChargedAndGivenBack) {
  Pair pair;
  std::ptrdiff_t& held = pair.clients[0].session().held;
  const std::ptrdiff_t before = held;
  EXPECT_GT(before, 0) << "a client and a socket";
  const auto costs = [&](auto&& make, auto&& undo) {
    make();
    EXPECT_GT(held, before);
    undo();
    EXPECT_EQ(held, before);
  };
  const Socket& socket = pair.sockets[0];
  costs([&] { socket.join("r"); }, [&] { socket.leave("r"); });
  costs([&] { socket.on("e", [] {}); }, [&] { socket.off("e"); });
  costs(
      [&] {
        pair.clients[0]
            .say(R"(52-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}])")
            .bytes("x");
      },
      [&] { pair.clients[0].bytes("y"); });
}

TEST(Held, ARoomIsPaidForByOneOfItsMembers) {
  Pair pair;
  const std::string name(5000, 'r');
  const std::ptrdiff_t before = pair.clients[1].session().held;
  for (const Socket& socket : pair.sockets) socket.join(name);
  EXPECT_GT(pair.clients[0].session().held, 5000);
  EXPECT_LT(pair.clients[1].session().held, before + 5000);
  pair.sockets[0].leave(name);
  EXPECT_LT(pair.clients[0].session().held, 5000);
  EXPECT_GT(pair.clients[1].session().held, before + 5000);
  pair.sockets[1].leave(name);
  EXPECT_EQ(pair.clients[1].session().held, before);
}

/// All that can be held, of every kind.
void burden(Pair& pair) {
  pair.join_rooms(kMany);
  for (const Socket& socket : pair.sockets) {
    for (std::size_t i = 0; i < kMany; ++i) {
      socket.emit("q", [](std::optional<Error>) {});
      socket.timeout(1h).emit("q", [](std::optional<Error>) {});
      socket.on(room(i), [] {});
    }
    socket.data() = "something";
  }
  for (Client& client : pair.clients) client.say(R"(52-["e"])").bytes("half of it");
}

TEST(Held, NothingIsHeldAfterTheEnd) {
  Pair pair;
  burden(pair);
  for (Client& client : pair.clients) {
    EXPECT_GT(client.session().held, 100'000);
    client.close();
    EXPECT_EQ(client.session().held, 0) << "at once, although the rest takes some turns";
  }
  EXPECT_GT(pair.server.held_for_ended(), 0u);
  pair.finish();
  EXPECT_EQ(pair.server.held_for_ended(), 0u);
}

TEST(Held, NothingIsHeldForASessionThatMovedAndOnlyRepliesForItsSockets) {
  Pair pair;
  Pair there(0);
  burden(pair);
  FakeSession arrived("GET / HTTP/1.1\r\n\r\n");
  const std::ptrdiff_t held = pair.clients[0].session().held;
  ASSERT_TRUE(there.server.arrive(arrived, pair.server.depart(pair.clients[0].session())));
  EXPECT_EQ(pair.clients[0].session().held, 0);
  EXPECT_GT(arrived.held, 10'000);
  EXPECT_LT(arrived.held, held);
  pair.io.to(room(kMany - 1)).emit("e");
  EXPECT_EQ(pair.clients[1].heard().size(), 2 * kMany + 1) << "what it was asked, and the broadcast";
  pair.finish();
  EXPECT_EQ(pair.server.awaited_replies(), 2 * kMany);
  pair.server.forget_moved();
  pair.finish();
  EXPECT_EQ(pair.server.awaited_replies(), 0u);
  EXPECT_EQ(pair.server.held_for_ended(), 0u);
  there.server.on_close(arrived, engineio::CloseReason::TransportClose);
  there.finish();
  EXPECT_EQ(arrived.held, 0);
  EXPECT_EQ(there.server.held_for_ended(), 0u);
}

// ---- packets, time-outs

TEST(Attachments, OneThatIsNamedTwiceIsAParseError) {
  Pair pair;
  pair.clients[0].say(R"(51-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}])");
  EXPECT_TRUE(pair.clients[0].closed_by_server());
  EXPECT_EQ(pair.server.stats().decode_errors, 1u);
}

TEST(Attachments, APacketMayBeAsLargeAsTheLimitWithAllOfThemAndNotLarger) {
  const std::string text = R"(52-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}])";
  Options options;
  options.max_packet_bytes = text.size() + 100;
  for (const std::size_t last : {49u, 50u, 51u}) {
    World world(options);
    Client client = world.join();
    client.say(text).bytes(std::string(50, 'x')).bytes(std::string(last, 'x'));
    EXPECT_EQ(client.closed_by_server(), last > 50) << last;
    client.close();
    EXPECT_EQ(client.session().held, 0);
  }
}

TEST(TimeOuts, WhatATurnHasNoAllowanceForIsDoneInTheNextOnes) {
  Pair pair;
  std::size_t ran = 0;
  for (int i = 0; i < 10; ++i) pair.io.after(1s, [&ran] { ++ran; });
  for (int i = 0; i < 10; ++i) pair.clients.push_back(pair.open());
  pair.clock.advance_to(pair.clock.now() + 1h);
  pair.turn(5);
  EXPECT_EQ(ran, 5u);
  EXPECT_EQ(pair.finish(5), 3u);
  EXPECT_EQ(ran, 10u);
  EXPECT_TRUE(pair.clients.back().closed_by_server());
}

TEST(TimeOuts, ATaskThatAddsItselfForEverStarvesNobody) {
  Pair pair;
  std::function<void()> again = [&] { pair.io.after(0ms, [&again] { again(); }); };
  for (int i = 0; i < 10; ++i) again();
  pair.clients.push_back(pair.open());
  pair.clock.advance_to(pair.clock.now() + 1h);
  for (int i = 0; i < 4; ++i) pair.turn(1);
  EXPECT_TRUE(pair.clients.back().closed_by_server());
}

}  // namespace
}  // namespace limpet::socketio
