#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "tests/worker/socketio/world.h"

namespace limpet::socketio {
namespace {

/// Clients who all join "/", with handles to their sockets.
struct Crowd : World {
  explicit Crowd(int count) {
    io.on_connection([this](Socket& socket) { sockets.push_back(socket); });
    for (int i = 0; i < count; ++i) clients.push_back(join());
  }
  /// Who heard something since the last call, and how often.
  std::map<int, std::size_t> heard() {
    std::map<int, std::size_t> counts;
    for (std::size_t i = 0; i < clients.size(); ++i)
      if (const auto texts = clients[i].heard(); !texts.empty()) counts[static_cast<int>(i)] = texts.size();
    return counts;
  }
  using Counts = std::map<int, std::size_t>;
  std::vector<Socket> sockets;
  std::vector<Client> clients;
};

/// Remembers what would go to the other workers.
class FakeAdapter final : public Adapter {
 public:
  EmitResult publish(const Broadcast& broadcast) override {
    std::string line(broadcast.nsp);
    for (const auto room : broadcast.rooms) line += " to " + std::string(room);
    for (const auto room : broadcast.except) line += " except " + std::string(room);
    if (broadcast.is_volatile) line += " volatile";
    line += " " + std::string(broadcast.frames.front().payload().substr(1));
    published.push_back(line);
    return result;
  }
  Texts published;
  EmitResult result = EmitResult::Deferred;
};

TEST(Broadcasting, ReachesEverybodyOfTheNamespace) {
  Crowd crowd(3);
  crowd.io.of("/admin");
  crowd.clients.push_back(crowd.open());
  crowd.clients.back().say("0/admin,");
  crowd.heard();
  EXPECT_EQ(crowd.io.emit("e", 1), EmitResult::Published);
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{0, 1}, {1, 1}, {2, 1}}));
  crowd.io.of("/admin").emit("e", 1);
  EXPECT_EQ(crowd.clients[3].heard(), (Texts{R"(2/admin,["e",1])"}));
}

TEST(Broadcasting, EncodesOnceForAll) {
  Crowd crowd(3);
  crowd.io.emit("e", std::string(1000, 'x'));
  EXPECT_EQ(crowd.clients[0].session().last_frame, crowd.clients[1].session().last_frame);
  EXPECT_EQ(crowd.clients[0].session().last_frame, crowd.clients[2].session().last_frame);
}

TEST(Broadcasting, LeavesTheSenderOut) {
  Crowd crowd(3);
  crowd.sockets[1].broadcast().emit("e");
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{0, 1}, {2, 1}}));
  crowd.sockets[0].join("r");
  crowd.sockets[1].join("r");
  crowd.sockets[1].to("r").emit("e");
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{0, 1}}));
  crowd.io.to("r").emit("e");
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{0, 1}, {1, 1}}));
}

TEST(Broadcasting, UnionOfRoomsReachesEachOnce) {
  Crowd crowd(5);
  for (int i : {0, 1, 2}) crowd.sockets[static_cast<std::size_t>(i)].join("a");
  for (int i : {1, 2, 3}) crowd.sockets[static_cast<std::size_t>(i)].join("b");
  crowd.io.to("a").to("b").emit("e");
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{0, 1}, {1, 1}, {2, 1}, {3, 1}}));
  crowd.io.to("a").in("b").to("a").to(World::id(1)).to(World::id(5)).emit("e");
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}}));
}

TEST(Broadcasting, ExceptLeavesRoomsAndSocketsOut) {
  Crowd crowd(5);
  for (std::size_t i : {0, 1, 2}) crowd.sockets[i].join("a");
  for (std::size_t i : {2, 3}) crowd.sockets[i].join("b");
  crowd.io.except("b").emit("e");
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{0, 1}, {1, 1}, {4, 1}}));
  crowd.io.to("a").except("b").emit("e");
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{0, 1}, {1, 1}}));
  crowd.io.to("a").to("b").except(World::id(1)).except("nobody").emit("e");
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{1, 1}, {2, 1}, {3, 1}}));
  crowd.sockets[0].except("b").emit("e");
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{1, 1}, {4, 1}}));
}

TEST(Broadcasting, SocketsIdIsARoom) {
  Crowd crowd(3);
  crowd.io.to(World::id(2)).emit("e");
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{1, 1}}));
  EXPECT_EQ(crowd.sockets[1].rooms(), (Texts{World::id(2)}));
  EXPECT_TRUE(crowd.sockets[1].in_room(World::id(2)));
  EXPECT_TRUE(crowd.sockets[1].join(World::id(2)));
  crowd.sockets[0].join(World::id(2));  // others may join it
  crowd.io.to(World::id(2)).emit("e");
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{0, 1}, {1, 1}}));
  crowd.io.except(World::id(2)).emit("e");
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{2, 1}}));
  crowd.io.to("nobody").emit("e");
  EXPECT_TRUE(crowd.heard().empty());
}

TEST(Broadcasting, IdsBelongToTheirNamespace) {
  Crowd crowd(1);
  crowd.io.of("/admin").to(World::id(1)).emit("e");
  EXPECT_TRUE(crowd.heard().empty());
}

