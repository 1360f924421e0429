// Clients that move from one server to another: only their images go with them, and what handles and
// callbacks that stay behind do afterwards finds its way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "tests/worker/socketio/world.h"

namespace limpet::socketio {
namespace {

using namespace std::chrono_literals;
using engineio::CloseReason;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kHead =
    "GET /socket.io/?EIO=4&transport=websocket&room=caf%C3%A9 HTTP/1.1\r\nX-Token: 42\r\n\r\n";

/// The way between two servers, and what went over it.
class Road final : public Elsewhere {
 public:
  void emit(std::string_view nsp, std::string_view id, std::span<const loop::Buffer> frames) override {
    note("emit", nsp, id) += " " + std::string(frames[0].payload());
    if (SocketState* socket = there(nsp, id)) next->send(*socket, frames);
  }
  void join(std::string_view nsp, std::string_view id, std::string_view room) override {
    note("join", nsp, id) += " " + std::string(room);
    if (SocketState* socket = there(nsp, id)) (void)next->join(*socket, room);
  }
  void leave(std::string_view nsp, std::string_view id, std::string_view room) override {
    note("leave", nsp, id) += " " + std::string(room);
    if (SocketState* socket = there(nsp, id)) (void)next->leave(*socket, room);
  }
  void disconnect(std::string_view nsp, std::string_view id, bool close) override {
    note("disconnect", nsp, id) += close ? " close" : "";
    if (SocketState* socket = there(nsp, id)) next->disconnect(*socket, close);
  }
  void reply(std::string_view nsp, std::string_view id, std::string_view packet,
             std::span<const loop::Buffer> attachments) override {
    note("reply", nsp, id) += " " + std::string(packet) + " +" + std::to_string(attachments.size());
    if (previous != nullptr) previous->take_reply(nsp, id, packet, attachments);
  }

  Server* next = nullptr;
  Server* previous = nullptr;
  Texts log;

 private:
  std::string& note(std::string_view what, std::string_view nsp, std::string_view id) {
    log.push_back(std::string(what) + " " + std::string(nsp) + " " + std::string(id));
    return log.back();
  }
  [[nodiscard]] SocketState* there(std::string_view nsp, std::string_view id) const {
    return next == nullptr ? nullptr : next->find_connected(nsp, id);
  }
};

/// A client that is at one server at a time.
class Guest {
 public:
  explicit Guest(World& world) : world_(&world) { world.server.on_open(session()); }
  ~Guest() { close(); }
  Guest(Guest&&) noexcept = default;

  Guest& say(std::string_view text) {
    world_->server.on_text(session(), text);
    return *this;
  }
  Guest& bytes(std::string_view data) {
    world_->server.on_binary(session(), data);
    return *this;
  }
  Texts heard() { return std::exchange(session().sent, {}); }
  void close() {
    if (session_ != nullptr && session_->user != nullptr)
      world_->server.on_close(*session_, CloseReason::TransportClose);
  }
  FakeSession& session() { return *session_; }

  ClientImage depart() {
    world_->server.announce_departure(session());
    return world_->server.depart(session());
  }
  bool arrive(World& world, const ClientImage& image) {
    world_ = &world;
    session_ = std::make_unique<FakeSession>(kHead);
    if (!world.server.arrive(session(), image)) return false;
    world.server.announce_arrival(session());
    return true;
  }
  void move(World& world) { ASSERT_TRUE(arrive(world, depart())); }

 private:
  World* world_;
  std::unique_ptr<FakeSession> session_ = std::make_unique<FakeSession>(kHead);
};

class MovingClients : public testing::Test {
 protected:
  MovingClients() {
    young.ids = 1000;
    road.next = &young.server;
    back.previous = &old.server;
    old.server.set_elsewhere(&road);
    young.server.set_elsewhere(&back);
    old.io.on_connection([this](Socket& socket) { kept = socket; });
    young.io.on_connection([this](Socket& socket) { there = socket; });
  }
  ~MovingClients() override {
    old.server.set_elsewhere(nullptr);
    young.server.set_elsewhere(nullptr);
  }
  Guest join(std::string_view packet = "0") {
    Guest guest(old);
    guest.say(packet).heard();
    return guest;
  }
  void advance(std::chrono::milliseconds by) {
    old.advance(by);
    young.advance(by);
  }

  World old, young;
  Road road;           // of the old place
  Road back;           // of the new one
  Socket kept, there;  // the handles of the latest connection handler
};

// ---- what goes with a client

/// Of very many rooms, some in each turn.
class InVeryManyRooms : public MovingClients {
 protected:
  static constexpr int kRooms = 5000;

