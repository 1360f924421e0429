// RoomList: a value, whatever it shares with others.
#include "worker/limpet/detail/room_list.h"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/worker/socketio/world.h"

namespace limpet::detail {
namespace {

std::vector<std::string> names_of(const RoomList& list) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < list.size(); ++i) names.emplace_back(list[i]);
  return names;
}

RoomList with(RoomList list, std::string_view name) {
  list.add(name, socketio::kMostRooms);
  return list;
}

TEST(RoomList, TwoThatGoDifferentWaysKeepTheirOwn) {
  for (const std::string& first :
       {std::string("a"), std::string(31, 'a'), std::string(32, 'a'), std::string()}) {
    const RoomList base = with(with(RoomList(), first), "b");
    const RoomList one = with(base, "c");
    const RoomList two = with(base, "d");
    const RoomList three = with(one, "e");
    const RoomList four = with(one, "f");
    EXPECT_EQ(names_of(base), (socketio::Texts{first, "b"}));
    EXPECT_EQ(names_of(one), (socketio::Texts{first, "b", "c"}));
    EXPECT_EQ(names_of(two), (socketio::Texts{first, "b", "d"}));
    EXPECT_EQ(names_of(three), (socketio::Texts{first, "b", "c", "e"}));
    EXPECT_EQ(names_of(four), (socketio::Texts{first, "b", "c", "f"}));
  }
}

TEST(RoomList, OneThatIsMovedFromIsEmpty) {
  RoomList from = with(with(RoomList(), "a"), "b");
  const RoomList to = std::move(from);
  EXPECT_EQ(from.size(), 0u);  // NOLINT(bugprone-use-after-move): that is what is tested
  from.add("c", socketio::kMostRooms);
  EXPECT_EQ(names_of(from), (socketio::Texts{"c"}));
  EXPECT_EQ(names_of(to), (socketio::Texts{"a", "b"}));
}

TEST(RoomList, HasTheNamesOfAListOfItsOwnThroughAnyOrderOfCopiesAndAdditions) {
  std::mt19937 random(5);
  std::vector<RoomList> lists(8);
  std::vector<socketio::Texts> wanted(8);
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t from = random() % lists.size();
    const std::size_t to = random() % lists.size();
    const auto act = random() % 8;
    if (act == 0) {
      lists[to] = RoomList();
      wanted[to].clear();
    } else if (act < 3) {
      lists[to] = lists[from];
      wanted[to] = socketio::Texts(wanted[from]);
    } else if (wanted[from].size() < 12) {
      const std::string name(random() % 40, static_cast<char>('a' + step % 26));
      lists[to] = with(lists[from], name);
      wanted[to] = socketio::Texts(wanted[from]);
      wanted[to].push_back(name);
    }
    for (std::size_t i = 0; i < lists.size(); ++i)
      ASSERT_EQ(names_of(lists[i]), wanted[i]) << "step " << step;
  }
}

TEST(RoomList, AsManyAsMayBeAreChosenOneByOneOrAllAtOnce) {
  socketio::World world;
  socketio::Texts names;
  for (std::size_t i = 0; i < socketio::kMostRooms; ++i) names.push_back("room " + std::to_string(i));
  auto all = world.io.to(names.front());
  const std::clock_t begun = std::clock();  // with a copy of all names each time: minutes
  for (std::size_t i = 1; i < names.size(); ++i) all = all.to(names[i]);
  EXPECT_LT(std::clock() - begun, 5 * CLOCKS_PER_SEC);
  EXPECT_EQ(all.emit("e"), EmitResult::Published);
  EXPECT_THROW((void)all.to("one more"), std::length_error);
  EXPECT_EQ(world.io.to(names).except(names).emit("e"), EmitResult::Published);
  EXPECT_THROW((void)world.io.except(names).except("one more"), std::length_error);
  EXPECT_EQ(world.io.to({"a", "b"}).to(std::set<std::string>{"c"}).emit("e"), EmitResult::Published);
}

