// Sessions that move from one engine to another, as between two processes: only what a DepartedSession says,
// and what lies unread in a stream, goes with them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "base/limits.h"
#include "tests/worker/engineio/rig.h"
#include "tests/worker/plenty.h"
#include "worker/engineio/server.h"

namespace limpet::engineio {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using test::client_frame;
using test::MemoryStream;
using test::Rig;
using test::ServerFrame;
using test::text_frame;
using test::text_message;
using testing::IsEmpty;
using Log = std::vector<std::string>;
using Frames = std::vector<ServerFrame>;

bool always(const Session&) { return true; }
void send(Session& session, std::string_view text) {
  const auto frame = text_message(text);
  session.send({&frame, 1});
}

/// What the client holds after its session has moved.
struct Moved {
  Session* session = nullptr;
  MemoryStream* websocket = nullptr;
  MemoryStream* poll = nullptr;
};

class Moving : public testing::Test {
 protected:
  Moving() : Moving(Options{}) {}
  explicit Moving(const Options& options) : from(options), to(options) { to.sids = 1000; }

  static Session* the_movable(Rig& rig) {
    const auto sessions = movable(rig);
    return sessions.empty() ? nullptr : sessions.front();
  }
  /// Of one whole round those that can leave.
  static std::vector<Session*> movable(Rig& rig) {
    Round round;
    auto sessions = rig.engine.go_round(round, 1000, test::plenty(), always);
    EXPECT_TRUE(round.over);
    std::erase_if(sessions, [&](const Session* each) { return !rig.engine.can_depart(*each); });
    return sessions;
  }
  /// As the process layer does it: other stream objects, bytes in between.
  static Moved move(Session& session, Rig& from, Rig& to) {
    DepartedSession departed = from.engine.depart(session);
    Moved moved;
    if (departed.websocket != nullptr)
      moved.websocket = &carry(*static_cast<MemoryStream*>(departed.websocket), to);
    moved.session = to.engine.arrive(std::move(departed.image), moved.websocket);
    if (moved.websocket != nullptr) moved.websocket->receive(unread_of(departed.websocket));
    if (departed.poll != nullptr) {
      moved.poll = &carry(*static_cast<MemoryStream*>(departed.poll), to);
      to.http.adopt(*moved.poll);
      moved.poll->receive(departed.poll_request + unread_of(departed.poll));
    }
    return moved;
  }
  Moved move(Session& session) { return move(session, from, to); }
  Session& last() { return *from.handler.last; }
  Log& log() { return to.handler.log; }
  void advance(milliseconds by) {
    from.advance(by);
    to.advance(by);
  }

  Rig from;
  Rig to;

