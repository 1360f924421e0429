// Two tenants of one slot.
#include "worker/migration/migration.h"

#include <map>

#include "tests/worker/migration/tenants_kit.h"
#include "tests/worker/plenty.h"
#include "worker/migration/codec.h"

namespace limpet::migration::test {
namespace {

using limpet::test::text_frame;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class MigrationTest : public TenantsTest {
 protected:
  /// A successor that is seated beside the old worker, and the stream between the two.
  void start_successor() {
    auto [givers, takers] = ipc::FrameStream::pair();
    start_successor(std::move(takers));
    givers_end_ = std::move(givers);
  }
  void start_successor(base::Descriptor takers_end) {
    young_ = std::make_unique<Tenant>(0, ++last_lane_, cluster_);
    young_->migration.succeed(std::move(takers_end));
    young_->join(*old_);
    old_->join(*young_);
  }
  void begin_to_give() { old_->migration.begin_to_give(std::move(givers_end_)); }
  /// Its process is gone; the supervisor has said so.
  void kill_successor() {
    const ipc::Incarnation who = young_->who;
    young_.reset();
    old_->rings.leave(who);
  }
  void turn() override {
    if (old_) old_->turn();
    if (young_) young_->turn();
  }
  Peer open_websocket() { return TenantsTest::open_websocket(*old_); }

  Cluster cluster_{1, 1};
  std::uint16_t last_lane_ = 0;
  base::Descriptor givers_end_;
  std::unique_ptr<Tenant> old_ = std::make_unique<Tenant>(0, 0, cluster_);
  std::unique_ptr<Tenant> young_;
};

TEST_F(MigrationTest, EverybodyMovesAndNobodyNotices) {
  Peer websocket = open_websocket();
  tell(websocket, R"(42["join","r"])");
  Peer poller = connect_to(*old_);
  const std::string sid = open_polling(poller);
  EXPECT_EQ(ask(poller, poll_of(sid)), "") << "it is parked";
  Peer idle = connect_to(*old_);
  EXPECT_THAT(ask(idle, get("/where")), testing::EndsWith("0"));
  Peer half = connect_to(*old_);
  EXPECT_EQ(ask(half, get("/where").substr(0, 9)), "");
  start_successor();
  begin_to_give();
  turns();
  EXPECT_EQ(old_->engine.session_count(), 0u);
  EXPECT_EQ(old_->clients.open(), 0u);
  EXPECT_EQ(old_->count(ipc::Counter::SessionsDeparted), 2u);
  EXPECT_EQ(young_->count(ipc::Counter::SessionsArrived), 2u);
  EXPECT_TRUE(old_->migration.giver()->settled());
  EXPECT_EQ(where(websocket), R"(430["1 recovered"])");
  EXPECT_THAT(ask(idle, get("/where")), testing::EndsWith("1"));
  EXPECT_THAT(ask(half, get("/where").substr(9)), testing::EndsWith("1"));
  young_->io.to("r").emit("news");
  EXPECT_THAT(texts_of(websocket), ElementsAre(R"(42["news"])"));
  EXPECT_EQ(answer_to(poller), "");
  young_->io.emit("all");
  EXPECT_THAT(answer_to(poller), testing::EndsWith(R"(42["all"])"));
  EXPECT_THAT(texts_of(websocket), ElementsAre(R"(42["all"])"));
  EXPECT_EQ(old_->gaps + young_->gaps, 0);
}

TEST_F(MigrationTest, NobodyWaitsBehindAHeavySession) {
  Peer heavy = open_websocket();
  for (int i = 0; i < 40; ++i)
    tell(heavy, R"(42["join",")" + std::string(10'000, 'r') + std::to_string(i) + "\"]");
  Peer light = open_websocket();
  start_successor();
  begin_to_give();
  old_->turn();
  EXPECT_EQ(old_->engine.session_count(), 1u) << "the heavy one stays until the others have left";
  EXPECT_LE(old_->migration.next_deadline(), cluster_.clock.now() + 10ms) << "nothing else would wake it";
  young_->turn();
  young_->turn();
  EXPECT_EQ(young_->engine.session_count(), 1u);
  EXPECT_EQ(where(light), R"(430["1 recovered"])");
  cluster_.clock.advance_to(cluster_.clock.now() + 10ms);
  turns();
  EXPECT_EQ(young_->engine.session_count(), 2u);
  EXPECT_EQ(where(heavy), R"(430["1 recovered"])");
}

TEST_F(MigrationTest, BytesOnBothSidesOfAConnectionGoWithIt) {
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  old_->front.welcome(std::move(ours), client::PeerAddress::from_text("127.0.0.9", 99), 3);
  Peer peer(std::move(theirs));
  ask(peer, upgrade());
  ask(peer, text_frame("40"));
  const std::string large = pattern(600'000);
  const std::string text(large.size(), 'x');
  for (int i = 0; i < 3; ++i) old_->sockets[0].emit("large", text + std::to_string(i));
  old_->turn();  // some of it is in the kernel
  const std::string question = text_frame(R"(420["where"])");
  peer.write(question.substr(0, 7));
  old_->turn();
  start_successor();
  begin_to_give();
  for (int i = 0; i < 3; ++i) turn();
  EXPECT_EQ(old_->clients.open(), 0u);
  peer.write(question.substr(7));
  const auto frames = limpet::test::server_frames(answer_to(peer));
  ASSERT_EQ(frames.size(), 4u);
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(frames[static_cast<std::size_t>(i)].payload ==
                "42[\"large\",\"" + text + std::to_string(i) + "\"]");
  EXPECT_EQ(frames[3].payload, R"(430["1 recovered"])");
}

TEST_F(MigrationTest, BroadcastsDuringTheMoveComeOnce) {
  Peer peer = open_websocket();
  start_successor();
  old_->io.emit("before");
  young_->io.emit("young before");
  begin_to_give();
  old_->turn();  // on its way
  ASSERT_EQ(old_->engine.session_count(), 0u);
  old_->io.emit("on its way");
  young_->io.emit("young, on its way");
  young_->turn();
  old_->io.emit("after");
  young_->io.emit("young after");
  // In the order of each publisher.
  const Texts heard = texts_of(peer);
  Texts of_old, of_young;
  for (const std::string& text : heard)
    (text.find("young") == std::string::npos ? of_old : of_young).push_back(text);
  EXPECT_THAT(of_old, ElementsAre(R"(42["before"])", R"(42["on its way"])", R"(42["after"])"));
  EXPECT_THAT(of_young,
              ElementsAre(R"(42["young before"])", R"(42["young, on its way"])", R"(42["young after"])"));
}

/// The giver knows of a newborn worker before the taker does.
TEST_F(MigrationTest, WhatANewbornHasSaidComesOnceAlthoughTheTakerHearsOfItLater) {
  Peer peer = open_websocket();
  start_successor();
  Tenant newborn(0, ++last_lane_, cluster_);
  newborn.join(*old_);
  newborn.join(*young_);
  old_->join(newborn);
  newborn.io.emit("born");
  newborn.turn();
  EXPECT_THAT(texts_of(peer), ElementsAre(R"(42["born"])"));
  begin_to_give();
  turns();
  ASSERT_EQ(old_->engine.session_count(), 0u);
  EXPECT_EQ(young_->engine.session_count(), 0u) << "waits for the introduction";
  EXPECT_LE(young_->migration.next_deadline(), cluster_.clock.now() + 1s);
  newborn.io.emit("later");
  young_->join(newborn);
  EXPECT_THAT(texts_of(peer), ElementsAre(R"(42["later"])"));
  EXPECT_EQ(where(peer), R"(430["1 recovered"])");
}

TEST_F(MigrationTest, AnIntroductionThatNeverComesIsWaitedForOnce) {
  Peer peer = open_websocket();
  start_successor();
  Tenant newborn(0, ++last_lane_, cluster_);
  old_->join(newborn);
  begin_to_give();
  turns();
  ASSERT_EQ(young_->engine.session_count(), 0u);
  cluster_.clock.advance_to(cluster_.clock.now() + 1s);
  turns();
  EXPECT_EQ(where(peer), R"(430["1 recovered"])");
}

TEST_F(MigrationTest, WhatTheOldApplicationDoesReachesThemThere) {
  Peer peer = open_websocket();
  Socket kept = old_->sockets[0];
  Texts answers;
  kept.emit("asked before", [&](std::string_view text) { answers.emplace_back(text); });
  EXPECT_THAT(texts_of(peer), ElementsAre(R"(420["asked before"])"));
  start_successor();
  begin_to_give();
  turns();
  kept.emit("hello", Binary("bytes"));
  kept.join("r");
  EXPECT_THAT(texts_of(peer), ElementsAre(R"(451-["hello",{"_placeholder":true,"num":0}])", "bytes"));
  young_->io.to("r").emit("room");
  EXPECT_THAT(texts_of(peer), ElementsAre(R"(42["room"])"));
  EXPECT_THAT(tell(peer, R"(430["answer"])"), IsEmpty());
  EXPECT_THAT(answers, ElementsAre("answer"));
  kept.disconnect();
  EXPECT_THAT(texts_of(peer), ElementsAre("41"));
  peer.close();
  turns();
  EXPECT_EQ(young_->engine.session_count(), 0u);
}

TEST_F(MigrationTest, WhoeverLeavesIsSaidSoOnceAndBefore) {
  old_ = std::make_unique<Tenant>(0, 0, cluster_, 4096);
  std::map<std::string, int> told;
  int ended = 0;
  old_->io.on_leaving([&](Socket& socket) {
    if (++told[std::string(socket.id())] > 1) return;
    socket.data() = "told";
    old_->io.emit("leaving", socket.id(), std::string(1000, 'x'));  // more than a ring has room for
    if (told.size() % 3 == 0) {
      ++ended;
      socket.disconnect(true);
    }
  });
  std::vector<Peer> peers;
  for (int i = 0; i < 100; ++i) {
    peers.push_back(connect_to(*old_));
    peers.back().write(upgrade() + text_frame("40"));
  }
  turns(3);
  start_successor();
  begin_to_give();
  turns(100);
  EXPECT_EQ(told.size(), peers.size());
  for (const auto& [id, times] : told) EXPECT_EQ(times, 1) << id;
  EXPECT_EQ(old_->engine.session_count(), 0u);
  ASSERT_EQ(young_->sockets.size(), peers.size() - static_cast<std::size_t>(ended));
  for (const Socket& socket : young_->sockets) EXPECT_EQ(socket.data(), "told");
  // What was said meanwhile came to nobody twice, whether here or there.
  for (Peer& peer : peers) {
    const std::string heard = peer.read();
    for (const auto& [id, times] : told) {
      const std::string line = "[\"leaving\",\"" + id + "\"";
      const std::size_t at = heard.find(line);
      if (at != std::string::npos) {
        EXPECT_EQ(heard.find(line, at + 1), std::string::npos);
      }
    }
  }
  EXPECT_EQ(young_->gaps, 0);
}

// ---- the taker ends

TEST_F(MigrationTest, WhoWasNotTakenIsBackAndWorks) {
  Peer websocket = open_websocket();
  tell(websocket, R"(42["join","r"])");
  Peer poller = connect_to(*old_);
  const std::string sid = open_polling(poller);
  EXPECT_EQ(ask(poller, poll_of(sid)), "");
  Peer idle = connect_to(*old_);
  ask(idle, get("/where"));
  start_successor();
  begin_to_give();
  old_->turn();
  ASSERT_EQ(old_->engine.session_count(), 0u);
  kill_successor();
  old_->io.to("r").emit("meanwhile");
  EXPECT_THAT(texts_of(websocket), ElementsAre(R"(42["meanwhile"])"));
  EXPECT_EQ(where(websocket), R"(430["0 recovered"])");
  EXPECT_EQ(answer_to(poller), "") << "it is parked again";
  old_->io.emit("all");
  EXPECT_THAT(answer_to(poller), testing::EndsWith(R"(42["all"])"));
  EXPECT_THAT(texts_of(websocket), ElementsAre(R"(42["all"])"));
  EXPECT_THAT(ask(idle, get("/where")), testing::EndsWith("0"));
  EXPECT_TRUE(old_->migration.giver()->broken());
  EXPECT_EQ(old_->engine.session_count(), 2u);
  EXPECT_EQ(old_->count(ipc::Counter::SessionsDeparted), 0u);
  int retained = 0;
  EXPECT_TRUE(old_->rings.replay({}, [&](const socketio::Broadcast&) { ++retained; }));
  EXPECT_EQ(retained, 0) << "nobody is on the way any more";
}

TEST_F(MigrationTest, WhoWasTakenEndsWithTheTaker) {
  Peer peer = open_websocket();
  start_successor();
  begin_to_give();
  turns();
  ASSERT_EQ(young_->engine.session_count(), 1u);
  kill_successor();
  turns();
  EXPECT_EQ(where(peer), "ended");
  EXPECT_EQ(old_->engine.session_count(), 0u);
  EXPECT_EQ(old_->count(ipc::Counter::SessionsDeparted), 1u);
}

/// Whenever the taker dies: each client is either back or was inside of the dead process, never both and
/// never in limbo.
TEST_F(MigrationTest, WheneverTheTakerDiesEachClientIsInOnePlace) {
  for (int when = 0; when < 8; ++when) {
    SCOPED_TRACE(when);
    old_ = std::make_unique<Tenant>(0, 0, cluster_);
    last_lane_ = 0;
    std::vector<Peer> peers;
    for (int i = 0; i < 300; ++i) {
      peers.push_back(connect_to(*old_));
      peers.back().write(upgrade() + text_frame("40"));
    }
    turns(3);
    for (Peer& peer : peers) ASSERT_THAT(peer.read(), HasSubstr("40{\"sid\""));
    start_successor();
    begin_to_give();
    for (int i = 0; i < when; ++i) {
      if (i % 2 == 0) old_->turn();
      if (i % 3 != 0) young_->turn();
    }
    kill_successor();
    turns(6);
    const std::uint64_t gone = old_->count(ipc::Counter::SessionsDeparted);
    EXPECT_EQ(old_->engine.session_count() + gone, peers.size());
    std::uint64_t ended = 0;
    for (Peer& peer : peers) peer.write(text_frame(R"(420["where"])"));
    turns(4);
    for (Peer& peer : peers) {
      const std::string heard = peer.read();
      if (heard.empty()) {
        EXPECT_TRUE(peer.at_end());
        ++ended;
      } else {
        EXPECT_THAT(heard, AllOf(HasSubstr("430[\"0"), Not(HasSubstr("40{"))));
      }
    }
    EXPECT_EQ(ended, gone);
  }
}

TEST_F(MigrationTest, TheNextTakerGetsThem) {
  Peer peer = open_websocket();
  start_successor();
  begin_to_give();
  old_->turn();
  kill_successor();
  old_->turn();
  start_successor();
  begin_to_give();
  turns();
  EXPECT_EQ(where(peer), R"(430["2 recovered"])");
}

TEST_F(MigrationTest, TheNextTakerGetsThemAlsoIfTheEndOfTheFirstIsStillToBeHeard) {
  Peer peer = open_websocket();
  start_successor();
  begin_to_give();
  old_->turn();
  kill_successor();
  start_successor();
  begin_to_give();
  turns();
  EXPECT_EQ(where(peer), R"(430["2 recovered"])");
}

TEST_F(MigrationTest, WhatWasSaidToThoseOnTheirWayIsNotLostWithTheTaker) {
  Peer peer = open_websocket();
  Socket kept = old_->sockets[0];
  start_successor();
  begin_to_give();
  old_->turn();
  ASSERT_EQ(old_->engine.session_count(), 0u);
  kept.emit("on its way");
  kept.join("r");
  kill_successor();
  EXPECT_THAT(texts_of(peer), ElementsAre(R"(42["on its way"])"));
  old_->io.to("r").emit("room");
  EXPECT_THAT(texts_of(peer), ElementsAre(R"(42["room"])"));
}

// ---- nonsense

/// What a taker that lives may have already must not be here as well.
TEST_F(MigrationTest, AGiverWhoHearsNonsenseEndsWhatIsOnItsWay) {
  const std::vector<std::vector<std::byte>> nonsense = {std::vector<std::byte>(64, std::byte{0xff}),
                                                        encode(Took{9})};
  for (const std::vector<std::byte>& said : nonsense) {
    SCOPED_TRACE(said.size());
    Peer leaves = open_websocket();
    auto [givers, takers] = ipc::FrameStream::pair();
    ipc::FrameStream taker(std::move(takers));
    old_->migration.begin_to_give(std::move(givers));
    old_->turn();
    ASSERT_EQ(old_->engine.session_count(), 0u);
    const std::uint64_t given_up = old_->count(ipc::Counter::SessionsGivenUp);
    taker.send(said);
    old_->turn();
    EXPECT_EQ(old_->count(ipc::Counter::SessionsGivenUp), given_up + 1);
    EXPECT_EQ(where(leaves), "ended");
    Peer comes_later = open_websocket();
    EXPECT_EQ(where(comes_later), R"(430["0"])") << "nobody else notices";
    ipc::Datagram frame;
    ipc::ReceiveStatus status = taker.receive(&frame);
    while (status == ipc::ReceiveStatus::Message) status = taker.receive(&frame);
    EXPECT_EQ(status, ipc::ReceiveStatus::Closed);
    old_->migration.stop_giving();
    for (Socket& socket : old_->sockets) socket.disconnect(true);
    turns();
  }
}

TEST_F(MigrationTest, ATakerWhoHearsNonsenseEndsTheStream) {
  auto [givers, takers] = ipc::FrameStream::pair();
  ipc::FrameStream giver(std::move(givers));
  start_successor(std::move(takers));
  young_->turn();
  EXPECT_TRUE(young_->migration.has_predecessor());
  giver.send(std::vector<std::byte>(64, std::byte{0xff}));
  giver.send(encode(AllGiven{}));
  turns();
  EXPECT_FALSE(young_->migration.has_predecessor());
  EXPECT_THAT(young_->refusals, ElementsAre(HasSubstr("malformed")));
  ipc::Datagram frame;
  EXPECT_EQ(giver.receive(&frame), ipc::ReceiveStatus::Closed) << "or the giver would wait for ever";
  // It is a worker like any other from now on.
  Peer peer = connect_to(*young_);
  EXPECT_THAT(ask(peer, poll_of(std::string(20, 'a'))), HasSubstr("Session ID unknown"));
}

TEST_F(MigrationTest, ASessionThatIsThereAlreadyIsRefusedWithoutHarm) {
  Peer peer = open_websocket();
  start_successor();
  begin_to_give();
  turns();
  SessionBatch twin;
  SessionRecord record;
  engineio::Round round;
  record.engine.sid = std::string(
      young_->engine.go_round(round, 1, limpet::test::plenty(), [](const auto&) { return true; })[0]->sid());
  record.engine.transport = engineio::Transport::WebSocket;
  record.connection = client::ConnectionImage{"127.0.0.1", 1, 0, false, false, false, {}, {}};
  twin.sessions.push_back(record);
  auto [ours, theirs] = socket_pair();
  Peer other(std::move(theirs));
  std::vector<base::Descriptor> descriptors;
  descriptors.push_back(std::move(ours));
  settle(young_->parts(), std::move(twin), std::move(descriptors));
  turns();
  EXPECT_EQ(other.read(), "");
  EXPECT_TRUE(other.at_end());
  EXPECT_EQ(where(peer), R"(430["1 recovered"])");
}

TEST_F(MigrationTest, WhoHasNoNamespaceThereIsClosedSoThatItComesBack) {
  old_->io.of("/gone");
  Peer peer = open_websocket();
  tell(peer, "40/gone,");
  start_successor();
  begin_to_give();
  EXPECT_THAT(texts_of(peer), ElementsAre(limpet::test::close_payload(1012)));
  EXPECT_EQ(young_->engine.session_count(), 0u);
}

// ---- connections for sessions that are not here yet

TEST_F(MigrationTest, ARequestForASessionThatCannotMoveYetIsServedInTheOldPlace) {
  Peer poller = connect_to(*old_);
  const std::string sid = open_polling(poller);
  Peer probe = connect_to(*old_);
  EXPECT_THAT(ask(probe, upgrade("&sid=" + sid)), HasSubstr("101 Switching"));
  start_successor();
  begin_to_give();
  turns();
  ASSERT_EQ(old_->engine.session_count(), 1u) << "an upgrade is under way";
  Peer fresh = connect_to(*young_);
  EXPECT_THAT(ask(fresh, post_of(sid, R"(420["where"])")), testing::EndsWith("ok"));
  EXPECT_EQ(young_->sent_back, 1);
  EXPECT_THAT(tell(probe, "2probe"), ElementsAre("3probe"));
  EXPECT_THAT(tell(probe, "5"), ElementsAre(R"(430["0"])"));
  EXPECT_EQ(where(probe), R"(430["1 recovered"])") << "now it has moved";
  EXPECT_THAT(ask(fresh, get("/where")), testing::EndsWith("1")) << "and so has that connection";
}

TEST_F(MigrationTest, ARequestThatOvertakesItsSessionWaitsForIt) {
  Peer poller = connect_to(*old_);
  const std::string sid = open_polling(poller);
  start_successor();
  turns(3);
  // It reaches the taker while the session is on its way there.
  Peer fresh = connect_to(*young_);
  fresh.write(post_of(sid, R"(420["where"])") + poll_of(sid));
  begin_to_give();
  old_->turn();
  ASSERT_EQ(old_->engine.session_count(), 0u);
  (void)young_->poller.dispatch(young_->allowance);
  young_->clients.redeliver();
  young_->clients.bury();
  EXPECT_EQ(young_->sent_back, 1);
  const std::string answers = answer_to(fresh);
  EXPECT_THAT(answers,
              AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("ok"), testing::EndsWith(R"(430["1 recovered"])")));
  EXPECT_EQ(old_->clients.open(), 0u);
}

TEST_F(MigrationTest, ARequestForASessionOfNobodyIsRefusedInTheEnd) {
  start_successor();
  begin_to_give();
  turns(2);
  Peer fresh = connect_to(*young_);
  fresh.write(poll_of(std::string(20, 'a')));
  turns(20);
  EXPECT_EQ(fresh.read(), "") << "it may still come";
  old_->migration.giver()->finish();
  EXPECT_THAT(answer_to(fresh), HasSubstr("Session ID unknown"));
}

TEST_F(MigrationTest, ARequestForASessionThatDiedWithTheGiverEnds) {
  start_successor();
  begin_to_give();
  turns(2);
  // One comes before its end is noticed, one behind.
  old_.reset();
  Peer early = connect_to(*young_);
  EXPECT_EQ(ask(early, poll_of(std::string(20, 'a'))), "");
  EXPECT_TRUE(early.at_end());
  Peer late = connect_to(*young_);
  EXPECT_THAT(ask(late, poll_of(std::string(20, 'a'))), HasSubstr("Session ID unknown"));
}

// ---- much at once

/// Nobody reads: what waits for the clients is more than a frame of the stream holds.
TEST_F(MigrationTest, MuchThatWaitsForSlowClientsIsSplit) {
  constexpr int kClients = 24;
  const std::string large(1'900'000, 'x');
  std::vector<Peer> peers;
  std::vector<std::string> sids;
  for (int i = 0; i < kClients; ++i) {
    peers.push_back(connect_to(*old_));
    sids.push_back(open_polling(peers.back()));
  }
  old_->io.emit("large", large);
  start_successor();
  begin_to_give();
  turns(400);
  EXPECT_EQ(old_->engine.session_count(), 0u);
  EXPECT_EQ(young_->engine.session_count(), kClients);
  for (int i = 0; i < kClients; i += 5) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_THAT(ask(peers[at], poll_of(sids[at])), testing::EndsWith(large + "\"]"));
  }
}

