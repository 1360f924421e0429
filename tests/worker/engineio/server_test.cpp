#include "worker/engineio/server.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/worker/engineio/rig.h"
#include "tests/worker/plenty.h"

namespace limpet::engineio {
namespace {

using namespace std::chrono_literals;
using test::binary_message;
using test::client_frame;
using test::MemoryStream;
using test::Reply;
using test::Rig;
using test::ServerFrame;
using test::text_frame;
using test::text_message;
using Log = std::vector<std::string>;
using Frames = std::vector<ServerFrame>;

const std::string kLong(200, 'x');

class Engine : public testing::Test {
 protected:
  void send(Session& session, std::string_view text) {
    const auto frame = text_message(text);
    session.send({&frame, 1});
  }
  Session& last() { return *rig.handler.last; }
  Log& log() { return rig.handler.log; }
  Rig rig;
};

// Opening

TEST_F(Engine, OpensAPollingSession) {
  const Reply reply = rig.ask("GET", "EIO=4&transport=polling&t=abc");
  EXPECT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.has("Content-Type: text/plain; charset=UTF-8\r\n"));
  EXPECT_TRUE(reply.has("cache-control: no-store\r\n"));
  EXPECT_EQ(
      reply.body,
      R"(0{"sid":"aa0000000000000001-_","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000})");
  EXPECT_EQ(last().transport(), Transport::Polling);
  EXPECT_EQ(last().sid(), "aa0000000000000001-_");
  EXPECT_EQ(rig.engine.find("aa0000000000000001-_"), &last());
  EXPECT_EQ(rig.engine.counts().polling, 1u);
}