 private:
  static std::string unread_of(loop::Stream* stream) { return static_cast<MemoryStream*>(stream)->unread(); }
  static MemoryStream& carry(MemoryStream& old, Rig& to) {
    EXPECT_EQ(old.receiver(), nullptr);
    to.streams.push_back(std::make_unique<MemoryStream>(old.peer_address()));
    return *to.streams.back();
  }
};

// ---- what a session knows

TEST_F(Moving, ASessionIsTheSameInItsNewPlace) {
  for (const bool polling : {true, false}) {
    const std::string request = polling ? Rig::request("GET", "EIO=4&transport=polling")
                                        : Rig::upgrade_request("EIO=4&transport=websocket");
    from.connect("2001:db8::7").receive(request);
    const std::string sid(last().sid());
    const Moved moved = move(last());
    ASSERT_NE(moved.session, nullptr);
    EXPECT_EQ(moved.session->sid(), sid);
    EXPECT_EQ(std::string(moved.session->handshake_head()) + "\r\n\r\n", request);
    EXPECT_EQ(moved.session->address(), "2001:db8::7");
    EXPECT_EQ(moved.session->issued_ms(), 1234);
    EXPECT_EQ(moved.session->transport(), polling ? Transport::Polling : Transport::WebSocket);
    EXPECT_FALSE(moved.session->secure());
    EXPECT_EQ(moved.session->user, nullptr);
    EXPECT_EQ(to.engine.find(sid), moved.session);
    EXPECT_EQ(from.engine.find(sid), nullptr);
    EXPECT_FALSE(from.engine.knows(sid));
  }
}

TEST_F(Moving, AMoveIsNeitherAnEndNorABeginning) {
  from.open_websocket();
  Session& websocket = last();
  from.open_polling();
  move(websocket);
  move(last());
  advance(0ms);
  EXPECT_EQ(from.handler.log, (Log{"open", "open"}));
  EXPECT_THAT(log(), IsEmpty());
  EXPECT_EQ(from.engine.counts().opened, 2u);
  EXPECT_EQ(from.engine.counts().departed, 2u);
  EXPECT_THAT(from.engine.counts().closed, testing::Each(0u));
  EXPECT_EQ(from.engine.counts().polling, 0u);
  EXPECT_EQ(from.engine.session_count(), 0u);
  EXPECT_EQ(to.engine.counts().opened, 0u);
  EXPECT_EQ(to.engine.counts().arrived, 2u);
  EXPECT_EQ(to.engine.counts().polling, 1u);
  EXPECT_EQ(to.engine.session_count(), 2u);
  EXPECT_EQ(from.engine.next_deadline(), std::nullopt) << "nothing is left to do";
}

TEST_F(Moving, TheBooksAreRightWhenTheyEndThere) {
  MemoryStream& stream = from.open_websocket();
  Session& websocket = last();
  const std::string query = from.open_polling();
  const Moved there = move(websocket);
  move(last());
  there.websocket->close();
  to.ask("POST", query, "1");
  EXPECT_THAT(log(), testing::UnorderedElementsAre("close transport close", "close transport close"));
  EXPECT_EQ(to.engine.session_count(), 0u);
  EXPECT_EQ(to.engine.counts().polling, 0u);
  stream.close();
  from.engine.tick(test::plenty());
  EXPECT_EQ(from.handler.log, (Log{"open", "open"})) << "its end is nothing to the old place";
}

TEST_F(Moving, BothWaysAndBackAgain) {
  from.open_websocket();
  Moved moved = move(last());
  moved = move(*moved.session, to, from);
  moved.websocket->receive(text_frame("4at home"));
  EXPECT_EQ(from.handler.log, (Log{"open", "text at home"}));
  EXPECT_EQ(from.engine.counts().arrived, 1u);
  EXPECT_EQ(from.engine.session_count(), 1u);
  EXPECT_EQ(to.engine.session_count(), 0u);
}

TEST_F(Moving, ASidThatIsThereAlreadyIsRefused) {
  from.open_websocket();
  send(last(), "to the first");
  DepartedSession departed = from.engine.depart(last());
  const SessionImage image = departed.image;
  MemoryStream first, second;
  Session* const there = to.engine.arrive(image, &first);
  ASSERT_NE(there, nullptr);
  EXPECT_EQ(to.engine.arrive(image, &second), nullptr);
  SessionImage polling = image;
  polling.transport = Transport::Polling;
  EXPECT_EQ(to.engine.arrive(polling, nullptr), nullptr);
  EXPECT_EQ(second.receiver(), nullptr);
  EXPECT_EQ(to.engine.counts().arrived, 1u);
  EXPECT_EQ(to.engine.session_count(), 1u);
  first.receive(text_frame("4still here"));
  EXPECT_EQ(log(), (Log{"text still here"}));
  first.close();
}

// ---- WebSocket

TEST_F(Moving, AWebSocketTalksOn) {
  from.open_websocket();
  const Moved moved = move(last());
  moved.websocket->receive(text_frame("4hello") + client_frame(2, "bytes") +
                           client_frame(9, "are you there?"));
  EXPECT_EQ(log(), (Log{"text hello", "binary bytes"}));
  send(*moved.session, "answer");
  EXPECT_EQ(Rig::frames_of(*moved.websocket), (Frames{{10, "are you there?"}, {1, "4answer"}}));
}

TEST_F(Moving, AWebSocketMovesWithAnyPartOfItsBytesUnread) {
  const std::string bytes = text_frame("4one") + client_frame(1, "4t", {.fin = false}) +
                            client_frame(9, "p") + client_frame(0, "w", {.fin = false}) +
                            client_frame(0, "o") + client_frame(2, std::string(200, 'b')) +
                            text_frame("4three");
  for (std::size_t split = 0; split <= bytes.size(); ++split) {
    MemoryStream& stream = from.open_websocket();
    from.handler.log.clear();
    log().clear();
    stream.receive(bytes.substr(0, split));
    const Moved moved = move(last());
    moved.websocket->receive(bytes.substr(split));
    Log all = from.handler.log;
    all.insert(all.end(), log().begin(), log().end());
    ASSERT_EQ(all, (Log{"text one", "text two", "binary " + std::string(200, 'b'), "text three"})) << split;
    const std::string pongs = stream.take_sent() + moved.websocket->take_sent();
    ASSERT_EQ(test::server_frames(pongs), (Frames{{10, "p"}})) << split;
  }
}

TEST_F(Moving, AMessageOfManyFragmentsMayBeTooLargeAcrossTheMove) {
  MemoryStream& stream = from.open_websocket();
  stream.receive(client_frame(1, "4" + std::string(600'000, 'x'), {.fin = false}));
  const Moved moved = move(last());
  moved.websocket->receive(client_frame(0, std::string(500'000, 'y')));
  EXPECT_EQ(Rig::frames_of(*moved.websocket), (Frames{{8, test::close_payload(1009)}}));
  to.engine.tick(test::plenty());
  EXPECT_EQ(log(), (Log{"close transport error"}));
}

TEST_F(Moving, AFragmentedMessageThatWasDeliveredIsNotDeliveredAgain) {
  MemoryStream& stream = from.open_websocket();
  stream.receive(client_frame(1, "4whole", {.fin = false}) + client_frame(0, " message"));
  EXPECT_EQ(from.handler.log, (Log{"open", "text whole message"}));
  const Moved moved = move(last());
  moved.websocket->receive(text_frame("4next"));
  EXPECT_EQ(log(), (Log{"text next"}));
}

TEST_F(Moving, ASessionThatWasUpgradedIsAWebSocket) {
  const std::string query = from.open_polling();
  MemoryStream& probe = from.probe(query);
  probe.receive(text_frame("2probe") + text_frame("5"));
  const Moved moved = move(last());
  ASSERT_NE(moved.websocket, nullptr);
  moved.websocket->receive(text_frame("4hello"));
  EXPECT_EQ(log(), (Log{"text hello"}));
  EXPECT_EQ(to.engine.counts().polling, 0u);
}

// ---- polling

TEST_F(Moving, WhatWaitsForAPollIsThereForTheNextOne) {
  const std::string query = from.open_polling();
  send(last(), "one");
  const loop::Buffer binary = test::binary_message("two");
  last().send({&binary, 1});
  const Moved moved = move(last());
  EXPECT_EQ(moved.poll, nullptr);
  send(*moved.session, "three");
  EXPECT_EQ(to.ask("GET", query).body,
            "4one\x1e"
            "bdHdv\x1e"
            "4three");
}

TEST_F(Moving, PollsAndPostsGoOn) {
  const std::string query = from.open_polling();
  move(last());
  EXPECT_EQ(to.ask("POST", query,
                   "4hello\x1e"
                   "bdHdv")
                .body,
            "ok");
  EXPECT_EQ(log(), (Log{"text hello", "binary two"}));
  MemoryStream& poll = to.poll(query);
  send(*to.engine.find(query.substr(query.size() - base::kIdBytes)), "answer");
  to.engine.tick(test::plenty());
  EXPECT_EQ(Rig::reply_of(poll).body, "4answer");
}

TEST_F(Moving, AnUpgradeCanBeginThere) {
  const std::string query = from.open_polling();
  send(last(), "queued");
  move(last());
  MemoryStream& probe = to.probe(query);
  probe.receive(text_frame("2probe"));
  EXPECT_EQ(Rig::frames_of(probe), (Frames{{1, "3probe"}}));
  probe.receive(text_frame("5"));
  EXPECT_EQ(Rig::frames_of(probe), (Frames{{1, "4queued"}}));
}

class ParkedPoll : public Moving, public testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(
    Requests, ParkedPoll,
    testing::Values("GET /socket.io/?{} HTTP/1.1\r\nHost: h\r\n\r\n",
                    "GET /socket.io/?{} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                    "GET /socket.io/?{} HTTP/1.0\r\n\r\n",
                    "GET /socket.io/?{} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                    "GET /socket.io/?t=x&{}&j=17 HTTP/1.1\r\nHost: h\r\n\r\n",
                    "GET /socket.io/?{}&j= HTTP/1.1\r\nHost: h\r\n\r\n",
                    "GET /socket.io/?j=%3Cscript&{} HTTP/1.1\r\nHost: h\r\n\r\n",
                    "GET /socket.io/?{} HTTP/1.1\r\nHost: h\r\nOrigin: http://elsewhere\r\n"
                    "Accept-Encoding: gzip\r\nCookie: io=1\r\n\r\n"));

/// The answer is byte for byte that of a session that has stayed, and so is what comes after it.
TEST_P(ParkedPoll, IsAnsweredAsIfNothingHadHappened) {
  Rig stays;
  std::string answers[2];
  bool ended[2] = {};
  for (const bool moves : {false, true}) {
    Rig& first = moves ? from : stays;
    const std::string query = first.open_polling();
    std::string bytes = GetParam();
    bytes.replace(bytes.find("{}"), 2, query);
    MemoryStream* stream = &first.connect();
    stream->receive(bytes);
    ASSERT_EQ(stream->sent(), "") << "it is parked";
    Session* session = first.handler.last;
    if (moves) {
      const Moved moved = move(*session);
      ASSERT_NE(moved.poll, nullptr);
      stream = moved.poll;
      session = moved.session;
      EXPECT_TRUE(stream->paused()) << "it is parked again";
      EXPECT_TRUE(session->writable());
    }
    send(*session, "one");
    send(*session, "two");
    (moves ? to : stays).engine.tick(test::plenty());
    stream->deliver();
    // The next poll on the same connection, if that is still there.
    stream->receive(bytes);
    send(*session, "three");
    (moves ? to : stays).engine.tick(test::plenty());
    answers[moves] = stream->sent();
    ended[moves] = stream->finished();
  }
  EXPECT_EQ(answers[1], answers[0]);
  EXPECT_EQ(ended[1], ended[0]);
  EXPECT_NE(answers[1], "");
}

TEST_F(Moving, AParkedPollMovesWithWhatItsClientSaidBehindIt) {
  const std::string query = from.open_polling();
  const std::string post = Rig::request("POST", query, "4pipelined");
  from.poll(query).receive(post + Rig::request("GET", query).substr(0, 10));
  const Moved moved = move(last());
  EXPECT_THAT(log(), IsEmpty()) << "one answer after the other";
  send(*moved.session, "hello");
  to.engine.tick(test::plenty());
  moved.poll->deliver();
  EXPECT_EQ(log(), (Log{"text pipelined"}));
  EXPECT_EQ(Rig::reply_of(*moved.poll).body, "4hello");
  moved.poll->receive(Rig::request("GET", query).substr(10));
  EXPECT_TRUE(moved.poll->paused()) << "it is parked";
}

TEST_F(Moving, ASessionWhosePollIsAnsweredInThisTurnLeavesInTheNext) {
  const std::string query = from.open_polling();
  MemoryStream& poll = from.poll(query);
  send(last(), "hello");
  EXPECT_FALSE(from.engine.can_depart(last()));
  from.engine.tick(test::plenty());
  EXPECT_EQ(Rig::reply_of(poll).body, "4hello");
  EXPECT_TRUE(from.engine.can_depart(last()));
  EXPECT_EQ(move(last()).poll, nullptr);
}

TEST_F(Moving, ASessionThatUpgradesWithItsPollToBeAnsweredLeavesInTheNextTurnToo) {
  const std::string query = from.open_polling();
  from.poll(query);
  MemoryStream& websocket = from.probe(query);
  websocket.receive(test::text_frame("2probe"));
  send(last(), "hello");
  websocket.receive(test::text_frame("5"));
  EXPECT_EQ(last().transport(), Transport::WebSocket);
  EXPECT_FALSE(from.engine.can_depart(last())) << "the list of polls to answer still names it";
  from.engine.tick(test::plenty());
  EXPECT_TRUE(from.engine.can_depart(last()));
}

TEST_F(Moving, AClientThatGivesUpItsParkedPollEndsItsSessionThere) {
  const std::string query = from.open_polling();
  from.poll(query);
  const Moved moved = move(last());
  moved.poll->close();
  to.engine.tick(test::plenty());
  EXPECT_EQ(log(), (Log{"close transport error"}));
  EXPECT_EQ(from.handler.log, (Log{"open"}));
}

TEST_F(Moving, ASecondPollBesideTheParkedOneIsAMistakeThereToo) {
  const std::string query = from.open_polling();
  from.poll(query);
  move(last());
  EXPECT_EQ(to.ask("GET", query).status, 400);
  EXPECT_EQ(log(), (Log{"close transport error"}));
}

struct SmallQueue : Moving {
  SmallQueue() : Moving({.max_queued_bytes = 1000}) {}
};

TEST_F(SmallQueue, CountsWhatCameWithTheSession) {
  const std::string query = from.open_polling();
  send(last(), std::string(600, 'x'));
  const Moved moved = move(last());
  send(*moved.session, std::string(2900, 'y'));
  send(*moved.session, std::string(600, 'y'));
  to.engine.tick(test::plenty());
  EXPECT_EQ(log(), Log{});
  send(*moved.session, "above four times the limit before it came");
  to.engine.tick(test::plenty());
  EXPECT_EQ(log(), (Log{"close transport error"}));
  EXPECT_EQ(to.engine.counts().overflowed, 1u);
}

// ---- timers

TEST_F(Moving, APingComesWhenItWouldHaveCome) {
  from.open_websocket();
  advance(10'000ms);
  const Moved moved = move(last());
  advance(14'999ms);
  EXPECT_EQ(moved.websocket->sent(), "");
  advance(1ms);
  EXPECT_EQ(Rig::frames_of(*moved.websocket), (Frames{{1, "2"}}));
  moved.websocket->receive(text_frame("3"));
  advance(24'999ms);
  EXPECT_EQ(moved.websocket->sent(), "");
  advance(1ms);
  EXPECT_EQ(Rig::frames_of(*moved.websocket), (Frames{{1, "2"}}));
}

TEST_F(Moving, APongIsAwaitedAsLongAsItWouldHaveBeen) {
  from.open_websocket();
  advance(25'000ms);
  advance(5'000ms);
  const Moved moved = move(last());
  advance(14'999ms);
  EXPECT_THAT(log(), IsEmpty());
  advance(1ms);
  EXPECT_EQ(log(), (Log{"close ping timeout"}));
  EXPECT_EQ(moved.websocket->finished(), true);
}

TEST_F(Moving, APongThatComesAfterTheMoveCounts) {
  const std::string query = from.open_polling();
  advance(25'000ms);
  EXPECT_EQ(from.ask("GET", query).body, "2");
  move(last());
  to.ask("POST", query, "3");
  advance(24'999ms);
  MemoryStream& poll = to.poll(query);
  EXPECT_EQ(poll.sent(), "");
  advance(1ms);
  EXPECT_EQ(Rig::reply_of(poll).body, "2");
  EXPECT_THAT(log(), IsEmpty());
}

TEST_F(Moving, WhatIsOverdueHappensAtOnce) {
  from.open_websocket();
  // The new process' turn comes late: what was due meanwhile is due now, not negative.
  from.clock.advance_to(from.clock.now() + 26'000ms);
  DepartedSession departed = from.engine.depart(last());
  EXPECT_EQ(departed.image.timer, 0ms);
  MemoryStream stream;
  ASSERT_NE(to.engine.arrive(departed.image, &stream), nullptr);
  to.engine.tick(test::plenty());
  EXPECT_EQ(test::server_frames(stream.take_sent()), (Frames{{1, "2"}}));
  stream.close();
}

/// Sessions with all phases of their heartbeats on both sides, some of which move at some time: each gets its
/// pings, and its end for want of a pong, in the very second in which it would have got them.
TEST_F(Moving, HeartbeatsKeepTheirTimesAmongThoseAlreadyThere) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    Rig old_place, new_place;
    new_place.sids = 1000;
    struct Client {
      MemoryStream* stream;
      Session* session;
      bool old;
      int opened;
      int answers_for;  // seconds
      std::vector<int> pings;
      int ended = -1;
    };
    std::vector<Client> clients;
    for (int second = 0; second < 240; ++second) {
      old_place.advance(1s);
      new_place.advance(1s);
      for (Client& client : clients) {
        if (client.ended >= 0) continue;
        for (const ServerFrame& frame : Rig::frames_of(*client.stream)) {
          if (frame.payload == "2") client.pings.push_back(second);
          if (frame.opcode == 8) client.ended = second;
        }
        const bool answers = second < client.opened + client.answers_for;
        if (answers && !client.pings.empty() && client.pings.back() == second)
          client.stream->receive(text_frame("3"));
      }
      if (second < 60 && random() % 2 == 0) {
        Rig& rig = random() % 2 == 0 ? old_place : new_place;
        MemoryStream& stream = rig.open_websocket();
        clients.push_back(
            {&stream, rig.handler.last, &rig == &old_place, second, static_cast<int>(random() % 120), {}});
      }
      for (Client& client : clients) {
        if (!client.old || client.ended >= 0 || random() % 20 != 0) continue;
        const Moved moved = move(*client.session, old_place, new_place);
        client.stream = moved.websocket;
        client.session = moved.session;
        client.old = false;
      }
    }
    for (const Client& client : clients) {
      std::vector<int> wanted;
      int at = client.opened + 25;
      for (; at < client.opened + client.answers_for; at += 25) wanted.push_back(at);
      wanted.push_back(at);  // that which is not answered
      ASSERT_EQ(client.pings, wanted) << "seed " << seed;
      ASSERT_EQ(client.ended, at + 20) << "seed " << seed;
    }
  }
}

// ---- lingering

TEST_F(Moving, AClosedSessionTellsItsPollThere) {
  const std::string query = from.open_polling();
  send(last(), "last words");
  last().close(CloseReason::ForcedClose);
  from.engine.tick(test::plenty());
  EXPECT_EQ(from.handler.log, (Log{"open", "close forced close"}));
  Session* const lingering = the_movable(from);
  ASSERT_NE(lingering, nullptr);
  move(*lingering);
  EXPECT_FALSE(from.engine.has_lingering());
  EXPECT_TRUE(to.engine.has_lingering());
  EXPECT_EQ(to.engine.session_count(), 0u) << "it is not open";
  EXPECT_EQ(to.ask("GET", query).body, "4last words");
  EXPECT_EQ(to.ask("GET", query).body, "1");
  EXPECT_EQ(to.ask("GET", query).status, 400) << "it is gone";
  EXPECT_THAT(log(), IsEmpty()) << "its end is reported once";
  EXPECT_FALSE(to.engine.has_lingering());
}

TEST_F(Moving, AClosedSessionIsForgottenWhenItWouldHaveBeen) {
  const std::string query = from.open_polling();
  last().close(CloseReason::ForcedClose);
  advance(2s);
  const std::string sid = query.substr(query.size() - base::kIdBytes);
  move(*the_movable(from));
  advance(3s - 1ms);
  EXPECT_TRUE(to.engine.knows(sid));
  advance(1ms);
  EXPECT_FALSE(to.engine.knows(sid));
  EXPECT_THAT(log(), IsEmpty());
}

TEST_F(Moving, AClosedSessionLeavesLikeAnOpenOne) {
  from.open_polling();
  last().close(CloseReason::ForcedClose);
  from.engine.tick(test::plenty());
  EXPECT_THAT(movable(from), testing::SizeIs(1));
}

// ---- what cannot leave now

TEST_F(Moving, NotWithHalfAPost) {
  const std::string query = from.open_polling();
  const std::string post = Rig::request("POST", query, "4hello");
  MemoryStream& stream = from.connect();
  stream.receive(post.substr(0, post.size() - 1));
  EXPECT_EQ(the_movable(from), nullptr);
  stream.receive(post.substr(post.size() - 1));
  ASSERT_NE(the_movable(from), nullptr);
  move(last());
  MemoryStream& given_up = to.connect();
  given_up.receive(post.substr(0, post.size() - 1));
  EXPECT_EQ(the_movable(to), nullptr);
  given_up.close();
  EXPECT_NE(the_movable(to), nullptr);
}

TEST_F(Moving, NotWhileAnUpgradeIsUnderWay) {
  const std::string query = from.open_polling();
  MemoryStream& probe = from.probe(query);
  EXPECT_EQ(the_movable(from), nullptr);
  probe.receive(text_frame("2probe"));
  EXPECT_EQ(the_movable(from), nullptr);
  probe.close();
  ASSERT_NE(the_movable(from), nullptr) << "it was given up";
  MemoryStream& again = from.probe(query);
  again.receive(text_frame("2probe") + text_frame("5"));
  EXPECT_NE(the_movable(from), nullptr) << "it is done";
}

TEST_F(Moving, NotWhenItsStreamIsEnding) {
  MemoryStream& stream = from.open_websocket();
  stream.abort();
  EXPECT_EQ(the_movable(from), nullptr);
}

TEST_F(Moving, NotWhenItsEndIsStillToBeReported) {
  from.open_websocket();
  last().close(CloseReason::ForcedClose);
  from.open_polling();
  last().close(CloseReason::ForcedClose);
  EXPECT_THAT(movable(from), IsEmpty());
  from.engine.tick(test::plenty());
  EXPECT_THAT(movable(from), testing::SizeIs(1)) << "that which lingers";
}

// ---- a look at all of them

TEST_F(Moving, ARoundMeetsEachSessionOnceInPieces) {
  for (int i = 0; i < 1000; ++i) from.open_websocket();
  const Session* const stays = from.handler.last;
  const auto others = [stays](const Session& session) { return &session != stays; };
  std::map<const Session*, int> met;
  Round round;
  while (!round.over) {
    const auto piece = from.engine.go_round(round, 10, test::plenty(), others);
    EXPECT_LE(piece.size(), 10u + 8u) << "and who shares a place with the last one";
    for (const Session* session : piece) ++met[session];
  }
  EXPECT_EQ(met.size(), 999u);
  EXPECT_EQ(round.seen, 1000u);
  EXPECT_FALSE(met.contains(stays));
  for (const auto& [session, times] : met) EXPECT_EQ(times, 1);
}

TEST_F(Moving, ARoundMeetsWhoeverStaysAlsoIfOthersLeaveAndComeMeanwhile) {
  std::set<const Session*> old;
  for (int i = 0; i < 500; ++i) {
    from.open_websocket();
    old.insert(&last());
  }
  Round round;
  for (int turn = 0; !round.over; ++turn) {
    for (Session* session : from.engine.go_round(round, 10, test::plenty(), always)) {
      old.erase(session);
      if (turn % 2 == 0) (void)from.engine.depart(*session);
    }
    for (int i = 0; i < 4; ++i) from.open_websocket();  // the table grows
    ASSERT_LT(turn, 1000);
  }
  EXPECT_THAT(old, IsEmpty());
}

TEST_F(Moving, ARoundTakesNoMoreOfATurnThanItIsAllowed) {
  for (int i = 0; i < 1000; ++i) from.open_websocket();
  loop::Allowance allowance;
  Round round;
  int turns = 0;
  std::size_t met = 0;
  for (; !round.over; ++turns) {
    allowance.begin(100, 1h);
    met += from.engine.go_round(round, 1000, allowance, always).size();
    ASSERT_LT(turns, 1000);
  }
  EXPECT_EQ(met, 1000u);
  EXPECT_GE(turns, 10);
}

}  // namespace
}  // namespace limpet::engineio