TEST(Broadcasting, GoesToTheOtherWorkersUnlessLocal) {
  Crowd crowd(2);
  FakeAdapter adapter;
  crowd.server.set_adapter(&adapter);
  EXPECT_EQ(crowd.io.emit("e", 1), EmitResult::Deferred);
  EXPECT_EQ(crowd.io.local().emit("e", 2), EmitResult::Published);
  crowd.io.of("/a").to("r").except("s").volatile_().emit("e", 3);
  crowd.sockets[0].to("r").emit("e", 4);
  crowd.sockets[0].emit("e", 5);
  adapter.result = EmitResult::Published;
  EXPECT_EQ(crowd.sockets[0].broadcast().emit("e", 6), EmitResult::Published);
  EXPECT_EQ(adapter.published, (Texts{R"(/ 2["e",1])", R"(/a to r except s volatile 2/a,["e",3])",
                                      "/ to r except " + World::id(1) + R"( 2["e",4])",
                                      "/ except " + World::id(1) + R"( 2["e",6])"}));
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{0, 3}, {1, 3}}));
}

TEST(Broadcasting, DeliversWhatOtherWorkersSent) {
  Crowd crowd(3);
  FakeAdapter adapter;
  crowd.server.set_adapter(&adapter);
  crowd.sockets[0].join("r");
  crowd.sockets[1].join("r");
  const loop::Buffer frames[] = {
      websocket::make_frame(websocket::Opcode::Text, R"(451-["e",{"_placeholder":true,"num":0}])"),
      websocket::make_frame(websocket::Opcode::Binary, "abc")};
  const std::string_view rooms[] = {"r"};
  const std::string except_id = World::id(2);
  const std::string_view except[] = {except_id};
  crowd.server.deliver({.nsp = "/", .rooms = rooms, .except = except, .frames = frames});
  EXPECT_EQ(crowd.clients[0].heard(), (Texts{R"(51-["e",{"_placeholder":true,"num":0}])", "bin:abc"}));
  EXPECT_TRUE(crowd.heard().empty());
  crowd.server.deliver({.nsp = "/unknown", .rooms = {}, .except = {}, .frames = frames});
  EXPECT_TRUE(crowd.heard().empty());
  crowd.clients[2].session().is_writable = false;
  crowd.server.deliver({.nsp = "/", .rooms = {}, .except = {}, .is_volatile = true, .frames = frames});
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{0, 2}, {1, 2}}));
  EXPECT_TRUE(adapter.published.empty());
}

TEST(Rooms, AreLeftOnRequestAndAtTheEnd) {
  Crowd crowd(3);
  EXPECT_TRUE(crowd.sockets[0].join({"a", "b"}));
  EXPECT_TRUE(crowd.sockets[0].join("a"));
  EXPECT_EQ(crowd.sockets[0].rooms(), (Texts{World::id(1), "a", "b"}));
  EXPECT_TRUE(crowd.sockets[0].leave("a"));
  EXPECT_FALSE(crowd.sockets[0].leave("a"));
  EXPECT_FALSE(crowd.sockets[0].in_room("a"));
  crowd.io.to("a").emit("e");
  EXPECT_TRUE(crowd.heard().empty());
  crowd.io.to("b").emit("e");
  EXPECT_EQ(crowd.heard(), (Crowd::Counts{{0, 1}}));
  crowd.clients[0].close();
  crowd.io.to("b").emit("e");
  EXPECT_TRUE(crowd.heard().empty());
  EXPECT_EQ(crowd.io.local_size(), 2u);
}

TEST(Rooms, KeepTheirMembersThroughAnyOrderOfComingAndGoing) {
  constexpr int kClients = 24;
  Crowd crowd(kClients);
  const Texts names = {"a", "b", "c", "d"};
  std::map<std::string, std::set<int>> expected;
  std::vector<bool> open(kClients, true);
  std::mt19937 random(7);
  const auto pick = [&](int below) { return std::uniform_int_distribution<int>(0, below - 1)(random); };
  for (int step = 0; step < 4000; ++step) {
    const int who = pick(kClients);
    const auto at = static_cast<std::size_t>(who);
    const std::string& room = names[static_cast<std::size_t>(pick(4))];
    if (step % 400 == 399 && open[at]) {
      crowd.clients[at].close();
      open[at] = false;
      for (auto& [name, members] : expected) members.erase(who);
    } else if (pick(2) == 0) {
      EXPECT_EQ(crowd.sockets[at].join(room), open[at]);
      if (open[at]) expected[room].insert(who);
    } else {
      EXPECT_EQ(crowd.sockets[at].leave(room), expected[room].erase(who) > 0);
    }
    const std::string& one = names[static_cast<std::size_t>(pick(4))];
    const std::string& two = names[static_cast<std::size_t>(pick(4))];
    const std::string& out = names[static_cast<std::size_t>(pick(4))];
    crowd.io.to(one).to(two).except(out).emit("e");
    Crowd::Counts wanted;
    for (const std::string& name : {one, two})
      for (const int member : expected[name])
        if (!expected[out].contains(member)) wanted[member] = 1;
    ASSERT_EQ(crowd.heard(), wanted) << "step " << step;
  }
}

TEST(Ids, AreFoundThroughAnyOrderOfComingAndGoing) {
  World world;
  std::map<std::string, Client> open;
  std::string last;
  world.io.on_connection([&](Socket& socket) { last = socket.id(); });
  std::mt19937 random(11);
  for (int step = 0; step < 3000; ++step) {
    if (open.size() < 5 || random() % 5 < 3) {
      Client client = world.join();
      open.emplace(last, std::move(client));
    } else {
      open.erase(std::next(open.begin(), static_cast<long>(random() % open.size())));
    }
    if (step % 50 != 0) continue;
    for (auto& [id, client] : open) {
      world.io.to(id).emit("e");
      ASSERT_EQ(client.heard().size(), 1u) << id;
    }
  }
}

}  // namespace
}  // namespace limpet::socketio
