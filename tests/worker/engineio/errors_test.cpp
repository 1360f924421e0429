// The error table of docs/protocol.md, row by row.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "tests/worker/engineio/rig.h"
#include "tests/worker/plenty.h"

namespace limpet::engineio {
namespace {

using test::MemoryStream;
using test::Reply;
using test::Rig;

constexpr std::string_view kNobody = "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA";

std::string error(int code, std::string_view message) {
  return R"({"code":)" + std::to_string(code) + R"(,"message":")" + std::string(message) + "\"}";
}

void expect_error(const Reply& reply, int code, std::string_view message, int status = 400) {
  EXPECT_EQ(reply.status, status);
  EXPECT_EQ(reply.body, error(code, message));
  EXPECT_TRUE(reply.has("Content-Type: application/json\r\n")) << reply.headers;
}

/// On an Upgrade: the message alone, as HTML, and the end of the connection.
void expect_refused_upgrade(const Reply& reply, std::string_view message) {
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.body, message);
  EXPECT_TRUE(reply.has("Content-Type: text/html\r\n")) << reply.headers;
  EXPECT_TRUE(reply.has("Connection: close\r\n")) << reply.headers;
}

class EngineErrors : public testing::Test {
 protected:
  std::string last_closed() { return rig.handler.log.back(); }
  Rig rig;
};

TEST_F(EngineErrors, UnknownOrMissingTransportIsCode0) {
  for (const std::string_view query : {"", "EIO=4", "EIO=4&transport=abc", "EIO=4&transport=webtransport",
                                       "EIO=4&transport=__proto__", "__proto__=1&constructor=2"}) {
    expect_error(rig.ask("GET", query), 0, "Transport unknown");
    expect_refused_upgrade(rig.ask_upgrade(query), "Transport unknown");
  }
}

TEST_F(EngineErrors, ATransportThatIsSwitchedOffIsUnknown) {
  Rig websocket_only({.polling = false});
  expect_error(websocket_only.ask("GET", "EIO=4&transport=polling"), 0, "Transport unknown");
  Rig polling_only({.websocket = false});
  expect_refused_upgrade(polling_only.ask_upgrade("EIO=4&transport=websocket"), "Transport unknown");
  EXPECT_NE(polling_only.ask("GET", "EIO=4&transport=polling").body.find(R"("upgrades":[])"),
            std::string::npos);
}

TEST_F(EngineErrors, UnknownSidIsCode1) {
  expect_error(rig.ask("GET", kNobody), 1, "Session ID unknown");
  expect_error(rig.ask("POST", kNobody, "4x"), 1, "Session ID unknown");
  expect_error(rig.ask("GET", "EIO=4&transport=polling&sid=short"), 1, "Session ID unknown");
  expect_error(rig.ask("GET", "EIO=4&transport=polling&sid=__proto__"), 1, "Session ID unknown");
  expect_refused_upgrade(rig.ask_upgrade("EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAA"),
                         "Session ID unknown");
}

TEST_F(EngineErrors, AHandshakeThatIsNoGetIsCode2) {
  for (const std::string_view method : {"POST", "PUT", "DELETE", "OPTIONS"}) {
    expect_error(rig.ask(method, "EIO=4&transport=polling"), 2, "Bad handshake method");
  }
}

TEST_F(EngineErrors, WebSocketTransportWithoutUpgradeIsCode3) {
  expect_error(rig.ask("GET", "EIO=4&transport=websocket"), 3, "Bad request");
}

TEST_F(EngineErrors, ATransportOtherThanTheSessionsIsCode3) {
  const auto query = rig.open_polling();
  const std::string sid = query.substr(query.size() - base::kIdBytes);
  expect_error(rig.ask("GET", "EIO=4&transport=websocket&sid=" + sid), 3, "Bad request");
  MemoryStream& stream = rig.open_websocket();
  expect_error(rig.ask("GET", "EIO=4&transport=polling&sid=" + std::string(rig.handler.last->sid())), 3,
               "Bad request");
  EXPECT_FALSE(stream.finished());
  EXPECT_EQ(rig.engine.session_count(), 2u);
}

TEST_F(EngineErrors, AProtocolVersionOtherThanTheSessionsIsCode3) {
  const auto query = rig.open_polling();
  const std::string rest = query.substr(query.find("transport"));
  expect_error(rig.ask("GET", "EIO=3&" + rest), 3, "Bad request");
  expect_error(rig.ask("GET", rest), 3, "Bad request");
  expect_refused_upgrade(
      rig.ask_upgrade("EIO=3&transport=websocket&sid=" + query.substr(query.size() - base::kIdBytes)),
      "Bad request");
  EXPECT_EQ(rig.engine.session_count(), 1u);
}

