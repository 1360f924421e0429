#include "worker/socketio/server.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "base/log.h"
#include "tests/worker/plenty.h"
#include "tests/worker/socketio/world.h"

namespace limpet::socketio {
namespace {

using namespace std::chrono_literals;
using engineio::CloseReason;

// Joining
// ------------------------------------------------------------------------------------------------------------

TEST(Connecting, ClientGetsItsIdBeforeWhatTheHandlerEmits) {
  World world;
  world.io.on_connection([](Socket& socket) { socket.emit("welcome", socket.id()); });
  Client client = world.open();
  client.say("0");
  EXPECT_EQ(client.heard(), (Texts{std::string(R"(0{"sid":")") + World::id(1) + R"("})",
                                   std::string(R"(2["welcome",")") + World::id(1) + R"("])"}));
  EXPECT_EQ(world.server.stats().sockets_open, 1u);
}

TEST(Connecting, NamespaceHasItsOwnSocket) {
  World world;
  Texts names;
  world.io.on_connection([&](Socket& socket) { names.emplace_back(socket.nsp()); });
  world.io.of("/admin").on_connection([&](Socket& socket) { names.emplace_back(socket.nsp()); });
  Client client = world.open();
  client.say("0").say("0/admin,");
  EXPECT_EQ(client.heard(), (Texts{std::string(R"(0{"sid":")") + World::id(1) + R"("})",
                                   std::string(R"(0/admin,{"sid":")") + World::id(2) + R"("})"}));
  EXPECT_EQ(names, (Texts{"/", "/admin"}));
}

TEST(Connecting, UnknownNamespaceIsRefusedAndTheConnectionStays) {
  World world;
  Client client = world.open();
  client.say("0/nowhere,");
  EXPECT_EQ(client.heard(), (Texts{R"(4/nowhere,{"message":"Invalid namespace"})"}));
  EXPECT_FALSE(client.closed_by_server());
  client.say("0");
  EXPECT_EQ(client.heard().size(), 1u);
}

TEST(Connecting, MiddlewareRefusesWithMessageAndData) {
  World world;
  bool connected = false;
  world.io.on_connection([&](Socket&) { connected = true; });
  world.io.use([](Socket& socket) -> std::optional<Error> {
    const boost::json::value auth = socket.handshake().auth;
    if (auth.is_object() && auth.as_object().contains("token")) return std::nullopt;
    return Error{"not authorized", boost::json::object{{"retry", false}}};
  });
  Client stranger = world.open();
  stranger.say("0");
  EXPECT_EQ(stranger.heard(), (Texts{R"(4{"message":"not authorized","data":{"retry":false}})"}));
  EXPECT_FALSE(connected);
  EXPECT_EQ(world.server.stats().sockets_open, 0u);
  Client friendly = world.open();
  friendly.say(R"(0{"token":"x"})");
  EXPECT_TRUE(connected);
}

TEST(Connecting, MiddlewareThatThrowsLetsNobodyIn) {
  World world;
  world.io.use([](Socket&) -> std::optional<Error> { throw std::runtime_error("database down"); });
  Client client = world.open();
  client.say("0");
  EXPECT_EQ(client.heard(), (Texts{R"(4{"message":"Internal server error"})"}));
  EXPECT_EQ(world.application.handler_exceptions(), 1u);
}

TEST(Connecting, MiddlewareMayDisconnect) {
  World world;
  world.io.use([](Socket& socket) -> std::optional<Error> {
    socket.disconnect(true);
    return std::nullopt;
  });
  Client client = world.open();
  client.say("0");
  EXPECT_TRUE(client.closed_by_server());
}

TEST(Connecting, WhoJoinsNothingInTimeIsClosed) {
  World world;
  Client idle = world.open();
  world.advance(10s);
  Client joined = world.join();
  Client refused = world.open();
  refused.say("0/nowhere,");
  EXPECT_EQ(world.application.next_deadline(), loop::TimePoint(45s));
  world.advance(34'999ms);
  EXPECT_FALSE(idle.closed_by_server());
  world.advance(1ms);
  EXPECT_TRUE(idle.closed_by_server());
  EXPECT_FALSE(refused.closed_by_server());
  world.advance(10s);
  EXPECT_TRUE(refused.closed_by_server());
  EXPECT_FALSE(joined.closed_by_server());
  EXPECT_FALSE(world.application.next_deadline().has_value());
}

// Packets out of order
// -------------------------------------------------------------------------------------------------

TEST(OutOfOrder, ClosesTheConnection) {
  for (const char* text : {"0", R"(4{"message":"x"})", R"(2/admin,["e"])", "1/admin,", "3/admin,0[]"}) {
    World world;
    std::string reason;
    world.io.on_connection(
        [&](Socket& socket) { socket.on_disconnect([&](std::string why) { reason = why; }); });
    world.io.of("/admin");
    Client client = world.join();
    client.say(text);
    EXPECT_EQ(client.session().closed, std::vector{CloseReason::ForcedClose}) << text;
    EXPECT_EQ(reason, "forced server close");
  }
}

TEST(OutOfOrder, UndecodablePacketClosesTheConnection) {
  World world;
  std::string reason;
  world.io.on_connection(
      [&](Socket& socket) { socket.on_disconnect([&](std::string why) { reason = why; }); });
  Client client = world.join();
  client.say("2[nonsense");
  EXPECT_EQ(client.session().closed, std::vector{CloseReason::ParseError});
  EXPECT_EQ(reason, "parse error");
  EXPECT_EQ(world.server.stats().decode_errors, 1u);
  client.say(R"(2["e"])");  // what is still on its way is ignored
  EXPECT_EQ(client.session().closed.size(), 1u);
}

TEST(OutOfOrder, BinaryThatNobodyAnnouncedClosesTheConnection) {
  World world;
  Client client = world.join();
  client.bytes("abc");
  EXPECT_EQ(client.session().closed, std::vector{CloseReason::ParseError});
}

TEST(OutOfOrder, TextWhereAttachmentsAreDueClosesTheConnection) {
  World world;
  Client client = world.join();
  client.say(R"(51-["e",{"_placeholder":true,"num":0}])").say(R"(2["e"])");
  EXPECT_EQ(client.session().closed, std::vector{CloseReason::ParseError});
}

// Events
// -----------------------------------------------------------------------------------------------------------------

TEST(Events, HandlerReadsOnlyWhatItAsksFor) {
  World world;
  std::string heard;
  world.io.on_connection([&](Socket& socket) {
    socket.on("two", [&](std::string_view a, int b) { heard += std::string(a) + std::to_string(b); });
    socket.on("none", [&] { heard += "none"; });
    socket.on("rest",
              [&](bool first, Args rest) { heard += std::to_string(first) + std::to_string(rest.size()); });
  });
  Client client = world.join();
  client.say(R"(2["two","x",5,"ignored"])")
      .say(R"(2["none",1,2,3])")
      .say(R"(2["rest",true,1,[2]])")
      .say(R"(2["unknown"])");
  EXPECT_EQ(heard, "x5none12");
  EXPECT_EQ(world.server.stats().packets_in, 5u);
}

TEST(Events, ArgumentsOfEveryType) {
  World world;
  int called = 0;
  world.io.on_connection([&](Socket& socket) {
    socket.on("all", [&](Socket from, std::string s, bool b, std::int64_t i, unsigned u, double d,
                         boost::json::value v, boost::json::object o, boost::json::array a, Json raw,
                         std::optional<int> some, std::optional<int> none, std::vector<std::string> list,
                         std::optional<std::string> missing, Ack ack) {
      ++called;
      EXPECT_EQ(from.id(), World::id(1));
      EXPECT_EQ(s, "a\"\n\xc3\xa9");
      EXPECT_TRUE(b);
      EXPECT_EQ(i, -9007199254740993);
      EXPECT_EQ(u, 1000u);
      EXPECT_EQ(d, 0.5);
      EXPECT_EQ(v, boost::json::value(nullptr));
      EXPECT_EQ(o.at("k"), 1);
      EXPECT_EQ(a.size(), 2u);
      EXPECT_EQ(raw.text(), R"({ "kept" : 1.0 })");
      EXPECT_EQ(some, 7);
      EXPECT_EQ(none, std::nullopt);
      EXPECT_EQ(list, (std::vector<std::string>{"x", "y"}));
      EXPECT_EQ(missing, std::nullopt);
      EXPECT_FALSE(ack);
    });
  });
  Client client = world.join();
  client.say(
      R"(2["all","a\"\n\u00e9",true,-9007199254740993,1e3,0.5,null,{"k":1},[1,2],{ "kept" : 1.0 },7,null,["x","y"]])");
  EXPECT_EQ(called, 1);
  EXPECT_EQ(world.application.handler_exceptions(), 0u);
}

TEST(Events, ArgumentOfAnotherTypeLeavesTheHandlerUncalled) {
  World world;
  int called = 0;
  world.io.on_connection([&](Socket& socket) {
    socket.on("int", [&](int) { ++called; });
    socket.on("small", [&](std::uint8_t) { ++called; });
    socket.on("text", [&](std::string_view) { ++called; });
    socket.on("object", [&](boost::json::object) { ++called; });
    socket.on("bytes", [&](Binary) { ++called; });
    socket.on("list", [&](std::vector<int>) { ++called; });
    socket.on("maybe", [&](std::optional<int>) { ++called; });
  });
  Client client = world.join();
  const Texts wrong = {R"(["int","5"])",     R"(["int"])",
                       R"(["int",1.5])",     R"(["int",3000000000])",
                       R"(["int",null])",    R"(["int",1e300])",
                       R"(["small",256])",   R"(["small",-1])",
                       R"(["text",5])",      R"(["text",{}])",
                       R"(["object",[1]])",  R"(["object"])",
                       R"(["bytes","abc"])", R"(["list",["a"]])",
                       R"(["maybe","x"])",   R"(["bytes",{"_placeholder":true,"num":0}])"};
  for (const std::string& text : wrong) client.say(std::string("2") + text);
  EXPECT_EQ(called, 0);
  EXPECT_EQ(world.application.handler_exceptions(), wrong.size());
  EXPECT_TRUE(client.heard().empty());
  EXPECT_FALSE(client.closed_by_server());
  for (const char* text : {R"(["int",2147483647])", R"(["int",-2147483648])", R"(["small",255])",
                           R"(["small",0])", R"(["maybe"])"})
    client.say(std::string("2") + text);
  EXPECT_EQ(called, 5);
}

TEST(Events, ExceptionOfAHandlerHarmsNobody) {
  World world;
  int called = 0;
  world.io.on_connection([&](Socket& socket) {
    socket.on("throw", [&](Ack) { throw std::runtime_error("broken"); });
    socket.on("throw", [&] { ++called; });
    socket.on("odd", [&] { throw 5; });
  });
  Client client = world.join();
  client.say(R"(27["throw"])").say(R"(2["odd"])").say(R"(2["throw"])");
  EXPECT_EQ(called, 2);
  EXPECT_EQ(world.application.handler_exceptions(), 3u);
  EXPECT_TRUE(client.heard().empty());
  EXPECT_FALSE(client.closed_by_server());
}

TEST(Events, ExceptionsAsManyAsAClientLikesFillNoLog) {
  World world;
  world.io.on_connection(
      [&](Socket& socket) { socket.on("throw", [] { throw std::runtime_error("broken"); }); });
  Client client = world.join();
  const auto left_out = base::log_lines_dropped();
  for (int i = 0; i < 1000; ++i) client.say(R"(2["throw"])");
  EXPECT_EQ(world.application.handler_exceptions(), 1000u);
  EXPECT_EQ(base::log_lines_dropped() - left_out, 1000 - base::LogGate::kLinesPerSecond);
}

TEST(Events, ExceptionInTheConnectionHandlerIsCaught) {
  World world;
  world.io.on_connection([](Socket&) { throw std::runtime_error("broken"); });
  bool second = false;
  world.io.on_connection([&](Socket&) { second = true; });
  Client client = world.join();
  EXPECT_TRUE(second);
  EXPECT_EQ(world.application.handler_exceptions(), 1u);
}

TEST(Events, SeveralHandlersRunInTheirOrder) {
  World world;
  std::string order;
  world.io.on_connection([&](Socket& socket) {
    socket.on("e", [&] { order += "1"; });
    socket.once("e", [&] { order += "2"; });
    socket.on("e", [&] { order += "3"; });
    socket.on_any([&](std::string_view event, Args args) {
      order += std::string(event) + std::to_string(args.size());
    });
  });
  Client client = world.join();
  client.say(R"(2["e",0])").say(R"(2["e"])");
  EXPECT_EQ(order, "e1123e013");
}

TEST(Events, HandlerMayRemoveItselfAndItsSocket) {
  World world;
  int called = 0;
  world.io.on_connection([&](Socket& socket) {
    const std::string long_capture(100, 'x');
    socket.on("off", [&called, socket, long_capture] {
      EXPECT_TRUE(socket.off("off"));
      called += static_cast<int>(long_capture.size());
    });
    socket.on("end", [&called, socket, long_capture] {
      socket.disconnect();
      EXPECT_FALSE(socket.connected());
      EXPECT_FALSE(socket.emit("late"));
      called += static_cast<int>(long_capture.size());
    });
  });
  Client client = world.join();
  client.say(R"(2["off"])").say(R"(2["off"])").say(R"(2["end"])");
  EXPECT_EQ(called, 200);
  EXPECT_EQ(client.heard(), (Texts{"1"}));
}

TEST(Events, MutableHandlerKeepsItsState) {
  World world;
  int last = 0;
  world.io.on_connection([&](Socket& socket) { socket.on("n", [&last, n = 0]() mutable { last = ++n; }); });
  Client client = world.join();
  client.say(R"(2["n"])").say(R"(2["n"])").say(R"(2["n"])");
  EXPECT_EQ(last, 3);
}

TEST(Events, SmallMutableHandlerKeepsItsState) {
  World world;
  world.io.on_connection([&](Socket& socket) { socket.on("n", [n = 0](Ack ack) mutable { ack(++n); }); });
  Client client = world.join();
  client.say(R"(20["n"])").say(R"(21["n"])");
  EXPECT_EQ(client.heard(), (Texts{"30[1]", "31[2]"}));
}

// Acknowledgements
// ---------------------------------------------------------------------------------------------------------

TEST(Acks, HandlerAnswersOnce) {
  World world;
  Ack kept;
  world.io.on_connection([&](Socket& socket) {
    socket.on("e", [&](Json value, Ack ack) {
      EXPECT_TRUE(ack(value));
      EXPECT_FALSE(ack(value));
      kept = ack;
    });
  });
  Client client = world.join();
  client.say(R"(20["e",{"a": [1.0,"x\n"]}])");
  EXPECT_EQ(client.heard(), (Texts{R"(30[{"a": [1.0,"x\n"]}])"}));
  EXPECT_FALSE(kept(1));
  EXPECT_TRUE(client.heard().empty());
}

TEST(Acks, MayComeLaterOrNever) {
  World world;
  std::vector<Ack> kept;
  world.io.of("/admin").on_connection(
      [&](Socket& socket) { socket.on("e", [&](Ack ack) { kept.push_back(ack); }); });
  Client client = world.open();
  client.say("0/admin,");
  client.heard();
  client.say(R"(2/admin,5["e"])").say(R"(2/admin,6["e"])");
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_TRUE(kept[1]("later", 2));
  EXPECT_EQ(client.heard(), (Texts{R"(3/admin,6["later",2])"}));
  client.close();
  EXPECT_FALSE(kept[0]());
}

TEST(Acks, WithoutAnIdNobodyWaits) {
  World world;
  bool answered = true;
  world.io.on_connection([&](Socket& socket) { socket.on("e", [&](Ack ack) { answered = ack(1); }); });
  Client client = world.join();
  client.say(R"(2["e"])");
  EXPECT_FALSE(answered);
  EXPECT_TRUE(client.heard().empty());
}

TEST(Acks, ClientAnswersTheServer) {
  World world;
  std::string heard;
  world.io.on_connection([&](Socket& socket) {
    EXPECT_TRUE(socket.emit("q", 1, [&](std::string_view text, int number) {
      heard = std::string(text) + std::to_string(number);
    }));
    EXPECT_TRUE(socket.emit("r", [&](std::optional<Error> error, Args args) {
      EXPECT_FALSE(error);
      heard += std::to_string(args.size());
    }));
  });
  Client client = world.join();
  client.say(R"(31[1,2,3])").say(R"(30["x",4])").say(R"(30["x",5])").say("399[]");
  EXPECT_EQ(heard, "x4");
}

TEST(Acks, AnswersAreMatchedById) {
  World world;
  Texts heard;
  Socket kept;
  world.io.on_connection([&](Socket& socket) { kept = socket; });
  Client client = world.join();
  kept.emit("q", [&] { heard.emplace_back("0"); });
  kept.emit("q", [&] { heard.emplace_back("1"); });
  EXPECT_EQ(client.heard(), (Texts{R"(20["q"])", R"(21["q"])"}));
  client.say("31[]").say("30[]");
  EXPECT_EQ(heard, (Texts{"1", "0"}));
}

TEST(Acks, TimeOutTellsThatNoAnswerCame) {
  World world;
  Texts heard;
  Socket kept;
  world.io.on_connection([&](Socket& socket) { kept = socket; });
  Client client = world.join();
  kept.timeout(5s).emit("q", [&](std::optional<Error> error, std::string) {
    heard.push_back(error ? error->message : "none");
  });
  kept.timeout(5s).emit("q", [&](std::string) { heard.emplace_back("called"); });  // does not want to know
  EXPECT_EQ(world.application.next_deadline(), loop::TimePoint(5s));
  world.advance(4999ms);
  EXPECT_TRUE(heard.empty());
  world.advance(1ms);
  EXPECT_EQ(heard, (Texts{"operation has timed out"}));
  client.say(R"(30["late"])");
  EXPECT_EQ(heard.size(), 1u);
  EXPECT_FALSE(world.application.next_deadline().has_value());
}

TEST(Acks, TimeOutGivesTheSocketToo) {
  World world;
  Socket kept;
  world.io.on_connection([&](Socket& socket) { kept = socket; });
  Client client = world.join();
  kept.timeout(5s).emit("q", [](Socket answering, std::optional<Error> error, Args args) {
    answering.emit("gave up", error.has_value(), args.size());
  });
  client.heard();
  world.advance(5s);
  EXPECT_EQ(client.heard(), (Texts{R"(2["gave up",true,0])"}));
}

TEST(Acks, AnswerInTimeEndsTheTimer) {
  World world;
  int calls = 0;
  Socket kept;
  world.io.on_connection([&](Socket& socket) { kept = socket; });
  Client client = world.join();
  kept.timeout(5s).emit("q", [&](std::optional<Error> error) {
    ++calls;
    EXPECT_FALSE(error);
  });
  client.say("30[]");
  EXPECT_FALSE(world.application.next_deadline().has_value());
  world.advance(10s);
  EXPECT_EQ(calls, 1);
}

TEST(Acks, DisconnectTellsThoseWhoWait) {
  World world;
  std::string why;
  Socket kept;
  world.io.on_connection([&](Socket& socket) { kept = socket; });
  Client client = world.join();
  kept.emit("q", [&](std::optional<Error> error) { why = error.value().message; });
  client.close();
  EXPECT_EQ(why, "socket has been disconnected");
}

// Binary
// -------------------------------------------------------------------------------------------------------------------

TEST(Binaries, ComeAsBytesAndGoAsAttachments) {
  World world;
  world.io.on_connection([&](Socket& socket) {
    socket.on("f", [&](Socket from, std::string_view name, Binary a, Binary b, Ack ack) {
      EXPECT_EQ(name, "n");
      from.emit("got", b, a.size());
      ack(Binary(std::string("new") + std::string(a.bytes())));
    });
  });
  Client client = world.join();
  client.say(R"(52-3["f","n",{"_placeholder":true,"num":0},{"num":1,"_placeholder":true}])").bytes("AAA");
  EXPECT_TRUE(client.heard().empty());
  client.bytes(std::string("\0B", 2));
  EXPECT_EQ(client.heard(), (Texts{R"(51-["got",{"_placeholder":true,"num":0},3])", std::string("bin:\0B", 6),
                                   R"(61-3[{"_placeholder":true,"num":0}])", "bin:newAAA"}));
}

TEST(Binaries, TravelInsideJsonThatIsPassedOn) {
  World world;
  world.io.on_connection([&](Socket& socket) {
    socket.on("swap", [&](Json a, Json b, Ack ack) { ack(b, a, "x"); });
    socket.on("all", [&](Args args, Ack ack) { ack(args); });
  });
  Client client = world.join();
  client.say(R"(52-0["swap",{"deep":[{"_placeholder":true,"num":0}]},{"_placeholder":true,"num":1}])")
      .bytes("A")
      .bytes("B");
  EXPECT_EQ(client.heard(),
            (Texts{R"(62-0[{"_placeholder":true,"num":0},{"deep":[{"_placeholder":true,"num":1}]},"x"])",
                   "bin:B", "bin:A"}));
  client.say(R"(51-1["all",1,{"_placeholder":true,"num":0}])").bytes("C");
  EXPECT_EQ(client.heard(), (Texts{R"(61-1[1,{"_placeholder":true,"num":0}])", "bin:C"}));
}

TEST(Binaries, MoreThanClientsAcceptIsTheHandlersFault) {
  World world;
  world.io.on_connection([&](Socket& socket) {
    const Binary b("x");
    socket.on("ten", [b](Socket from) { from.emit("f", b, b, b, b, b, b, b, b, b, b); });
    socket.on("eleven", [b](Socket from) { from.emit("f", b, b, b, b, b, b, b, b, b, b, b); });
  });
  Client client = world.join();
  client.say(R"(2["ten"])");
  EXPECT_EQ(client.heard().size(), 11u);
  client.say(R"(2["eleven"])");
  EXPECT_TRUE(client.heard().empty());
  EXPECT_EQ(world.application.handler_exceptions(), 1u);
}

TEST(Binaries, HalfAPacketDiesWithItsConnection) {
  World world;
  Client client = world.join();
  client.say(R"(52-["f",{"_placeholder":true,"num":0}])").bytes("A");
  client.close();
  EXPECT_EQ(world.server.stats().sockets_open, 0u);
}

// What emit writes
// -----------------------------------------------------------------------------------------------------------

struct Point {
  int x;
  int y;
};
void tag_invoke(const boost::json::value_from_tag&, boost::json::value& out, const Point& point) {
  out = {{"x", point.x}, {"y", point.y}};
}
Point tag_invoke(const boost::json::value_to_tag<Point>&, const boost::json::value& from) {
  return {from.at("x").to_number<int>(), from.at("y").to_number<int>()};
}

TEST(Events, TypesOfTheApplicationAreReadToo) {
  World world;
  Texts heard;
  world.io.on_connection([&](Socket& socket) {
    socket.on("p", [&](Point p, std::optional<Point> q) {
      heard.push_back(std::to_string(p.x + p.y) + (q ? "+" : ""));
    });
  });
  Client client = world.join();
  client.say(R"(2["p",{"x":1,"y":2}])").say(R"(2["p",{"x":1,"y":2},{"x":0,"y":0}])");
  EXPECT_EQ(heard, (Texts{"3", "3+"}));
  for (const char* wrong : {R"(2["p",{"x":1}])", R"(2["p",5])", R"(2["p",{"x":"a","y":0}])", R"(2["p"])"})
    client.say(wrong);
  EXPECT_EQ(heard.size(), 2u);
  EXPECT_EQ(world.application.handler_exceptions(), 4u);
}

TEST(Emitting, EveryType) {
  World world;
  Socket kept;
  world.io.on_connection([&](Socket& socket) { kept = socket; });
  Client client = world.join();
  kept.emit("e", "lit", std::string("a\"\\\n\x01"), std::string_view("v"), true, -1,
            std::uint64_t{18446744073709551615u}, 0.25, 1.0 / 0.0, nullptr, std::optional<int>(3),
            std::optional<int>(), boost::json::value{1, "a"}, boost::json::object{{"k", nullptr}},
            std::vector<int>{1, 2}, Point{1, 2}, *Json::checked("{ }"));
  EXPECT_EQ(
      client.heard(),
      (Texts{
          R"(2["e","lit","a\"\\\n\u0001","v",true,-1,18446744073709551615,0.25,null,null,3,null,[1,"a"],{"k":null},)"
          R"([1,2],{"x":1,"y":2},{ }])"}));
}

TEST(Emitting, TextThatIsNoUtf8IsRepaired) {
  World world;
  Socket kept;
  world.io.on_connection([&](Socket& socket) { kept = socket; });
  Client client = world.join();
  kept.emit("e", "ok \xc3\xa9 \xff\xc3 end\xe2\x82", boost::json::value("\xfe"));
  EXPECT_EQ(
      client.heard(),
      (Texts{
          "2[\"e\",\"ok \xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd end\xef\xbf\xbd\xef\xbf\xbd\",\"\xef\xbf\xbd\"]"}));
  EXPECT_FALSE(Json::checked("\"\xff\"").has_value());
}

TEST(Emitting, ReservedNameIsAnError) {
  World world;
  Socket kept;
  world.io.on_connection([&](Socket& socket) { kept = socket; });
  Client client = world.join();
  EXPECT_THROW(kept.emit("disconnect"), std::invalid_argument);
  EXPECT_THROW(world.io.emit("connect"), std::invalid_argument);
  EXPECT_TRUE(client.heard().empty());
}

TEST(Emitting, VolatileIsDroppedWhileTheTransportIsBusy) {
  World world;
  Socket kept;
  world.io.on_connection([&](Socket& socket) { kept = socket; });
  Client client = world.join();
  EXPECT_TRUE(kept.volatile_().emit("e"));
  client.session().is_writable = false;
  EXPECT_FALSE(kept.volatile_().emit("e"));
  world.io.volatile_().emit("e");
  EXPECT_EQ(client.heard().size(), 1u);
}

// The end of a socket
// ----------------------------------------------------------------------------------------------------------

TEST(Disconnecting, ClientLeavesANamespace) {
  World world;
  Texts order;
  Texts ids;
  world.io.on_connection([&](Socket& socket) {
    socket.join("room");
    socket.on_disconnecting([&, socket](std::string_view) {
      order.push_back(std::string("disconnecting ") + std::to_string(socket.rooms().size()));
    });
    socket.on_disconnect([&](Socket gone, std::string_view reason) {
      order.push_back(std::string(reason) + " " + std::to_string(gone.rooms().size()));
      EXPECT_FALSE(gone.connected());
      ids.emplace_back(gone.id());
      EXPECT_FALSE(gone.emit("late"));
      EXPECT_FALSE(gone.on("x", [] {}));
      gone.broadcast().emit("left", gone.id());
    });
  });
  Client client = world.join();
  Client other = world.join();
  client.say("1");
  EXPECT_EQ(ids, (Texts{World::id(1)}));
  EXPECT_EQ(order, (Texts{"disconnecting 2", "client namespace disconnect 1"}));
  EXPECT_EQ(other.heard(), (Texts{std::string(R"(2["left",")") + World::id(1) + R"("])"}));
  EXPECT_TRUE(client.heard().empty());
  EXPECT_FALSE(client.closed_by_server());
  EXPECT_EQ(world.server.stats().sockets_open, 1u);
  client.say("0");  // it may come back on the same connection
  EXPECT_EQ(client.heard().size(), 1u);
}

TEST(Disconnecting, ReasonsOfTheTransport) {
  const std::pair<CloseReason, std::string> reasons[] = {
      {CloseReason::TransportError, "transport error"},
      {CloseReason::TransportClose, "transport close"},
      {CloseReason::ForcedClose, "forced close"},
      {CloseReason::PingTimeout, "ping timeout"},
      {CloseReason::ParseError, "parse error"},
      {CloseReason::ServerShuttingDown, "server shutting down"}};
  for (const auto& [reason, name] : reasons) {
    World world;
    Texts heard;
    const auto listen = [&](Socket& socket) {
      socket.on_disconnect([&](std::string why) { heard.push_back(why); });
    };
    world.io.on_connection(listen);
    world.io.of("/a").on_connection(listen);
    Client client = world.join();
    client.say("0/a,");
    client.close(reason);
    EXPECT_EQ(heard, (Texts{name, name}));
    EXPECT_EQ(world.server.stats().sockets_open, 0u);
  }
}

TEST(Disconnecting, ServerEndsOneNamespaceOrTheConnection) {
  World world;
  Socket main;
  Socket admin;
  Texts reasons;
  world.io.on_connection([&](Socket& socket) {
    main = socket;
    socket.on_disconnect([&](std::string why) { reasons.push_back(why); });
  });
  world.io.of("/admin").on_connection([&](Socket& socket) { admin = socket; });
  Client client = world.join();
  client.say("0/admin,");
  client.heard();
  EXPECT_TRUE(admin.disconnect());
  EXPECT_EQ(client.heard(), (Texts{"1/admin,"}));
  EXPECT_FALSE(client.closed_by_server());
  EXPECT_TRUE(main.disconnect(true));
  EXPECT_EQ(client.heard(), (Texts{"1"}));
  EXPECT_EQ(client.session().closed, std::vector{CloseReason::ForcedClose});
  EXPECT_EQ(reasons, (Texts{"server namespace disconnect"}));
  EXPECT_FALSE(main.disconnect());
}

TEST(Disconnecting, HandlerThatDisconnectsAgainIsHarmless) {
  World world;
  int calls = 0;
  world.io.on_connection([&](Socket& socket) {
    socket.on_disconnecting([&, socket] { socket.disconnect(true); });
    socket.on_disconnect([&, socket] {
      ++calls;
      socket.disconnect(true);
    });
  });
  Client client = world.join();
  client.say("1");
  EXPECT_EQ(calls, 1);
}

TEST(Handles, DoNotReachTheNextTenantOfTheirPlace) {
  World world;
  std::vector<Socket> sockets;
  world.io.on_connection([&](Socket& socket) { sockets.push_back(socket); });
  { Client client = world.join(); }
  Client next = world.join();
  const Socket gone = sockets[0];
  EXPECT_EQ(gone.id(), World::id(1));
  EXPECT_FALSE(gone.connected());
  EXPECT_FALSE(gone.emit("e", 1));
  EXPECT_FALSE(gone.timeout(1s).emit("e", [](Args) { FAIL(); }));
  EXPECT_FALSE(gone.on("e", [] { FAIL(); }));
  EXPECT_FALSE(gone.off("e"));
  EXPECT_FALSE(gone.join("r"));
  EXPECT_FALSE(gone.leave("r"));
  EXPECT_FALSE(gone.in_room("r"));
  EXPECT_TRUE(gone.rooms().empty());
  EXPECT_FALSE(gone.disconnect());
  EXPECT_EQ(gone.broadcast().emit("e"), EmitResult::Lost);
  EXPECT_EQ(gone.nsp(), "");
  EXPECT_EQ(gone.transport(), "");
  EXPECT_EQ(gone.handshake().url, "");
  gone.data() = 5;
  EXPECT_TRUE(gone.data().is_null());
  EXPECT_FALSE(gone == sockets[1]);
  next.say(R"(2["e"])");
  EXPECT_TRUE(next.heard().empty());
  EXPECT_TRUE(sockets[1].connected());
  EXPECT_FALSE(Socket().emit("e"));
}

TEST(Handles, KeepALargeAuthParsedFromTheFirstLookToTheEndAndSmallOnesNot) {
  for (const std::size_t size : {100, 10'000}) {
    World world;
    Socket kept;
    world.io.on_connection([&](Socket& socket) { kept = socket; });
    Client client = world.join(R"(0{"token":")" + std::string(size, 'x') + R"("})");
    const std::ptrdiff_t before = client.session().held;
    EXPECT_EQ(kept.handshake().address, "127.0.0.9");
    EXPECT_EQ(client.session().held, before) << "nobody has looked at it";
    const auto& auth = kept.handshake().auth;
    EXPECT_EQ(auth.at("token").as_string().size(), size);
    const Handshake again = kept.handshake();
    EXPECT_EQ(&again.auth.value() == &auth.value(), size > 1024);
    EXPECT_EQ(client.session().held > before, size > 1024);
    client.close();
    EXPECT_EQ(client.session().held, 0);
    EXPECT_EQ(world.server.held_for_ended(), 0u);
    EXPECT_TRUE(kept.handshake().auth.is_null());
  }
}

TEST(Handles, AnAuthThatIsLookedAtStaysUntilTheHandlerReturns) {
  World world;
  std::string token;
  world.io.on_connection([&](Socket& socket) {
    const boost::json::value& auth = socket.handshake().auth;
    const std::string others(4096, '?');  // takes the place of what was freed
    for (int i = 0; i < 100; ++i) (void)socket.handshake().auth.is_null();
    token = auth.at("token").as_string();
  });
  Client client = world.join(R"(0{"token":"a token that is no short string"})");
  EXPECT_EQ(token, "a token that is no short string");
}

TEST(Handles, ShowTheHandshake) {
  World world;
  Socket kept;
  world.io.on_connection([&](Socket& socket) { kept = socket; });
  Client client = world.join(R"(0{"token":"x"})");
  const Handshake handshake = kept.handshake();
  EXPECT_EQ(handshake.url, "/socket.io/?EIO=4&transport=websocket&room=caf%C3%A9");
  EXPECT_EQ(handshake.query("room"), "caf\xc3\xa9");
  EXPECT_EQ(handshake.query("none"), "");
  EXPECT_EQ(handshake.header("x-token"), "42");
  EXPECT_EQ(handshake.address, "127.0.0.9");
  EXPECT_EQ(handshake.auth.at("token"), "x");
  EXPECT_EQ(handshake.time, "2023-11-14T22:13:20.123Z");
  EXPECT_TRUE(handshake.xdomain);
  EXPECT_FALSE(handshake.secure);
  EXPECT_EQ(kept.transport(), "websocket");
  EXPECT_FALSE(kept.recovered());
  kept.data() = {{"name", "Ada"}};
  EXPECT_EQ(kept.data().at("name"), "Ada");
}

}  // namespace
}  // namespace limpet::socketio