  InVeryManyRooms() {
    for (int i = 0; i < kRooms; ++i) kept.join(name(i));
    image = guest.depart();
  }
  static std::string name(int i) { return "room " + std::to_string(i); }
  /// One share of a turn: about a thousand rooms.
  bool join_some_ahead() {
    loop::Allowance allowance;
    allowance.begin(1000, 1h);
    return young.server.join_ahead(image, allowance);
  }
  std::uint64_t turns_to_join() {
    std::uint64_t turns = 1;
    while (!join_some_ahead() && turns < 100) ++turns;
    return turns;
  }

  Guest guest = join();
  ClientImage image;
};

TEST_F(InVeryManyRooms, ItJoinsThemOverSeveralTurnsAndHearsNothingBeforeItArrives) {
  Guest other(young);
  other.say("0").heard();
  there.join(name(0));
  ASSERT_FALSE(join_some_ahead());
  const std::uint64_t before = young.server.stats().packets_out;
  young.io.to(name(0)).emit("early");
  young.io.to(name(500)).emit("early");
  EXPECT_THAT(other.heard(), ElementsAre(R"(2["early"])"));
  EXPECT_EQ(young.server.stats().packets_out, before + 1);
  EXPECT_FALSE(young.server.find_connected("/", World::id(1)));
  EXPECT_EQ(1 + turns_to_join(), 5u);
  ASSERT_TRUE(guest.arrive(young, image));
  EXPECT_EQ(there.rooms().size(), kRooms + 1u);
  for (const int i : {0, 255, 256, 1023, 1024, kRooms - 1}) young.io.to(name(i)).emit("e", i);
  EXPECT_THAT(guest.heard(), ElementsAre(R"(2["e",0])", R"(2["e",255])", R"(2["e",256])", R"(2["e",1023])",
                                         R"(2["e",1024])", R"(2["e",4999])"));
  there.leave(name(3));
  young.io.to(name(3)).emit("e");
  EXPECT_THAT(guest.heard(), IsEmpty());
}

TEST_F(InVeryManyRooms, OneThatDoesNotArriveLeavesThemAgain) {
  const std::size_t nobody = young.server.held_for_ended();
  (void)turns_to_join();
  EXPECT_GT(young.server.held_for_ended(), nobody + kRooms * 50);
  young.server.forget_ahead(image);
  while (young.application.next_deadline() == young.clock.now()) young.application.tick(test::plenty());
  EXPECT_EQ(young.server.held_for_ended(), nobody);
  Guest other(young);
  other.say("0").heard();
  young.io.to(name(700)).emit("e");
  EXPECT_THAT(other.heard(), IsEmpty());
  ASSERT_TRUE(guest.arrive(young, image)) << "in one piece";
  EXPECT_EQ(there.rooms().size(), kRooms + 1u);
}

TEST_F(InVeryManyRooms, WhatItIsChargedWithIsThatOfOneWhoArrivesAtOnce) {
  World third;
  third.ids = 2000;
  third.io.on_connection([](Socket&) {});
  Guest at_once = join();
  (void)at_once.depart();
  ASSERT_TRUE(at_once.arrive(third, image));
  (void)turns_to_join();
  ASSERT_TRUE(guest.arrive(young, image));
  EXPECT_EQ(guest.session().held, at_once.session().held);
}

TEST_F(MovingClients, RoomsAndDataAndAuthGoWithIt) {
  Guest guest = join(R"(0{"token":[1,"ä"]})");
  kept.join({"one", "two", ""});
  kept.data() = {{"name", "ä\n"},
                 {"n", -1},
                 {"big", std::numeric_limits<std::uint64_t>::max()},
                 {"list", {1.5, nullptr, true}}};
  const boost::json::value data = kept.data();
  const ClientImage image = guest.depart();
  ASSERT_EQ(image.sockets.size(), 1u);
  EXPECT_EQ(image.sockets[0].nsp, "/");
  EXPECT_EQ(image.sockets[0].id, World::id(1));
  EXPECT_THAT(image.sockets[0].rooms, testing::UnorderedElementsAre("one", "two", ""));
  ASSERT_TRUE(guest.arrive(young, image));
  EXPECT_EQ(there.id(), World::id(1));
  EXPECT_THAT(there.rooms(), testing::UnorderedElementsAre(World::id(1), "one", "two", ""));
  EXPECT_EQ(there.data(), data);
  EXPECT_EQ(there.handshake().auth, (boost::json::value{{"token", {1, "ä"}}}));
  EXPECT_EQ(there.handshake().query("room"), "café");
  EXPECT_EQ(there.handshake().address, "127.0.0.9");
  EXPECT_TRUE(there.recovered());
  EXPECT_TRUE(there.connected());
  EXPECT_FALSE(kept.recovered());
  EXPECT_THAT(guest.heard(), IsEmpty()) << "it knows that it is connected";
  young.io.to("two").emit("e");
  young.io.to("three").emit("e");
  young.io.to(World::id(1)).emit("own");
  young.io.emit("all");
  EXPECT_THAT(guest.heard(), ElementsAre(R"(2["e"])", R"(2["own"])", R"(2["all"])"));
}

TEST_F(MovingClients, DataThatTheParserWouldNotTakeByDefaultGoesWithItToo) {
  Guest deep = join();
  boost::json::value* place = &kept.data();
  for (int depth = 0; depth < 100; ++depth) place = &place->emplace_object()["below"];
  const boost::json::value nested = kept.data();
  deep.move(young);
  EXPECT_EQ(there.data(), nested);
  Guest raw = join();
  kept.data() = {{"bytes", "\xff\xfe"}, {"name", "x"}};
  raw.move(young);
  ASSERT_TRUE(there.data().is_object()) << "one bad string must not cost the others";
  EXPECT_EQ(there.data().at("name"), "x");
}

TEST_F(MovingClients, EachNamespaceGoesWithItInTheOrderOfJoining) {
  Texts handlers;
  for (const char* name : {"/b", "/a"}) {
    old.io.of(name);
    young.io.of(name).on_connection([&handlers](Socket& socket) {
      handlers.push_back(std::string(socket.nsp()) + " " + socket.data().as_string().c_str());
    });
  }
  old.io.of("/b").on_connection([](Socket& socket) {
    socket.data() = "of b";
    socket.join("r");
  });
  old.io.of("/a").on_connection([](Socket& socket) { socket.data() = "of a"; });
  Guest guest(old);
  guest.say("0/b,").say("0").say("0/a,").heard();
  kept.data() = "of root";
  const ClientImage image = guest.depart();
  ASSERT_EQ(image.sockets.size(), 3u);
  ASSERT_TRUE(guest.arrive(young, image));
  EXPECT_THAT(handlers, ElementsAre("/b of b", "/a of a"));
  EXPECT_EQ(there.data(), "of root");
  young.io.of("/b").to("r").emit("e");
  young.io.to("r").emit("e");
  EXPECT_THAT(guest.heard(), ElementsAre(R"(2/b,["e"])"));
  guest.say("1/b,");
  EXPECT_EQ(young.io.of("/b").local_size(), 0u);
  EXPECT_EQ(young.io.local_size(), 1u);
  // And once more, in the same order.
  EXPECT_EQ(guest.depart().sockets[0].nsp, "/");
}

TEST_F(MovingClients, HandlersAreBoundAgainAndTheOldOnesStayBehind) {
  Texts heard;
  old.io.on_connection([&](Socket& socket) {
    socket.on("e", [&](int n) { heard.push_back("old " + std::to_string(n)); });
    socket.on_disconnect([&](std::string_view why) { heard.push_back("old: " + std::string(why)); });
  });
  young.io.on_connection([&](Socket& socket) {
    EXPECT_TRUE(socket.recovered());
    socket.on("e", [&](int n, Ack ack) {
      heard.push_back("young " + std::to_string(n));
      ack("yes");
    });
    socket.on_disconnect([&](std::string_view why) { heard.push_back("young: " + std::string(why)); });
  });
  Guest guest = join();
  guest.say(R"(2["e",1])");
  guest.move(young);
  guest.say(R"(27["e",2])");
  EXPECT_THAT(guest.heard(), ElementsAre(R"(37["yes"])"));
  guest.close();
  EXPECT_THAT(heard, ElementsAre("old 1", "young 2", "young: transport close"));
}

TEST_F(MovingClients, AClientThatComesLaterHasNotRecovered) {
  join().move(young);
  Guest other(young);
  other.say("0");
  EXPECT_FALSE(there.recovered());
}

TEST_F(MovingClients, ItIsSaidBeforeItLeaves) {
  old.io.on_leaving([](Socket& socket) { socket.data() = "what I need"; });
  old.io.on_leaving([](Socket&) { throw std::runtime_error("broken"); });
  old.io.on_leaving([](Socket& socket) { socket.emit("good bye"); });
  Guest guest = join();
  old.server.announce_departure(guest.session());
  EXPECT_THAT(guest.heard(), ElementsAre(R"(2["good bye"])")) << "it is still here";
  EXPECT_EQ(old.application.handler_exceptions(), 1u);
  ASSERT_TRUE(guest.arrive(young, old.server.depart(guest.session())));
  EXPECT_EQ(there.data(), "what I need");
}

TEST_F(MovingClients, ItIsSaidOnceHoweverLongItTakes) {
  int times = 0;
  old.io.on_leaving([&](Socket&) { ++times; });
  Guest guest = join();
  EXPECT_FALSE(old.server.announced_departure(guest.session()));
  for (int i = 0; i < 3; ++i) old.server.announce_departure(guest.session());
  EXPECT_TRUE(old.server.announced_departure(guest.session()));
  EXPECT_EQ(times, 1);
  young.io.on_leaving([&](Socket&) { ++times; });
  guest.move(young);
  guest.move(old);
  EXPECT_EQ(times, 2) << "and again when it leaves the next place";
}

TEST_F(MovingClients, AHandlerMayEndWhoIsAboutToLeave) {
  old.io.of("/a").on_leaving([](Socket& socket) { socket.disconnect(true); });
  bool others = false;
  old.io.on_leaving([&](Socket&) { others = true; });
  Guest guest(old);
  guest.say("0/a,").say("0");
  old.server.announce_departure(guest.session());
  EXPECT_FALSE(others);
  EXPECT_EQ(guest.session().closed.size(), 1u);
  EXPECT_FALSE(old.server.can_depart(guest.session()));
}

TEST_F(MovingClients, APacketWaitsForTheRestOfItsAttachmentsThere) {
  Texts heard;
  young.io.on_connection([&](Socket& socket) {
    socket.on("f", [&](Binary a, std::string_view text, Binary b) {
      heard.push_back(std::string(a.bytes()) + std::string(text) + std::string(b.bytes()));
    });
  });
  for (const int before : {0, 1}) {
    heard.clear();
    Guest guest = join();
    guest.say(R"(52-["f",{"_placeholder":true,"num":0},"+",{"_placeholder":true,"num":1}])");
    if (before == 1) guest.bytes("first");
    guest.move(young);
    if (before == 0) guest.bytes("first");
    EXPECT_THAT(heard, IsEmpty());
    guest.bytes("second");
    EXPECT_THAT(heard, ElementsAre("first+second"));
    EXPECT_THAT(guest.session().closed, IsEmpty());
    // Between two attachments nothing else may come, there as here.
    Guest wrong = join();
    wrong.say(R"(51-["f",{"_placeholder":true,"num":0}])");
    wrong.move(young);
    wrong.say(R"(2["e"])");
    EXPECT_THAT(wrong.session().closed, ElementsAre(CloseReason::ParseError));
  }
}

TEST_F(MovingClients, WhoHasJoinedNothingIsWaitedForAsLongAsItWouldHaveBeen) {
  Guest early(old);
  advance(10s);
  Guest native(young);  // waits until 55 s
  Guest late(old);      // until 55 s
  advance(5s);
  early.move(young);
  late.move(young);
  advance(30s - 1ms);
  EXPECT_THAT(early.session().closed, IsEmpty());
  advance(1ms);
  EXPECT_THAT(early.session().closed, ElementsAre(CloseReason::ForcedClose));
  EXPECT_THAT(late.session().closed, IsEmpty());
  advance(10s - 1ms);
  EXPECT_THAT(native.session().closed, IsEmpty());
  EXPECT_THAT(late.session().closed, IsEmpty());
  advance(1ms);
  EXPECT_THAT(native.session().closed, ElementsAre(CloseReason::ForcedClose));
  EXPECT_THAT(late.session().closed, ElementsAre(CloseReason::ForcedClose));
}

TEST_F(MovingClients, WhoHasJoinedNothingCanJoinThere) {
  Guest guest(old);
  guest.move(young);
  guest.say(R"(0{"a":1})");
  EXPECT_THAT(guest.heard(), ElementsAre(R"(0{"sid":")" + World::id(1001) + R"("})"));
  EXPECT_FALSE(there.recovered());
  advance(60s);
  EXPECT_THAT(guest.session().closed, IsEmpty());
}

TEST_F(MovingClients, WhoHasJoinedIsNotWaitedFor) {
  Guest guest = join();
  const ClientImage image = guest.depart();
  EXPECT_EQ(image.connect_timer, std::nullopt);
  ASSERT_TRUE(guest.arrive(young, image));
  advance(60s);
  EXPECT_THAT(guest.session().closed, IsEmpty());
}

// ---- who may leave, and arrive

TEST_F(MovingClients, NobodyLeavesFromInsideAHandler) {
  std::vector<bool> could;
  Guest* self = nullptr;
  const auto note = [&] { could.push_back(old.server.can_depart(self->session())); };
  old.io.use([&](Socket&) -> std::optional<Error> {
    note();
    return std::nullopt;
  });
  old.io.on_connection([&](Socket& socket) {
    note();
    socket.on("e", note);
  });
  Guest guest(old);
  self = &guest;
  EXPECT_TRUE(old.server.can_depart(guest.session()));
  guest.say("0").say(R"(2["e"])");
  EXPECT_THAT(could, ElementsAre(false, false, false));
  EXPECT_TRUE(old.server.can_depart(guest.session()));
  guest.session().closed.clear();
  kept.disconnect(true);
  EXPECT_FALSE(old.server.can_depart(guest.session())) << "it is going";
  guest.close();
  EXPECT_FALSE(old.server.can_depart(guest.session())) << "it is gone";
}

TEST_F(MovingClients, WhereItsNamespaceIsUnknownNobodyArrives) {
  old.io.of("/only here");
  Guest guest(old);
  guest.say("0").say("0/only here,");
  const ClientImage image = guest.depart();
  EXPECT_FALSE(guest.arrive(young, image));
  EXPECT_EQ(guest.session().user, nullptr);
  EXPECT_EQ(young.io.local_size(), 0u);
  EXPECT_EQ(young.server.stats().sockets_open, 0u);
  // Its transport ends; what still comes of it meanwhile is nothing.
  guest.say(R"(2["e"])").bytes("x");
  young.server.on_close(guest.session(), CloseReason::ServerShuttingDown);
}

TEST_F(MovingClients, AnIdThatIsThereAlreadyIsRefused) {
  Guest guest = join();
  const ClientImage image = guest.depart();
  ASSERT_TRUE(guest.arrive(young, image));
  FakeSession other(kHead);
  EXPECT_FALSE(young.server.arrive(other, image));
  EXPECT_EQ(other.user, nullptr);
  EXPECT_EQ(young.io.local_size(), 1u);
}

// ---- what stays behind

TEST_F(MovingClients, AHandleActsWhereItsSocketIs) {
  Guest guest = join();
  kept.join("left behind");
  guest.move(young);
  EXPECT_TRUE(kept.connected());
  EXPECT_EQ(kept.nsp(), "/");
  EXPECT_TRUE(kept.emit("e", 1, "x"));
  EXPECT_TRUE(kept.join("r"));
  EXPECT_THAT(there.rooms(), testing::UnorderedElementsAre(World::id(1), "left behind", "r"));
  EXPECT_TRUE(kept.leave("left behind"));
  EXPECT_THAT(there.rooms(), ElementsAre(World::id(1), "r"));
  EXPECT_THAT(guest.heard(), ElementsAre(R"(2["e",1,"x"])"));
  EXPECT_TRUE(kept.disconnect());
  EXPECT_FALSE(there.connected());
  EXPECT_THAT(guest.heard(), ElementsAre("1"));
  const std::string who = "/ " + World::id(1);
  EXPECT_THAT(road.log, ElementsAre("emit " + who + R"( 42["e",1,"x"])", "join " + who + " r",
                                    "leave " + who + " left behind", "disconnect " + who));
  // Nobody is there any more: nothing happens.
  EXPECT_TRUE(kept.emit("late"));
  kept.join("r");
  kept.disconnect(true);
  EXPECT_THAT(guest.heard(), IsEmpty());
}

TEST_F(MovingClients, AHandleOfANamespaceEndsTheWholeClientThere) {
  old.io.of("/a").on_connection([this](Socket& socket) { kept = socket; });
  young.io.of("/a");
  Guest guest(old);
  guest.say("0").say("0/a,").heard();
  guest.move(young);
  kept.disconnect(true);
  EXPECT_THAT(guest.heard(), testing::UnorderedElementsAre("1", "1/a,"));
  EXPECT_THAT(guest.session().closed, ElementsAre(CloseReason::ForcedClose));
}

TEST_F(MovingClients, BroadcastsOfTheOldPlaceAreForThoseWhoAreThere) {
  Guest stays = join();
  Guest guest = join();
  kept.join("r");
  EXPECT_EQ(old.server.stats().sockets_open, 2u);
  guest.move(young);
  EXPECT_EQ(old.server.stats().sockets_open, 1u);
  EXPECT_EQ(old.io.local_size(), 1u);
  EXPECT_EQ(young.server.stats().sockets_open, 1u);
  stays.heard();
  old.io.emit("all");
  old.io.to("r").emit("room");
  old.io.to(World::id(2)).emit("own");
  EXPECT_THAT(guest.heard(), IsEmpty());
  EXPECT_THAT(stays.heard(), ElementsAre(R"(2["all"])"));
  EXPECT_THAT(road.log, IsEmpty()) << "the rings carry broadcasts";
  // A handle still says whom it is from.
  kept.broadcast().emit("from the moved");
  EXPECT_THAT(stays.heard(), ElementsAre(R"(2["from the moved"])"));
}

TEST_F(MovingClients, AVolatileEmitToAMovedSocketIsDropped) {
  Guest guest = join();
  guest.move(young);
  EXPECT_FALSE(kept.volatile_().emit("e"));
  EXPECT_THAT(guest.heard(), IsEmpty());
}

TEST_F(MovingClients, WithoutAWayThereNothingHappens) {
  Guest guest = join();
  guest.move(young);
  old.server.set_elsewhere(nullptr);
  (void)kept.emit("e");
  EXPECT_FALSE(kept.join("r"));
  EXPECT_FALSE(kept.leave("r"));
  kept.disconnect(true);
  EXPECT_THAT(guest.heard(), IsEmpty());
  EXPECT_TRUE(there.connected());
}

// ---- answers to the client

TEST_F(MovingClients, AnAnswerThatTheClientWaitsForIsSentFromTheOldPlace) {
  Ack ack;
  old.io.on_connection([&](Socket& socket) { socket.on("q", [&](Ack asked) { ack = asked; }); });
  Guest guest = join();
  guest.say(R"(25["q"])");
  guest.move(young);
  EXPECT_TRUE(static_cast<bool>(ack));
  EXPECT_TRUE(ack("answer"));
  EXPECT_FALSE(ack("again"));
  EXPECT_THAT(guest.heard(), ElementsAre(R"(35["answer"])"));
}

// ---- answers of the client

TEST_F(MovingClients, AnAnswerFindsItsCallbackInTheOldPlace) {
  Guest guest = join();
  Texts answers;
  kept.emit("q", [&](std::optional<Error> error, std::string_view text, Binary bytes) {
    EXPECT_FALSE(error);
    answers.push_back(std::string(text) + ":" + std::string(bytes.bytes()));
  });
  kept.emit("q", [&](std::string_view text) { answers.emplace_back(text); });
  guest.move(young);
  EXPECT_EQ(old.server.awaited_replies(), 2u);
  guest.say(R"(31["second"])");
  guest.say(R"(61-0["first",{"_placeholder":true,"num":0}])").bytes("bytes");
  EXPECT_THAT(answers, ElementsAre("second", "first:bytes"));
  EXPECT_EQ(old.server.awaited_replies(), 0u);
  guest.say(R"(31["second again"])");
  EXPECT_EQ(answers.size(), 2u);
  EXPECT_THAT(guest.session().closed, IsEmpty());
}

TEST_F(MovingClients, EmitsOfBothPlacesHaveAnswersOfTheirOwn) {
  Guest guest = join();
  Texts answers;
  kept.emit("old", [&](std::string_view text) { answers.push_back("old " + std::string(text)); });
  guest.move(young);
  there.emit("young", [&](std::string_view text) { answers.push_back("young " + std::string(text)); });
  EXPECT_THAT(guest.heard(), ElementsAre(R"(21["young"])")) << "0 is the old one's";
  guest.say(R"(31["a"])").say(R"(30["b"])");
  EXPECT_THAT(answers, ElementsAre("young a", "old b"));
}

TEST_F(MovingClients, AnEmitWithAnAnswerToAMovedSocketFails) {
  Guest guest = join();
  guest.move(young);
  Texts answers;
  const auto note = [&](std::optional<Error> error, Args) {
    answers.push_back(error ? error->message : "answered");
  };
  kept.emit("late", note);
  kept.timeout(5s).emit("late", note);
  EXPECT_THAT(answers, IsEmpty()) << "not from inside the emit";
  old.advance(0ms);
  EXPECT_THAT(answers, ElementsAre("moved", "moved"));
  EXPECT_EQ(old.server.awaited_replies(), 0u);
}

/// The ids of the new place's emits are its own: no answer to another's may be taken for one of theirs.
TEST_F(MovingClients, AnEmitFromTheOldPlaceTakesNoAnswerAwayFromTheNewOne) {
  Guest guest = join();
  guest.move(young);
  kept.emit("from the old", [](std::optional<Error>, Args) {});
  Texts answers;
  there.emit("from the new", [&](std::string_view text) { answers.emplace_back(text); });
  // A client answers each event that asks for it, with the id that it had.
  for (const std::string& packet : guest.heard()) {
    const std::size_t at = packet.find('[');
    if (at > 1) guest.say("3" + packet.substr(1, at - 1) + "[" + packet.substr(at + 1));
  }
  EXPECT_THAT(answers, ElementsAre("from the new"));
}

TEST_F(MovingClients, ATimeoutStillRunsInTheOldPlace) {
  Guest guest = join();
  Texts answers;
  kept.timeout(5s).emit(
      "q", [&](std::optional<Error> error, Args) { answers.push_back(error ? error->message : "answered"); });
  guest.move(young);
  advance(5s - 1ms);
  EXPECT_THAT(answers, IsEmpty());
  advance(1ms);
  EXPECT_THAT(answers, ElementsAre("operation has timed out"));
  guest.say("30[]");
  EXPECT_EQ(answers.size(), 1u);
}

TEST_F(MovingClients, AtTheDeadlineCallbacksAreGivenUp) {
  Guest guest = join();
  Guest other = join();
  std::vector<std::optional<std::string>> answers;
  Socket second = kept;
  const auto note = [&](std::optional<Error> error, Args) {
    answers.push_back(error ? std::optional(error->message) : std::nullopt);
    (void)second.emit("from inside");
  };
  kept.emit("q", note);
  kept.timeout(5s).emit("q", note);
  other.move(young);
  guest.say("0");  // stays: its own are not given up
  EXPECT_EQ(old.server.awaited_replies(), 2u);
  old.server.give_up_moved_replies();
  EXPECT_THAT(answers, ElementsAre("moved", "moved"));
  EXPECT_EQ(old.server.awaited_replies(), 0u);
  advance(10s);
  EXPECT_EQ(answers.size(), 2u);
}

TEST_F(MovingClients, WhoeverIsForgottenHasNoHandleAnyMoreAndMayComeBack) {
  Guest guest = join();
  std::vector<std::optional<std::string>> answers;
  kept.emit("q", [&](std::optional<Error> error, Args) {
    answers.push_back(error ? std::optional(error->message) : std::nullopt);
  });
  guest.move(young);
  old.server.forget_moved();
  EXPECT_THAT(answers, ElementsAre("moved"));
  EXPECT_FALSE(kept.emit("late"));
  EXPECT_FALSE(kept.connected());
  EXPECT_THAT(road.log, IsEmpty());
  EXPECT_TRUE(there.connected());
  guest.move(old);
  EXPECT_TRUE(old.server.find_connected("/", World::id(1)) != nullptr);
  old.server.forget_moved();
  EXPECT_TRUE(old.server.find_connected("/", World::id(1)) != nullptr) << "who is here is not meant";
}

TEST_F(MovingClients, RepliesThatAreNoneOfOursAreNothing) {
  Guest guest = join();
  int answers = 0;
  kept.emit("q", [&](std::optional<Error>, Args) { ++answers; });
  guest.move(young);
  const loop::Buffer frame = websocket::make_frame(websocket::Opcode::Binary, "x");
  const std::string id = World::id(1);
  old.server.take_reply("/", World::id(2), "30[]", {});
  old.server.take_reply("/a", id, "30[]", {});
  old.server.take_reply("/", id, "31[]", {});
  old.server.take_reply("/", id, R"(2["e"])", {});
  old.server.take_reply("/", id, "3", {});
  old.server.take_reply("/", id, "", {});
  old.server.take_reply("/", id, "nonsense", {});
  old.server.take_reply("/", id, "30[]", {&frame, 1});
  old.server.take_reply("/", id, R"(61-0[{"_placeholder":true,"num":0}])", {});
  EXPECT_EQ(answers, 0);
  old.server.take_reply("/", id, "30[]", {});
  EXPECT_EQ(answers, 1);
}

TEST_F(MovingClients, AnAnswerPassesThroughAPlaceThatHasMovedOnItself) {
  World third;
  Road further;
  further.next = &third.server;
  further.previous = &young.server;
  third.server.set_elsewhere(&further);
  Guest guest = join();
  Texts answers;
  kept.emit("q", [&](std::string_view text) { answers.emplace_back(text); });
  guest.move(young);
  guest.move(third);
  guest.say(R"(30["far"])");
  EXPECT_THAT(answers, ElementsAre("far"));
  third.server.set_elsewhere(nullptr);
}

// ---- back again

TEST_F(MovingClients, WhoComesBackIsHereForOldHandlesAsWell) {
  road.next = &old.server;  // as Migration does it: who is here is here
  Guest guest = join();
  const Socket first = kept;
  Texts answers;
  const auto note = [&](const char* which) {
    return [&answers, which](std::optional<Error> error, Args) {
      answers.push_back(which + (error ? ": " + error->message : ""));
    };
  };
  first.emit("q", note("first"));
  ASSERT_TRUE(guest.arrive(old, guest.depart()));
  EXPECT_NE(first, kept);
  EXPECT_TRUE(kept.recovered());
  kept.emit("q", note("second"));
  EXPECT_TRUE(first.emit("e"));
  EXPECT_TRUE(first.join("r"));
  EXPECT_TRUE(kept.in_room("r"));
  EXPECT_THAT(guest.heard(), ElementsAre(R"(21["q"])", R"(2["e"])"));
  guest.say("30[]").say("31[]");
  EXPECT_THAT(answers, ElementsAre("first", "second"));
  EXPECT_EQ(old.io.local_size(), 1u);
}

TEST_F(MovingClients, WhoComesBackMoreThanOnceLosesNoCallback) {
  road.next = &old.server;
  Guest guest = join();
  Texts answers;
  const auto note = [&](int which) {
    return [&answers, which](std::optional<Error> error, Args) {
      answers.push_back(std::to_string(which) + (error ? " " + error->message : ""));
    };
  };
  for (int i = 0; i < 4; ++i) {
    kept.emit("q", note(i));
    ASSERT_TRUE(guest.arrive(old, guest.depart()));
  }
  guest.say("32[]").say("30[]");
  EXPECT_THAT(answers, ElementsAre("2", "0"));
  guest.move(young);
  EXPECT_EQ(old.server.awaited_replies(), 2u);
  guest.say("31[]");
  EXPECT_THAT(answers, ElementsAre("2", "0", "1"));
  old.server.give_up_moved_replies();
  EXPECT_THAT(answers, ElementsAre("2", "0", "1", "3 moved"));
}

// ---- what came while it was on its way

/// deliver_late() to everybody is deliver(), whatever the rooms: a broadcast that comes the long way is for
/// the same sockets.
TEST(DeliverLate, IsForWhomDeliverIs) {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    World world;
    const std::vector<std::string> namespaces{"/", "/a", "/none"};
    std::vector<std::string> names{"r0", "r1", "r2", "", "nobody's"};
    for (int i = 0; i < 2; ++i)
      world.io.of(namespaces[i]).on_connection([&](Socket& socket) {
        for (std::size_t room = 0; room < 4; ++room)
          if (random() % 2 == 0) socket.join(names[room]);
        // Even the id of another may be a room.
        if (random() % 8 == 0) socket.join(World::id(1 + static_cast<int>(random() % 8)));
      });
    std::vector<Client> clients;
    for (int i = 0; i < 6; ++i) {
      clients.push_back(world.open());
      if (random() % 4 != 0) clients.back().say("0");
      if (random() % 2 == 0) clients.back().say("0/a,");
      clients.back().heard();
      clients.back().session().is_writable = random() % 4 != 0;
    }
    std::vector<engineio::Session*> sessions;
    for (Client& client : clients) sessions.push_back(&client.session());
    for (int i = 1; i <= 8; ++i) names.push_back(World::id(i));
    const auto some_names = [&] {
      std::vector<std::string_view> some;
      for (std::size_t i = random() % 4; i > 0; --i) some.emplace_back(names[random() % names.size()]);
      return some;
    };
    const std::vector<loop::Buffer> frames{websocket::make_frame(websocket::Opcode::Text, R"(451-["e"])"),
                                           websocket::make_frame(websocket::Opcode::Binary, "x")};
    for (int i = 0; i < 50; ++i) {
      const auto rooms = some_names();
      const auto except = some_names();
      const Broadcast broadcast{.nsp = namespaces[random() % namespaces.size()],
                                .rooms = rooms,
                                .except = except,
                                .is_volatile = random() % 4 == 0,
                                .frames = frames};
      const auto packets = world.server.stats().packets_out;
      world.server.deliver(broadcast);
      const auto delivered = world.server.stats().packets_out - packets;
      std::vector<Texts> wanted;
      for (Client& client : clients) wanted.push_back(client.heard());
      world.server.deliver_late(broadcast, sessions);
      std::vector<Texts> late;
      for (Client& client : clients) late.push_back(client.heard());
      ASSERT_EQ(late, wanted) << "seed " << seed << " broadcast " << i
                              << (broadcast.is_volatile ? " volatile" : "");
      ASSERT_EQ(world.server.stats().packets_out - packets, 2 * delivered);
    }
  }
}

TEST(DeliverLate, IsForTheNamedSessionsOnly) {
  World world;
  Client one = world.join();
  Client other = world.join();
  engineio::Session* const late = &one.session();
  const loop::Buffer frame = websocket::make_frame(websocket::Opcode::Text, R"(42["e"])");
  world.server.deliver_late(
      {.nsp = "/", .rooms = {}, .except = {}, .is_volatile = false, .frames = {&frame, 1}}, {&late, 1});
  EXPECT_THAT(one.heard(), ElementsAre(R"(2["e"])"));
  EXPECT_THAT(other.heard(), IsEmpty());
}

}  // namespace
}  // namespace limpet::socketio