TEST_F(EngineErrors, ARefusedHandshakeIsCode4) {
  std::string message = "not you \"here\"";
  Rig refusing({}, [&](const http::RequestHead& head) -> std::optional<std::string> {
    if (head.header("X-Key") == "right") return std::nullopt;
    return message;
  });
  expect_error(refusing.ask("GET", "EIO=4&transport=polling"), 4, R"(not you \"here\")", 403);
  expect_refused_upgrade(refusing.ask_upgrade("EIO=4&transport=websocket"), message);
  message.clear();
  expect_error(refusing.ask("GET", "EIO=4&transport=polling"), 4, "Forbidden", 403);
  EXPECT_EQ(refusing.ask("GET", "EIO=4&transport=polling", {}, "X-Key: right\r\n").status, 200);
  EXPECT_EQ(refusing.engine.counts().refused[4], 3u);
}

TEST_F(EngineErrors, AnotherProtocolVersionIsCode5) {
  for (const std::string_view query : {"transport=polling", "EIO=3&transport=polling",
                                       "EIO=abc&transport=polling", "EIO=44&transport=polling"}) {
    expect_error(rig.ask("GET", query), 5, "Unsupported protocol version");
  }
  expect_refused_upgrade(rig.ask_upgrade("EIO=3&transport=websocket"), "Unsupported protocol version");
  EXPECT_EQ(rig.engine.session_count(), 0u);
}

TEST_F(EngineErrors, APostAboveTheLimitIs413AndTheSessionLives) {
  Rig small({.max_payload_bytes = 10});
  const auto query = small.open_polling();
  EXPECT_EQ(small.ask("POST", query, "4012345678").status, 200);
  const Reply reply = small.ask("POST", query, "40123456789");
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(reply.body, "");
  EXPECT_EQ(small.ask("POST", query, "4x").body, "ok");
  EXPECT_EQ(small.handler.log, (std::vector<std::string>{"open", "text 012345678", "text x"}));
}

TEST_F(EngineErrors, AWebSocketMessageAboveTheLimitIs1009) {
  Rig small({.max_payload_bytes = 10});
  MemoryStream& stream = small.open_websocket();
  stream.receive(test::text_frame("4012345678") + test::text_frame("40123456789"));
  EXPECT_EQ(Rig::frames_of(stream), (std::vector<test::ServerFrame>{{8, test::close_payload(1009)}}));
  EXPECT_TRUE(stream.finished());
  small.engine.tick(test::plenty());
  EXPECT_EQ(small.handler.log, (std::vector<std::string>{"open", "text 012345678", "close transport error"}));
}

TEST_F(EngineErrors, ABinaryPostIs400AndClosesTheSession) {
  const auto query = rig.open_polling();
  EXPECT_EQ(rig.ask("POST", query, "4x", "Content-Type: application/octet-stream\r\n").status, 400);
  EXPECT_EQ(last_closed(), "close transport error");
  expect_error(rig.ask("GET", query), 1, "Session ID unknown");
}

TEST_F(EngineErrors, ASecondPollIs400AndTheFirstGetsCloseAndTheSessionEnds) {
  const auto query = rig.open_polling();
  MemoryStream& first = rig.poll(query);
  MemoryStream& second = rig.poll(query);
  const Reply refused = Rig::reply_of(second);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.body, "");
  const Reply closing = Rig::reply_of(first);
  EXPECT_EQ(closing.status, 200);
  EXPECT_EQ(closing.body, "1");
  rig.engine.tick(test::plenty());
  EXPECT_EQ(last_closed(), "close transport error");
  expect_error(rig.ask("GET", query), 1, "Session ID unknown");
}

TEST_F(EngineErrors, ASecondPostWhileOneIsUnderWayIs400AndClosesTheSession) {
  const auto query = rig.open_polling();
  MemoryStream& slow = rig.connect();
  const std::string bytes = Rig::request("POST", query, "4slow");
  slow.receive(bytes.substr(0, bytes.size() - 1));
  const Reply second = rig.ask("POST", query, "4fast");
  EXPECT_EQ(second.status, 400);
  EXPECT_EQ(second.body, "");
  slow.receive("w");
  EXPECT_EQ(Rig::reply_of(slow).status, 400);
  EXPECT_EQ(rig.handler.log, (std::vector<std::string>{"open", "close transport error"}));
}

TEST_F(EngineErrors, TwoPostsUnderWayCloseTheSession) {
  const auto query = rig.open_polling();
  const std::string bytes = Rig::request("POST", query, "4slow");
  MemoryStream& one = rig.connect();
  MemoryStream& two = rig.connect();
  one.receive(bytes.substr(0, bytes.size() - 1));
  two.receive(bytes.substr(0, bytes.size() - 1));
  rig.engine.tick(test::plenty());
  EXPECT_EQ(last_closed(), "close transport error");
}