TEST_F(Engine, OpensAWebSocketSession) {
  MemoryStream& stream = rig.connect("::1");
  stream.receive(Rig::upgrade_request("EIO=4&transport=websocket"));
  std::string sent = stream.take_sent();
  EXPECT_EQ(test::take_reply(sent).status, 101);
  EXPECT_EQ(
      test::server_frames(sent),
      (Frames{
          {1,
           R"(0{"sid":"aa0000000000000001-_","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000})"}}));
  EXPECT_EQ(last().transport(), Transport::WebSocket);
  EXPECT_EQ(last().address(), "::1");
  EXPECT_EQ(last().issued_ms(), 1234);
  EXPECT_EQ(std::string(last().handshake_head()) + "\r\n\r\n",
            Rig::upgrade_request("EIO=4&transport=websocket"));
  EXPECT_EQ(rig.http.connection_count(), 0u);
}

TEST_F(Engine, OpensAWebSocketSessionFromARequestSplitAtAnyByte) {
  const std::string bytes = Rig::upgrade_request("EIO=4&transport=websocket") + text_frame("4hello");
  for (std::size_t split = 1; split < bytes.size(); ++split) {
    MemoryStream& stream = rig.connect();
    stream.receive(bytes.substr(0, split));
    stream.receive(bytes.substr(split));
    EXPECT_EQ(log(), (Log{"open", "text hello"})) << split;
    log().clear();
  }
}

TEST_F(Engine, OffersNoUpgradeIfNoneIsAllowed) {
  Rig strict({.allow_upgrades = false});
  EXPECT_NE(strict.ask("GET", "EIO=4&transport=polling").body.find(R"("upgrades":[])"), std::string::npos);
  const auto query = strict.open_polling();
  EXPECT_TRUE(strict.probe(query).finished());
}

// WebSocket

TEST_F(Engine, CarriesMessagesOverAWebSocket) {
  MemoryStream& stream = rig.open_websocket();
  stream.receive(text_frame("4hello") + client_frame(2, std::string("\0\x01", 2)) + text_frame("4") +
                 text_frame("bAQI="));
  EXPECT_EQ(log(), (Log{"open", "text hello", std::string("binary \0\x01", 9), "text ", "binary \x01\x02"}));
  const std::vector<loop::Buffer> frames = {text_message("a"), binary_message("b")};
  last().send(frames);
  EXPECT_EQ(Rig::frames_of(stream), (Frames{{1, "4a"}, {2, "b"}}));
  EXPECT_EQ(rig.engine.counts().messages_in, 4u);
}

TEST_F(Engine, TakesFramesSplitAtAnyByte) {
  MemoryStream& stream = rig.open_websocket();
  const std::string bytes = text_frame("4" + kLong) + client_frame(1, "4y", {.fin = false}) +
                            client_frame(9, "") + client_frame(0, "z");
  for (std::size_t split = 1; split < bytes.size(); ++split) {
    log().clear();
    stream.receive(bytes.substr(0, split));
    stream.receive(bytes.substr(split));
    EXPECT_EQ(log(), (Log{"text " + kLong, "text yz"})) << split;
    EXPECT_EQ(Rig::frames_of(stream), (Frames{{10, ""}})) << split;
  }
}

TEST_F(Engine, AnswersAPingFrameWithItsPayload) {
  MemoryStream& stream = rig.open_websocket();
  stream.receive(client_frame(9, "payload"));
  EXPECT_EQ(Rig::frames_of(stream), (Frames{{10, "payload"}}));
}

TEST_F(Engine, EchoesTheClientsCloseAndEndsTheSession) {
  MemoryStream& stream = rig.open_websocket();
  stream.receive(client_frame(8, test::close_payload(1001)) + text_frame("4never"));
  EXPECT_EQ(Rig::frames_of(stream), (Frames{{8, test::close_payload(1001)}}));
  EXPECT_TRUE(stream.finished());
  EXPECT_EQ(log(), Log{"open"}) << "reported from tick() only";
  rig.engine.tick(test::plenty());
  EXPECT_EQ(log(), (Log{"open", "close transport close"}));
}

TEST_F(Engine, EndsTheSessionWithItsStream) {
  MemoryStream& stream = rig.open_websocket();
  stream.close(ECONNRESET);
  EXPECT_EQ(rig.engine.session_count(), 0u);
  EXPECT_LE(rig.engine.next_deadline(), rig.clock.now());
  rig.engine.tick(test::plenty());
  EXPECT_EQ(log(), (Log{"open", "close transport close"}));
}

TEST_F(Engine, ReportsAnEndedSessionOnceAndIgnoresWhatIsSentToIt) {
  MemoryStream& stream = rig.open_websocket();
  Session& session = last();
  session.close(CloseReason::ForcedClose);
  EXPECT_EQ(Rig::frames_of(stream), (Frames{{8, test::close_payload(1000)}}));
  session.close(CloseReason::ServerShuttingDown);
  send(session, "late");
  EXPECT_FALSE(session.writable());
  stream.close();
  rig.engine.tick(test::plenty());
  rig.engine.tick(test::plenty());
  EXPECT_EQ(log(), (Log{"open", "close forced close"}));
  EXPECT_EQ(stream.sent(), "");
  EXPECT_EQ(rig.engine.counts().closed[static_cast<std::size_t>(CloseReason::ForcedClose)], 1u);
}

TEST_F(Engine, StopsAtTheMessageInWhichTheSessionIsClosed) {
  MemoryStream& stream = rig.open_websocket();
  rig.handler.on_message = [](Session& session, std::string_view) {
    session.close(CloseReason::ForcedClose);
  };
  stream.receive(text_frame("4one") + text_frame("4two"));
  rig.engine.tick(test::plenty());
  EXPECT_EQ(log(), (Log{"open", "text one", "close forced close"}));
}

TEST_F(Engine, LetsTheReportOfOneEndCauseAnother) {
  rig.open_websocket();
  Session& first = last();
  MemoryStream& stream = rig.open_websocket();
  Session& second = last();
  const auto query = rig.open_polling();
  Session& third = last();
  MemoryStream& poll = rig.poll(query);
  rig.handler.closed = [&](Session& session) {
    if (&session == &first) second.close(CloseReason::ForcedClose), send(third, "told");
  };
  first.close(CloseReason::ForcedClose);
  rig.engine.tick(test::plenty());
  EXPECT_TRUE(stream.finished());
  EXPECT_EQ(Rig::reply_of(poll).body, "4told");
  EXPECT_EQ(rig.engine.session_count(), 1u);
}

TEST_F(Engine, IsWritableWhileNothingWaitsInTheStream) {
  MemoryStream& stream = rig.open_websocket();
  EXPECT_TRUE(last().writable());
  stream.unsent = 1;
  EXPECT_FALSE(last().writable());
}

TEST_F(Engine, TreatsACloseAPingAndUnknownPacketsAsTheProtocolSays) {
  MemoryStream& closing = rig.open_websocket();
  closing.receive(text_frame("1"));
  rig.engine.tick(test::plenty());
  EXPECT_EQ(log().back(), "close transport close");
  MemoryStream& pinging = rig.open_websocket();
  pinging.receive(text_frame("2"));
  rig.engine.tick(test::plenty());
  EXPECT_EQ(log().back(), "close transport error");
  MemoryStream& odd = rig.open_websocket();
  odd.receive(text_frame("0") + text_frame("5") + text_frame("6"));
  EXPECT_FALSE(odd.finished());
}

// Polling

TEST_F(Engine, CarriesMessagesOverPolling) {
  const auto query = rig.open_polling();
  const Reply reply = rig.ask("POST", query,
                              "4one\x1e"
                              "bAQIDBA==\x1e"
                              "4two");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "ok");
  EXPECT_TRUE(reply.has("Content-Type: text/html\r\n"));
  EXPECT_EQ(log(), (Log{"open", "text one", "binary \x01\x02\x03\x04", "text two"}));
}

TEST_F(Engine, TakesAPostSplitAtAnyByte) {
  const auto query = rig.open_polling();
  const std::string bytes = Rig::request("POST", query, "4hello");
  for (std::size_t split = 1; split < bytes.size(); ++split) {
    log().clear();
    MemoryStream& stream = rig.connect();
    stream.receive(bytes.substr(0, split));
    stream.receive(bytes.substr(split));
    EXPECT_EQ(Rig::reply_of(stream).body, "ok");
    EXPECT_EQ(log(), Log{"text hello"}) << split;
  }
}

TEST_F(Engine, AnswersAParkedPollWithEverythingSentInATurn) {
  const auto query = rig.open_polling();
  EXPECT_FALSE(last().writable());
  MemoryStream& poll = rig.poll(query);
  EXPECT_EQ(poll.sent(), "");
  EXPECT_TRUE(last().writable());
  send(last(), "one");
  const std::vector<loop::Buffer> frames = {text_message("two"), binary_message("\x01\x02\x03\x04")};
  last().send(frames);
  EXPECT_FALSE(last().writable());
  EXPECT_EQ(poll.sent(), "") << "at the end of the turn";
  rig.engine.tick(test::plenty());
  EXPECT_EQ(Rig::reply_of(poll).body,
            "4one\x1e"
            "4two\x1e"
            "bAQIDBA==");
}

TEST_F(Engine, AnswersAPollAtOnceWithWhatWaitedForIt) {
  const auto query = rig.open_polling();
  send(last(), "one");
  send(last(), "two");
  EXPECT_EQ(Rig::reply_of(rig.poll(query)).body,
            "4one\x1e"
            "4two");
  MemoryStream& next = rig.poll(query);
  rig.engine.tick(test::plenty());
  EXPECT_EQ(next.sent(), "");
}

TEST_F(Engine, TellsAParkedPollThatTheServerClosedTheSession) {
  const auto query = rig.open_polling();
  MemoryStream& poll = rig.poll(query);
  send(last(), "last words");
  last().close(CloseReason::ForcedClose);
  // The client would act on a close before it decodes a message of the same payload.
  EXPECT_EQ(Rig::reply_of(poll).body, "4last words");
  rig.engine.tick(test::plenty());
  EXPECT_EQ(log().back(), "close forced close");
  EXPECT_TRUE(rig.engine.has_lingering());
  EXPECT_EQ(rig.ask("GET", query).body, "1");
  EXPECT_FALSE(rig.engine.has_lingering());
}

TEST_F(Engine, TellsTheNextPollIfNoneIsParkedWhenTheServerCloses) {
  const auto query = rig.open_polling();
  send(last(), "last words");
  last().close(CloseReason::ForcedClose);
  rig.engine.tick(test::plenty());
  EXPECT_EQ(log().back(), "close forced close");
  EXPECT_EQ(rig.engine.session_count(), 0u);
  EXPECT_EQ(rig.engine.counts().polling, 0u);
  EXPECT_EQ(rig.ask("POST", query, "4ignored").body, "ok");
  EXPECT_EQ(log().back(), "close forced close");
  rig.advance(4s);
  EXPECT_EQ(rig.ask("GET", query).body, "4last words");
  EXPECT_EQ(rig.ask("GET", query).body, "1");
  EXPECT_EQ(rig.ask("GET", query).status, 400);
}

TEST_F(Engine, ForgetsAClosedPollingSessionAfterFiveSeconds) {
  const auto query = rig.open_polling();
  last().close(CloseReason::ForcedClose);
  rig.engine.tick(test::plenty());
  rig.advance(5s);
  EXPECT_EQ(rig.ask("GET", query).status, 400);
  EXPECT_EQ(rig.engine.next_deadline(), std::nullopt);
}

TEST_F(Engine, TellsTheNextPollEvenInTheTurnOfTheClose) {
  const auto query = rig.open_polling();
  last().close(CloseReason::ForcedClose);
  EXPECT_EQ(Rig::reply_of(rig.poll(query)).body, "1");
  rig.engine.tick(test::plenty());
  rig.engine.tick(test::plenty());
  EXPECT_EQ(log(), (Log{"open", "close forced close"}));
}

TEST_F(Engine, ReleasesTheParkedPollOfAClientThatCloses) {
  const auto query = rig.open_polling();
  MemoryStream& poll = rig.poll(query);
  EXPECT_EQ(rig.ask("POST", query,
                    "1\x1e"
                    "4never")
                .body,
            "ok");
  EXPECT_EQ(Rig::reply_of(poll).body, "6");
  EXPECT_EQ(log(), (Log{"open", "close transport close"}));
  EXPECT_EQ(rig.ask("GET", query).status, 400);
}

TEST_F(Engine, EndsAPollingSessionThatIsNotFetched) {
  Rig small({.max_queued_bytes = 1000});
  small.open_polling();
  send(*small.handler.last, std::string(9000, 'x'));  // a single emit may have any size
  EXPECT_EQ(small.engine.session_count(), 1u);
  send(*small.handler.last, "x");
  small.engine.tick(test::plenty());
  EXPECT_EQ(small.handler.log.back(), "close transport error");
  EXPECT_EQ(small.engine.counts().overflowed, 1u);
}

TEST_F(Engine, EndsAPollingSessionWithAFullQueueOnceNothingIsTakenForTooLong) {
  Rig small({.max_queued_bytes = 1000, .send_stall = 5s});
  const auto query = small.open_polling();
  send(*small.handler.last, std::string(2000, 'x'));
  small.advance(4999ms);
  send(*small.handler.last, "y");
  EXPECT_EQ(small.engine.session_count(), 1u);
  EXPECT_EQ(small.ask("GET", query).status, 200);
  send(*small.handler.last, std::string(2000, 'x'));
  small.advance(4999ms);
  send(*small.handler.last, "y");
  EXPECT_EQ(small.engine.session_count(), 1u) << "a poll took something 4,999 ms ago";
  small.advance(1ms);
  send(*small.handler.last, "z");
  small.engine.tick(test::plenty());
  EXPECT_EQ(small.handler.log.back(), "close transport error");
  EXPECT_EQ(small.engine.counts().stalled, 1u);
}

TEST_F(Engine, ShedsTheSessionForWhichMostIsHeldAndAccountsForItUntilItIsGone) {
  loop::MemoryTotal memory;
  const std::uint64_t buffers = memory.bytes();
  {
    Rig two({}, {}, &memory);
    const auto first = two.open_polling();
    engineio::Session* const large = two.handler.last;
    two.open_polling();
    EXPECT_EQ(two.engine.largest_bytes(), 0u);
    send(*large, std::string(300'000, 'x'));
    two.handler.last->hold(200'000);
    EXPECT_GT(two.engine.largest_bytes(), 250'000u);
    EXPECT_GT(memory.bytes(), buffers + 450'000);
    two.engine.shed_largest();
    EXPECT_LT(two.engine.largest_bytes(), 250'000u);
    two.engine.shed_largest();
    EXPECT_EQ(two.engine.largest_bytes(), 0u);
    two.handler.last->hold(-200'000);
    two.engine.tick(test::plenty());
    EXPECT_EQ(two.engine.session_count(), 0u);
    EXPECT_EQ(two.engine.counts().shed, 2u);
  }
  EXPECT_EQ(memory.bytes(), buffers);
}

TEST_F(Engine, ThePacketsOfALargePostAreTakenOverSeveralTurnsInOrderAndThenItIsAnswered) {
  const auto query = rig.open_polling();
  std::string body;
  for (int i = 0; i < 2000; ++i)
    body += (i == 0 ? "4"
                    : "\x1e"
                      "4") +
            std::to_string(i);
  MemoryStream& stream = rig.connect();
  stream.allowance.begin(100, 1h);
  stream.receive(Rig::request("POST", query, body));
  EXPECT_EQ(stream.sent(), "");
  EXPECT_LT(log().size(), 100u);
  for (int turns = 0; turns < 100 && stream.sent().empty(); ++turns) {
    const std::size_t before = log().size();
    loop::Allowance allowance;
    allowance.begin(100, 1h);
    rig.engine.tick(allowance);
    EXPECT_LE(log().size(), before + 100);
  }
  EXPECT_EQ(Rig::reply_of(stream).body, "ok");
  ASSERT_EQ(log().size(), 2001u);
  for (int i = 0; i < 2000; ++i)
    ASSERT_EQ(log()[static_cast<std::size_t>(i) + 1], "text " + std::to_string(i));
  EXPECT_EQ(stream.held, 0);
}

TEST_F(Engine, AMessageInFragmentsIsAccountedUntilItHasComeAndNoLonger) {
  MemoryStream& stream = rig.open_websocket();
  stream.receive(test::client_frame(1, "4" + std::string(1000, 'a'), {.fin = false}));
  EXPECT_GE(stream.held, 1000);
  stream.receive(test::client_frame(0, std::string(1000, 'b')) + test::text_frame("4c"));
  EXPECT_EQ(log().back(), "text c");
  EXPECT_EQ(stream.held, 0);
}

TEST_F(Engine, AnUpgradeThatIsSaidInFragmentsLeavesNothingAccounted) {
  for (const bool upgrades : {true, false}) {
    const auto query = rig.open_polling();
    MemoryStream& websocket = rig.probe(query);
    websocket.receive(test::text_frame("2probe"));
    websocket.receive(test::client_frame(1, "5" + std::string(1000, 'x'), {.fin = false}));
    EXPECT_GE(websocket.held, 1000);
    websocket.receive(upgrades ? test::client_frame(0, "x") : test::client_frame(8, ""));
    EXPECT_EQ(websocket.held, 0);
  }
}

TEST_F(Engine, AHandlerThatEndsTheSessionOfAPostKeepsWhatItWasGivenUntilItReturns) {
  const auto query = rig.open_polling();
  std::string body;
  for (int i = 0; i < 50; ++i)
    body += std::string(i == 0 ? "" : "\x1e") + "4" + std::string("a packet that is no short string ") +
            std::to_string(i);
  rig.handler.on_message = [](Session& session, std::string_view text) {
    if (!text.ends_with(" 30")) return;
    session.close(CloseReason::ForcedClose);
    const std::string other(4096, '?');  // takes the place of what was freed
    EXPECT_EQ(text, "a packet that is no short string 30");
  };
  MemoryStream& stream = rig.connect();
  stream.allowance.begin(20, 1h);
  stream.receive(Rig::request("POST", query, body));
  for (int turns = 0; turns < 100 && stream.sent().empty(); ++turns) rig.engine.tick(test::plenty());
  EXPECT_EQ(Rig::reply_of(stream).body, "ok");
  EXPECT_EQ(
      std::count_if(log().begin(), log().end(), [](const auto& line) { return line.starts_with("text"); }),
      31);
  EXPECT_EQ(stream.held, 0);
}

TEST_F(Engine, APostBesideOneWhosePacketsWaitEndsTheSessionAndBothAreAnswered) {
  const auto query = rig.open_polling();
  MemoryStream& stream = rig.connect();
  stream.allowance.begin(20, 1h);
  stream.receive(Rig::request("POST", query,
                              "41\x1e"
                              "42\x1e"
                              "43\x1e"
                              "44\x1e"
                              "45\x1e"
                              "46"));
  EXPECT_EQ(stream.sent(), "");
  MemoryStream& beside = rig.connect();
  beside.receive(Rig::request("POST", query, "4beside"));
  rig.engine.tick(test::plenty());
  EXPECT_EQ(Rig::reply_of(beside).status, 400);
  EXPECT_EQ(Rig::reply_of(stream).body, "ok") << "it came, and what was not taken is void";
  EXPECT_EQ(log().back(), "close transport error");
}

TEST_F(Engine, SpeaksJsonp) {
  const Reply open = rig.ask("GET", "EIO=4&transport=polling&j=2x");
  EXPECT_TRUE(open.has("Content-Type: text/javascript; charset=UTF-8\r\n"));
  EXPECT_TRUE(open.body.starts_with(R"(___eio[2]("0{\"sid\":\"aa)")) << open.body;
  const std::string query = "EIO=4&transport=polling&j=3&sid=" + std::string(last().sid());
  send(last(), "a\"b\xe2\x80\xa8");
  EXPECT_EQ(rig.ask("GET", query).body, R"(___eio[3]("4a\"b\u2028");)");
  EXPECT_EQ(rig.ask("POST", query, "d=4line%5Cnbreak+%5C%5Cn").body, "ok");
  EXPECT_EQ(log().back(), "text line\nbreak \\n");
}

TEST_F(Engine, AnswersLargePollsOverSeveralTurns) {
  std::vector<MemoryStream*> polls;
  std::vector<engineio::Session*> sessions;
  for (int i = 0; i < 4; ++i) {
    polls.push_back(&rig.poll(rig.open_polling()));
    sessions.push_back(rig.handler.last);
  }
  for (auto* session : sessions) send(*session, std::string(900'000, 'x'));
  const auto answered = [&] {
    return std::ranges::count_if(polls, [](auto* poll) { return !poll->sent().empty(); });
  };
  for (int turns = 1; turns <= 4; ++turns) {
    loop::Allowance allowance;
    allowance.begin(300, 1h);
    rig.engine.tick(allowance);
    EXPECT_EQ(answered(), turns);
  }
}

TEST_F(Engine, AnswersAPollOverJsonpWithLess) {
  const auto query = rig.open_polling();
  for (int i = 0; i < 20; ++i) send(last(), std::string(100'000, 'x'));
  EXPECT_LT(rig.ask("GET", query + "&j=0").body.size(), 256u * 1024);
  EXPECT_GT(rig.ask("GET", query).body.size(), 900'000u);
}

TEST_F(Engine, AnswersPollsWhileALongPostIsTaken) {
  const auto posting = rig.open_polling();
  std::string body = "4x";
  for (int i = 0; i < 2000; ++i)
    body +=
        "\x1e"
        "4x";
  MemoryStream& post = rig.connect();
  post.allowance.begin(20, 1h);
  post.receive(Rig::request("POST", posting, body));
  MemoryStream& poll = rig.poll(rig.open_polling());
  send(last(), "hello");
  for (int turns = 0; turns < 2; ++turns) {
    loop::Allowance allowance;
    allowance.begin(20, 1h);
    rig.engine.tick(allowance);
  }
  EXPECT_EQ(Rig::reply_of(poll).body, "4hello");
  EXPECT_EQ(post.sent(), "");
}

// Heartbeat

TEST_F(Engine, SendsAPingAndWaitsForThePong) {
  MemoryStream& stream = rig.open_websocket();
  EXPECT_EQ(rig.engine.next_deadline(), rig.clock.now() + 25s);
  rig.advance(25s - 1ms);
  EXPECT_EQ(stream.sent(), "");
  rig.advance(1ms);
  EXPECT_EQ(Rig::frames_of(stream), (Frames{{1, "2"}}));
  EXPECT_EQ(rig.engine.next_deadline(), rig.clock.now() + 20s);
  rig.advance(10s);
  stream.receive(text_frame("3"));
  EXPECT_EQ(rig.engine.next_deadline(), rig.clock.now() + 25s);
  rig.advance(24s);
  EXPECT_EQ(stream.sent(), "");
  rig.advance(1s);
  EXPECT_EQ(Rig::frames_of(stream), (Frames{{1, "2"}}));
}

TEST_F(Engine, EndsASessionWhosePongDoesNotCome) {
  MemoryStream& stream = rig.open_websocket();
  rig.advance(25s);
  rig.advance(20s - 1ms);
  EXPECT_FALSE(stream.finished());
  stream.receive(text_frame("4data is no pong"));
  rig.advance(1ms);
  EXPECT_TRUE(stream.finished());
  EXPECT_EQ(log().back(), "close ping timeout");
}

TEST_F(Engine, AbortsAStreamWhosePeerTakesNothing) {
  MemoryStream& stream = rig.open_websocket();
  stream.unsent = 100;
  rig.advance(25s);
  rig.advance(20s);
  EXPECT_TRUE(stream.aborted());
}

TEST_F(Engine, PingsThroughAPoll) {
  const auto query = rig.open_polling();
  MemoryStream& poll = rig.poll(query);
  rig.advance(25s);
  EXPECT_EQ(Rig::reply_of(poll).body, "2");
  EXPECT_EQ(rig.ask("POST", query, "3").body, "ok");
  rig.advance(24s);
  EXPECT_EQ(rig.engine.session_count(), 1u);
  MemoryStream& next = rig.poll(query);
  rig.advance(1s);
  EXPECT_EQ(Rig::reply_of(next).body, "2");
  rig.advance(20s);
  EXPECT_EQ(log().back(), "close ping timeout");
  EXPECT_EQ(rig.ask("GET", query).status, 400);
}

// Upgrade

TEST_F(Engine, UpgradesFromPollingToWebSocket) {
  const auto query = rig.open_polling();
  MemoryStream& poll = rig.poll(query);
  MemoryStream& websocket = rig.probe(query);
  EXPECT_EQ(rig.probe_reply.status, 101);
  websocket.receive(text_frame("2probe"));
  EXPECT_EQ(Rig::frames_of(websocket), (Frames{{1, "3probe"}}));
  rig.advance(99ms);
  EXPECT_EQ(poll.sent(), "");
  rig.advance(1ms);
  EXPECT_EQ(Rig::reply_of(poll).body, "6");
  send(last(), "waits for the upgrade");
  EXPECT_EQ(websocket.sent(), "");
  websocket.receive(text_frame("5") + text_frame("4first"));
  EXPECT_EQ(last().transport(), Transport::WebSocket);
  EXPECT_EQ(Rig::frames_of(websocket), (Frames{{1, "4waits for the upgrade"}}));
  send(last(), "after");
  EXPECT_EQ(Rig::frames_of(websocket), (Frames{{1, "4after"}}));
  EXPECT_EQ(log(), (Log{"open", "text first"}));
  EXPECT_EQ(rig.engine.counts().polling, 0u);
  EXPECT_EQ(rig.engine.counts().upgraded, 1u);
  EXPECT_EQ(rig.engine.next_deadline(), loop::TimePoint{} + 25s) << "the heartbeat runs on, the rest is over";
}

TEST_F(Engine, AnswersEveryPollThatStandsInTheWayOfAnUpgrade) {
  const auto query = rig.open_polling();
  MemoryStream& websocket = rig.probe(query);
  websocket.receive(text_frame("2probe"));
  rig.advance(150ms);
  MemoryStream& poll = rig.poll(query);
  rig.advance(100ms);
  EXPECT_EQ(Rig::reply_of(poll).body, "6");
  MemoryStream& next = rig.poll(query);
  rig.advance(100ms);
  EXPECT_EQ(Rig::reply_of(next).body, "6");
}

TEST_F(Engine, KeepsMessagesOutOfAPollThatTheUpgradeReleases) {
  const auto query = rig.open_polling();
  MemoryStream& poll = rig.poll(query);
  MemoryStream& websocket = rig.probe(query);
  websocket.receive(text_frame("2probe"));
  websocket.take_sent();
  send(last(), "one");
  websocket.receive(text_frame("5"));
  rig.engine.tick(test::plenty());
  EXPECT_EQ(Rig::reply_of(poll).body, "6");
  EXPECT_EQ(Rig::frames_of(websocket), (Frames{{1, "4one"}}));
}

TEST_F(Engine, SurvivesAnUpgradeThatFails) {
  const auto query = rig.open_polling();
  for (const std::string& frame :
       {text_frame("4hello"), text_frame("2nope"), text_frame(""), client_frame(2, "x"), client_frame(8, ""),
        client_frame(1, "x", {.mask = false})}) {
    MemoryStream& websocket = rig.probe(query);
    websocket.receive(frame);
    EXPECT_EQ(Rig::frames_of(websocket).back().opcode, 8);
    EXPECT_TRUE(websocket.finished());
  }
  rig.probe(query).close();
  EXPECT_EQ(log(), Log{"open"});
  EXPECT_EQ(rig.ask("POST", query, "4still here").body, "ok");
  MemoryStream& websocket = rig.probe(query);
  websocket.receive(text_frame("2probe") + text_frame("5"));
  EXPECT_EQ(last().transport(), Transport::WebSocket);
}

TEST_F(Engine, GivesUpAnUpgradeThatIsNotCompleted) {
  const auto query = rig.open_polling();
  MemoryStream& websocket = rig.probe(query);
  websocket.receive(text_frame("2probe"));
  rig.advance(10s - 1ms);
  EXPECT_FALSE(websocket.finished());
  rig.advance(1ms);
  EXPECT_TRUE(websocket.finished());
  EXPECT_EQ(rig.ask("POST", query, "4still here").body, "ok");
}

TEST_F(Engine, AcceptsAndClosesASecondWebSocketWhileOneIsUpgrading) {
  const auto query = rig.open_polling();
  MemoryStream& first = rig.probe(query);
  MemoryStream& second = rig.probe(query);
  EXPECT_TRUE(second.finished());
  EXPECT_FALSE(first.finished());
}

TEST_F(Engine, TakesAnUpgradeSplitAtAnyByte) {
  for (std::size_t split = 1;; ++split) {
    const auto query = rig.open_polling();
    log().clear();
    MemoryStream& websocket = rig.probe(query);
    const std::string bytes =
        text_frame("2probe") + client_frame(9, "") + text_frame("5") + text_frame("4first");
    if (split == bytes.size()) break;
    websocket.receive(bytes.substr(0, split));
    websocket.receive(bytes.substr(split));
    EXPECT_EQ(Rig::frames_of(websocket), (Frames{{1, "3probe"}, {10, ""}})) << split;
    EXPECT_EQ(log(), Log{"text first"}) << split;
  }
}

TEST_F(Engine, ClosesTheProbeOfASessionThatEnds) {
  const auto query = rig.open_polling();
  MemoryStream& websocket = rig.probe(query);
  last().close(CloseReason::ForcedClose);
  EXPECT_TRUE(websocket.finished());
  websocket.close();
  rig.engine.tick(test::plenty());
  EXPECT_EQ(rig.ask("GET", query).body, "1");
}

// Drain

TEST_F(Engine, DrainsSessionsSoThatTheirClientsComeBack) {
  MemoryStream& websocket = rig.open_websocket();
  const auto parked = rig.open_polling();
  MemoryStream& poll = rig.poll(parked);
  const auto query = rig.open_polling();
  EXPECT_EQ(rig.engine.drain(1, test::plenty()), 2u);
  EXPECT_EQ(Rig::frames_of(websocket), (Frames{{8, test::close_payload(1012)}}));
  EXPECT_EQ(rig.engine.drain(100, test::plenty()), 0u);
  EXPECT_EQ(Rig::reply_of(poll).body, "1");
  rig.engine.tick(test::plenty());
  EXPECT_EQ(log(), (Log{"open", "open", "open", "close server shutting down", "close server shutting down",
                        "close server shutting down"}));
  EXPECT_EQ(rig.ask("GET", query).body, "1");
}

TEST_F(Engine, DrainsAlsoThoseThatAwaitAPong) {
  for (int i = 0; i < 100; ++i) rig.open_websocket();
  rig.advance(25s);
  for (int i = 0; i < 100; ++i) rig.open_websocket();
  EXPECT_EQ(rig.engine.drain(150, test::plenty()), 50u);
  EXPECT_EQ(rig.engine.drain(SIZE_MAX, test::plenty()), 0u);
}

TEST_F(Engine, DrainsNoMoreThanATurnHasTimeForAndTheOthersInTheNextOnes) {
  for (int i = 0; i < 100; ++i) rig.open_websocket();
  loop::Allowance little;
  std::size_t left = 100;
  int turns = 0;
  for (; left > 0 && turns < 100; ++turns) {
    little.begin(40, 1h);
    const std::size_t before = std::exchange(left, rig.engine.drain(SIZE_MAX, little));
    EXPECT_LE(before - left, 10u);
  }
  EXPECT_EQ(left, 0u);
  EXPECT_GE(turns, 10);
}

TEST(EngineServer, MayBeDestroyedWithSessionsInEveryState) {
  Rig rig;
  rig.open_websocket();
  const auto parked = rig.open_polling();
  rig.poll(parked);
  rig.probe(parked).receive(text_frame("2probe"));
  rig.open_polling();
  rig.handler.last->close(CloseReason::ForcedClose);
  rig.engine.tick(test::plenty());
  rig.open_polling();
  rig.handler.last->close(CloseReason::ForcedClose);
  rig.open_websocket().receive(client_frame(1, "4x", {.fin = false}));
  rig.handler.last->close(CloseReason::ForcedClose);
  // Open: the first and the parked one. What the destructor does with them all, the sanitizers say.
  EXPECT_EQ(rig.engine.session_count(), 2U);
  EXPECT_TRUE(rig.engine.has_lingering());
}

}  // namespace
}  // namespace limpet::engineio
