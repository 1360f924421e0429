// The life of sessions, their heartbeat and their memory, without requests.
#include "worker/engineio/lives.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/engineio/parts_kit.h"
#include "tests/worker/plenty.h"
#include "worker/engineio/heartbeats.h"

namespace limpet::engineio {
namespace {

using namespace std::chrono_literals;
using test::MemoryStream;
using test::text_message;
using websocket::CloseCode;
using Frames = std::vector<test::ServerFrame>;
using Log = std::vector<std::string>;

class LivesTest : public testing::Test {
 protected:
  void report() {
    lives.report_ended(test::plenty());
    lives.free_ended(test::plenty());
  }
  Log& log() { return parts.handler.log; }
  void send(OpenSession& session, std::string_view text) {
    const auto frame = text_message(text);
    session.send({&frame, 1});
  }

  test::Parts parts;
  Lives& lives = parts.lives;
  SessionAccounts& accounts = parts.owner.accounts;
  Heartbeats heartbeats{parts.options, parts.clock, lives};
};

TEST_F(LivesTest, AnEndIsReportedOnceAndNeverFromInside) {
  OpenSession& session = parts.open_websocket();
  const std::string sid(session.sid());
  EXPECT_EQ(lives.find_open(sid), &session);
  lives.end(session, CloseReason::ForcedClose, CloseCode::GoingAway);
  lives.end(session, CloseReason::PingTimeout, CloseCode::Normal);
  EXPECT_EQ(log(), Log{});
  EXPECT_EQ(lives.find(sid), nullptr);
  EXPECT_EQ(test::server_frames(parts.streams[0]->take_sent()), (Frames{{8, "\x03\xe9"}}));
  EXPECT_TRUE(lives.has_work());
  report();
  report();
  EXPECT_EQ(log(), (Log{"close forced close"}));
  EXPECT_FALSE(lives.has_work());
  EXPECT_EQ(lives.counts().opened, 1u);
  EXPECT_EQ(lives.counts().open, 0u);
  EXPECT_EQ(lives.counts().closed[static_cast<std::size_t>(CloseReason::ForcedClose)], 1u);
}

TEST_F(LivesTest, APollingSessionThatIsClosedLingersUntilItsWaitIsOver) {
  OpenSession& session = parts.open(Transport::Polling);
  const std::string sid(session.sid());
  EXPECT_EQ(lives.counts().polling, 1u);
  lives.close(session, CloseReason::ForcedClose, CloseCode::Normal);
  EXPECT_EQ(lives.counts().open, 0u);
  EXPECT_EQ(lives.counts().polling, 0u);
  EXPECT_EQ(lives.find_open(sid), nullptr);
  EXPECT_EQ(lives.find(sid), &session);
  report();
  EXPECT_EQ(log(), (Log{"close forced close"}));
  EXPECT_EQ(session.handshake_head(), "") << "nobody asks for it any more";
  parts.advance(kLinger - 1ms);
  lives.linger(session);
  EXPECT_EQ(lives.next_due(), parts.clock.now() + kLinger) << "its client took something";
  parts.advance(kLinger);
  EXPECT_TRUE(lives.has_lingering());
  lives.release_overdue(parts.clock.now(), test::plenty());
  EXPECT_FALSE(lives.has_lingering());
  EXPECT_EQ(lives.find(sid), nullptr);
  report();
  EXPECT_EQ(log().size(), 1u);
  EXPECT_FALSE(lives.has_work());
}

TEST_F(LivesTest, WhoIsInAListIsFreedWhenItHasLeftThat) {
  OpenSession& session = parts.open(Transport::Polling);
  session.has_post = true;
  lives.end(session, CloseReason::TransportError, CloseCode::Normal);
  report();
  EXPECT_EQ(log(), (Log{"close transport error"}));
  EXPECT_TRUE(lives.has_work());
  session.has_post = false;
  report();
  EXPECT_FALSE(lives.has_work());
}

TEST_F(LivesTest, EveryByteOfASessionIsGivenBackHoweverItEnds) {
  const std::uint64_t before = parts.owner.total.bytes();
  OpenSession& ended = parts.open_websocket();
  OpenSession& lingering = parts.open(Transport::Polling);
  OpenSession& departing = parts.open(Transport::Polling);
  EXPECT_GT(parts.owner.total.bytes(), before + 3 * sizeof(OpenSession));
  {
    const auto frame = text_message(std::string(200'000, 'x'));
    for (OpenSession* session : {&lingering, &departing}) {
      session->send({&frame, 1});
      accounts.note_queue(*session);
    }
  }
  EXPECT_GT(accounts.largest_bytes(), 190'000u);
  lives.end(ended, CloseReason::ForcedClose, CloseCode::Normal);
  lives.close(lingering, CloseReason::ForcedClose, CloseCode::Normal);
  report();
  lives.release(lingering);
  lives.depart(departing);
  report();
  EXPECT_EQ(accounts.largest(), nullptr);
  EXPECT_EQ(parts.owner.total.bytes(), before);
  EXPECT_EQ(lives.counts().departed, 1u);
}

TEST_F(LivesTest, APhaseNeverComesBackElseTheWorkerStops) {
  OpenSession& session = parts.open(Transport::Polling);
  lives.close(session, CloseReason::ForcedClose, CloseCode::Normal);
  EXPECT_DEATH(session.enter(OpenSession::Phase::Open), "only goes on");
  EXPECT_DEATH(heartbeats.begin(session), "closed session");
  EXPECT_DEATH((void)lives.stop_polling(session), "who upgrades is polling");
}

TEST_F(LivesTest, WhoSendsToAPollingSessionAsksItsOwnerAndToAWebSocketNobody) {
  OpenSession& polling = parts.open(Transport::Polling);
  OpenSession& websocket = parts.open_websocket();
  send(polling, "a");
  send(websocket, "b");
  EXPECT_EQ(parts.owner.log, (Log{"queue 1"}));
  EXPECT_EQ(test::server_frames(parts.streams[0]->take_sent()), (Frames{{1, "4b"}}));
  lives.end(polling, CloseReason::ForcedClose, CloseCode::Normal);
  send(polling, "c");
  EXPECT_EQ(parts.owner.log.size(), 1u);
}

TEST_F(LivesTest, WhatIsHeldAboveRanksASessionWhileItIsOpen) {
  OpenSession& session = parts.open_websocket();
  session.hold_frames(300'000);
  EXPECT_EQ(accounts.largest(), &session);
  session.hold_frames(-290'000);
  EXPECT_EQ(accounts.largest(), nullptr);
  session.hold_frames(290'000);
  EXPECT_EQ(accounts.largest(), &session);
  lives.end(session, CloseReason::ForcedClose, CloseCode::Normal);
  EXPECT_EQ(accounts.largest(), nullptr);
  session.hold_frames(-300'000);
}

TEST_F(LivesTest, APingIsSentAnIntervalAfterThePongAndWithoutOneTheSessionEnds) {
  OpenSession& session = parts.open_websocket();
  MemoryStream& stream = *parts.streams[0];
  heartbeats.begin(session);
  const auto beat = [&](std::chrono::milliseconds by) {
    parts.advance(by);
    heartbeats.end_overdue(parts.clock.now(), test::plenty());
    heartbeats.send_pings(parts.clock.now(), test::plenty());
    return test::server_frames(stream.take_sent());
  };
  EXPECT_EQ(heartbeats.next_due(), parts.clock.now() + parts.options.ping_interval);
  EXPECT_EQ(beat(parts.options.ping_interval - 1ms), Frames{});
  EXPECT_EQ(beat(1ms), (Frames{{1, "2"}}));
  EXPECT_TRUE(session.awaits_pong);
  EXPECT_EQ(heartbeats.first(), &session);
  heartbeats.on_pong(session);
  EXPECT_FALSE(session.awaits_pong);
  EXPECT_EQ(beat(parts.options.ping_interval), (Frames{{1, "2"}}));
  EXPECT_EQ(beat(parts.options.ping_timeout - 1ms), Frames{});
  EXPECT_EQ(beat(1ms), (Frames{{8, "\x03\xe8"}}));
  EXPECT_EQ(heartbeats.first(), nullptr);
  EXPECT_EQ(heartbeats.pings_sent(), 2u);
  report();
  EXPECT_EQ(log(), (Log{"close ping timeout"}));
}

}  // namespace
}  // namespace limpet::engineio