TEST_F(EngineErrors, APostThatWasGivenUpIsNotUnderWay) {
  const auto query = rig.open_polling();
  MemoryStream& gone = rig.connect();
  const std::string bytes = Rig::request("POST", query, "4slow");
  gone.receive(bytes.substr(0, bytes.size() - 1));
  gone.close();
  EXPECT_EQ(rig.ask("POST", query, "4fast").body, "ok");
}

TEST_F(EngineErrors, AClientThatAbortsItsPollIsGone) {
  const auto query = rig.open_polling();
  rig.poll(query).close();
  rig.engine.tick(test::plenty());
  EXPECT_EQ(last_closed(), "close transport error");
  EXPECT_EQ(rig.engine.session_count(), 0u);
}

TEST_F(EngineErrors, AnotherMethodWithSidIs405) {
  const auto query = rig.open_polling();
  for (const std::string_view method : {"PUT", "DELETE", "OPTIONS"})
    EXPECT_EQ(rig.ask(method, query).status, 405);
  EXPECT_EQ(rig.engine.session_count(), 1u);
}

TEST_F(EngineErrors, AnUndecodablePacketIsAnsweredOkAndClosesTheSession) {
  for (const std::string_view body : {"abc", "7",
                                      "4first\x1exyz\x1e"
                                      "4never",
                                      "", "4\xff"}) {
    const auto query = rig.open_polling();
    rig.handler.log.clear();
    MemoryStream& poll = rig.poll(query);
    const Reply reply = rig.ask("POST", query, body);
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "ok");
    EXPECT_EQ(Rig::reply_of(poll).body, "1");
    EXPECT_EQ(last_closed(), "close parse error");
    for (const auto& line : rig.handler.log) EXPECT_NE(line, "text never");
    expect_error(rig.ask("GET", query), 1, "Session ID unknown");
  }
}

TEST_F(EngineErrors, AnUndecodablePacketClosesAWebSocket) {
  for (const std::string_view packet : {"abc", "7", ""}) {
    MemoryStream& stream = rig.open_websocket();
    stream.receive(test::text_frame(packet) + test::text_frame("4never"));
    EXPECT_EQ(Rig::frames_of(stream).front().opcode, 8);
    EXPECT_TRUE(stream.finished());
    rig.engine.tick(test::plenty());
    EXPECT_EQ(last_closed(), "close parse error");
  }
}

TEST_F(EngineErrors, AfterTheUpgradeAPollIsCode3AndAnotherWebSocketIsAcceptedThenClosed) {
  const auto query = rig.open_polling();
  MemoryStream& websocket = rig.probe(query);
  websocket.receive(test::text_frame("2probe") + test::text_frame("5"));
  expect_error(rig.ask("GET", query), 3, "Bad request");
  MemoryStream& another = rig.probe(query);
  EXPECT_EQ(rig.probe_reply.status, 101);
  EXPECT_TRUE(another.finished());
  EXPECT_FALSE(websocket.finished());
  EXPECT_EQ(rig.engine.session_count(), 1u);
}

TEST_F(EngineErrors, AWebSocketRequestThatIsNoHandshakeIsRefused) {
  MemoryStream& stream = rig.connect();
  stream.receive(
      Rig::request("GET", "EIO=4&transport=websocket", {}, "Upgrade: websocket\r\nConnection: Upgrade\r\n"));
  EXPECT_EQ(Rig::reply_of(stream).status, 400);
  EXPECT_TRUE(stream.finished());
  EXPECT_EQ(rig.engine.session_count(), 0u);
}

TEST_F(EngineErrors, APathWithoutItsLastSlashIsNotEngineIos) {
  MemoryStream& stream = rig.connect();
  stream.receive("GET /socket.io?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(Rig::reply_of(stream).status, 404);
  stream.receive("GET /socket.io/more?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(Rig::reply_of(stream).status, 200);
}

TEST(EngineSid, IsTakenFromTheQueryIfItIsWellFormed) {
  const auto sid = [](const std::string& target) {
    const std::string bytes = "GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n";
    const auto parsed = http::parse_head(bytes, 1000);
    const auto found = sid_of(parsed.head);
    return found ? std::string(*found) : std::string("none");
  };
  EXPECT_EQ(sid("/socket.io/?EIO=4&sid=abcdefghijABCDEFG0-_&t=1"), "abcdefghijABCDEFG0-_");
  EXPECT_EQ(sid("/socket.io/?EIO=4"), "none");
  EXPECT_EQ(sid("/socket.io/?sid=abc"), "none");
  EXPECT_EQ(sid("/socket.io/?sid=abcdefghijABCDEFG0-_x"), "none");
  EXPECT_EQ(sid("/socket.io/?sid=abcdefghijABCDEFG0-%41"), "none");
  EXPECT_EQ(sid("/sid=abcdefghijABCDEFG0-_"), "none");
}

}  // namespace
}  // namespace limpet::engineio
