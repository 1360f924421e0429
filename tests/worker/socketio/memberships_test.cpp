// Rooms and sockets know each other's places, and every byte that is charged is given back.
#include "worker/socketio/memberships.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/worker/socketio/world.h"
#include "worker/socketio/costs.h"
#include "worker/socketio/many_rooms.h"

namespace limpet::socketio {
namespace {

using namespace std::chrono_literals;

struct MembershipsTest : testing::Test {
  struct One {
    FakeSession session{""};
    ClientState client;
    SocketState socket;
  };
  One& enter() {
    One& one = *sockets.emplace_back(std::make_unique<One>());
    one.client.session = &one.session;
    one.socket.client = &one.client;
    one.socket.nsp = &nsp;
    one.socket.id.fill(static_cast<char>('a' + sockets.size()));
    return one;
  }
  static std::set<std::string> rooms_of(const SocketState& socket) {
    std::set<std::string> names;
    for (const Membership& place : socket.rooms) names.emplace(place.room->name);
    return names;
  }
  /// M1 of memberships.h.
  static void expect_both_sides_agree(const SocketState& socket) {
    for (std::size_t place = 0; place < socket.rooms.size(); ++place) {
      const Membership& membership = socket.rooms[place];
      ASSERT_EQ(membership.room->members.at(membership.index).socket, &socket);
      ASSERT_EQ(membership.room->places.at(membership.index), place);
    }
  }

  NamespaceState nsp;
  std::uint64_t packets_out = 0;
  Charges charges;
  Memberships memberships{charges, packets_out};
  std::vector<std::unique_ptr<One>> sockets;
};

TEST_F(MembershipsTest, AgreeAfterAnyJoinsAndLeaves) {
  std::mt19937 random(7);
  for (int i = 0; i < 5; ++i) enter();
  std::vector<std::set<std::string>> expected(sockets.size());
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t who = random() % sockets.size();
    const std::string room = "r" + std::to_string(random() % 40);
    SocketState& socket = sockets[who]->socket;
    if (random() % 2 == 0) {
      memberships.join(socket, room);
      expected[who].insert(room);
    } else {
      EXPECT_EQ(memberships.leave(socket, room), expected[who].erase(room) == 1);
    }
    ASSERT_EQ(Memberships::is_in(socket, room), expected[who].contains(room));
  }
  for (std::size_t who = 0; who < sockets.size(); ++who) {
    const SocketState& socket = sockets[who]->socket;
    EXPECT_EQ(rooms_of(socket), expected[who]);
    expect_both_sides_agree(socket);
    // It is made above kFewRooms, and given up at half as many.
    const bool has_many = socket.extras != nullptr && socket.extras->many_rooms != nullptr;
    EXPECT_TRUE(has_many ? socket.rooms.size() > kFewRooms / 2 : socket.rooms.size() <= kFewRooms)
        << socket.rooms.size();
  }
  for (const auto& one : sockets) {
    while (!one->socket.rooms.empty())
      EXPECT_TRUE(memberships.leave(one->socket, std::string(one->socket.rooms.back().room->name)));
    EXPECT_EQ(Memberships::held(one->socket), 0u);
    EXPECT_EQ(one->session.held, held_without_rooms(one->socket) - kSocketBytes);
  }
}

TEST_F(MembershipsTest, ItsOwnRoomIsImplicit) {
  SocketState& socket = enter().socket;
  const std::string own(view_of(socket.id));
  memberships.join(socket, own);
  EXPECT_TRUE(socket.rooms.empty());
  EXPECT_TRUE(Memberships::is_in(socket, own));
  EXPECT_FALSE(memberships.leave(socket, own));
}

TEST_F(MembershipsTest, OneWithManyRoomsLeavesThemAsItsAllowanceGoes) {
  One& one = enter();
  constexpr std::size_t kMany = kEndedAtOnce + 100;
  for (std::size_t i = 0; i < kMany; ++i) memberships.join(one.socket, "r" + std::to_string(i));
  const auto held = static_cast<std::ptrdiff_t>(Memberships::held(one.socket));
  charges.charge(one.socket, -held);
  one.socket.ended = true;
  charges.charge(one.socket, held);
  memberships.leave_all(one.socket);
  EXPECT_TRUE(Memberships::has_rooms_to_leave(one.socket));
  EXPECT_EQ(nsp.rooms.find("r0"), nullptr);
  const RoomState* const left = nsp.rooms.find("r" + std::to_string(kMany - 1));
  ASSERT_NE(left, nullptr);
  ++packets_out;
  left->members.front().session->send({});
  EXPECT_EQ(packets_out, 0u) << "its gate is shut, and nobody got it";
  loop::Allowance allowance;
  allowance.begin(60, 1h);
  EXPECT_FALSE(memberships.leave_more(one.socket, allowance));
  allowance.begin(60, 1h);
  EXPECT_TRUE(memberships.leave_more(one.socket, allowance));
  EXPECT_FALSE(Memberships::has_rooms_to_leave(one.socket));
  EXPECT_EQ(charges.held_for_ended(), 0u);
}

TEST(ChargesDeathTest, NothingIsGivenBackThatWasNotCharged) {
  Charges charges;
  SocketState socket;
  socket.ended = true;
  charges.charge(socket, 10);
  charges.charge(socket, -10);
  EXPECT_EQ(charges.held_for_ended(), 0u);
  EXPECT_DEATH(charges.charge(socket, -1), "more is given back");
}

}  // namespace
}  // namespace limpet::socketio