TEST(RoomList, SeveralRoomsInBracesAreSeveralRooms) {
  socketio::World world;
  Socket socket;
  world.io.on_connection([&socket](Socket& connected) { socket = connected; });
  socketio::Client client = world.join();
  socket.join("b");
  const auto reached = [&client](const BroadcastOperator& chosen) {
    (void)chosen.emit("e");
    return client.heard().size();
  };
  const BroadcastOperator none = world.io.to("nobody");
  EXPECT_EQ(reached(none), 0u);
  EXPECT_EQ(reached(none.to({"a", "b"})) + reached(none.in({"a", "b"})), 2u);
  EXPECT_EQ(reached(world.io.to({"a", "b"})) + reached(world.io.in({"a", "b"})), 2u);
  EXPECT_EQ(reached(none.to("b").except({"a", "b"})), 0u);
  EXPECT_EQ(reached(world.io.except({"a", "b"})), 0u);
  EXPECT_EQ(reached(world.io.except({"a", "c"})), 1u);
  EXPECT_EQ(reached(socket.to({"a", "b"})) + reached(socket.in({"a", "b"})), 0u) << "not to itself";
}

TEST(RoomList, TheSenderIsOneOfTheExceptions) {
  socketio::World world;
  Socket socket;
  world.io.on_connection([&socket](Socket& connected) { socket = connected; });
  socketio::Client client = world.join();
  const socketio::Texts most(socketio::kMostRooms - 1, "r");
  EXPECT_EQ(socket.except(most).emit("e"), EmitResult::Published);
  EXPECT_THROW((void)socket.except(most).except("r"), std::length_error);
}

TEST(RoomList, ANameThatIsTooLongIsRefusedInWords) {
  socketio::World world;
  Socket socket;
  world.io.on_connection([&socket](Socket& connected) { socket = connected; });
  socketio::Client client = world.join();
  const std::string longest(socketio::kLongestRoomName, 'n');
  EXPECT_TRUE(socket.join(longest));
  EXPECT_EQ(world.io.to(longest).emit("e"), EmitResult::Published);
  EXPECT_EQ(client.heard().size(), 1u);
  const std::string longer = longest + "n";
  EXPECT_THROW((void)world.io.to(longer), std::length_error);
  EXPECT_THROW((void)world.io.except(longer), std::length_error);
  EXPECT_THROW(socket.join({"a", longer}), std::length_error);
  try {
    socket.join(longer);
    FAIL();
  } catch (const std::length_error& error) {
    EXPECT_STREQ(error.what(), "the name of a room has 65536 bytes, the limit is 65535");
  }
  EXPECT_EQ(socket.rooms(), (socketio::Texts{socketio::World::id(1), longest, "a"}));
}

TEST(RoomList, AHandlerThatNamesARoomTooLongIsToldOfInTheLogAndCounted) {
  socketio::World world;
  world.io.on_connection([](Socket& socket) {
    socket.on("enter", [](Socket from, std::string_view room) { from.join(room); });
  });
  socketio::Client client = world.join();
  client.say(R"(2["enter",")" + std::string(socketio::kLongestRoomName + 1, 'n') + R"("])");
  EXPECT_EQ(world.application.handler_exceptions(), 1u);
  EXPECT_FALSE(client.closed_by_server());
}

/// Of the first and the third client: each name is made when it is asked for, as a view of <ranges> would do
/// it.
struct OddRooms {
  struct Iterator {
    using value_type = std::string;
    using difference_type = std::ptrdiff_t;
    int number = 1;
    std::string operator*() const { return "a room with a long name, number " + socketio::World::id(number); }
    Iterator& operator++() {
      number += 2;
      return *this;
    }
    Iterator operator++(int) { return std::exchange(*this, Iterator{number + 2}); }
    bool operator==(const Iterator&) const = default;
  };
  [[nodiscard]] static Iterator begin() { return {}; }
  [[nodiscard]] static Iterator end() { return {5}; }
};

TEST(RoomList, TakesNamesThatAreMadeOneByOne) {
  socketio::World world;
  std::vector<socketio::Client> clients;
  world.io.on_connection(
      [](Socket& socket) { socket.join("a room with a long name, number " + std::string(socket.id())); });
  for (int i = 0; i < 3; ++i) clients.push_back(world.join());
  world.io.to(OddRooms()).emit("e");
  EXPECT_EQ(clients[0].heard(), (socketio::Texts{R"(2["e"])"}));
  EXPECT_EQ(clients[1].heard(), socketio::Texts());
  EXPECT_EQ(clients[2].heard(), (socketio::Texts{R"(2["e"])"}));
  world.io.except(OddRooms()).emit("e");
  EXPECT_EQ(clients[1].heard(), (socketio::Texts{R"(2["e"])"}));
}

}  // namespace
}  // namespace limpet::detail