/// What no frame has room for costs itself, and nobody else.
TEST_F(MigrationTest, ASessionThatIsTooLargeToMoveIsClosedSoThatItComesBack) {
  Peer before = open_websocket();
  Peer large = open_websocket();
  Peer behind = open_websocket();
  old_->sockets[1].data() = std::string(ipc::kFrameLimitBytes, 'x');
  start_successor();
  begin_to_give();
  EXPECT_THAT(texts_of(large), ElementsAre(limpet::test::close_payload(1012)));
  EXPECT_EQ(where(before), R"(430["1 recovered"])");
  EXPECT_EQ(where(behind), R"(430["1 recovered"])");
  EXPECT_EQ(old_->engine.session_count(), 0u);
  EXPECT_EQ(old_->count(ipc::Counter::SessionsDrained), 1u);
}

TEST_F(MigrationTest, AnEmitThatIsTooLargeForTheStreamIsDropped) {
  Peer peer = open_websocket();
  start_successor();
  begin_to_give();
  turns();
  old_->sockets[0].emit("large", std::string(ipc::kFrameLimitBytes, 'x'));
  old_->sockets[0].emit("small");
  EXPECT_THAT(texts_of(peer), ElementsAre(R"(42["small"])"));
}

TEST_F(MigrationTest, ManyIdleConnectionsAndSessionsMove) {
  std::vector<Peer> peers;
  for (int i = 0; i < 400; ++i) {
    peers.push_back(connect_to(*old_));
    if (i % 2 == 0) peers.back().write(upgrade() + text_frame("40"));
  }
  turns(3);
  start_successor();
  begin_to_give();
  turns(60);
  EXPECT_EQ(old_->clients.open(), 0u);
  EXPECT_EQ(young_->clients.open(), peers.size());
  EXPECT_EQ(young_->engine.session_count(), peers.size() / 2);
  EXPECT_TRUE(old_->migration.giver()->settled());
}

}  // namespace
}  // namespace limpet::migration::test
