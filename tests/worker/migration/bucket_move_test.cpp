// Tenants of several slots, and buckets that change theirs.
#include "worker/migration/bucket_move.h"

#include <map>

#include "tests/worker/migration/tenants_kit.h"
#include "worker/migration/codec.h"

namespace limpet::migration::test {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

MATCHER_P3(Moved, to_slot, moved, drained, "") {
  return arg.to_slot == to_slot && arg.moved == static_cast<std::uint64_t>(moved) &&
         arg.drained == static_cast<std::uint64_t>(drained);
}

class BucketMoveTest : public TenantsTest {
 protected:
  static constexpr auto kWindow = 1s;
  static constexpr auto kDeadline = 5s;

  /// `open`: slots that have buckets.
  explicit BucketMoveTest(std::uint16_t open = 1) : cluster_(3, open) {}

  /// A worker of that slot, which all others know.
  Tenant& start(std::uint16_t slot) {
    auto tenant = std::make_unique<Tenant>(slot, next_lane_++, cluster_);
    tenant->handovers.start_reading();
    for (auto& [other, peer] : tenants_) {
      peer->join(*tenant);
      tenant->join(*peer);
    }
    return *(tenants_[slot] = std::move(tenant));
  }
  /// Its process is gone; the supervisor has said so.
  void kill(std::uint16_t slot) {
    const ipc::Incarnation who = tenants_.at(slot)->who;
    tenants_.erase(slot);
    for (auto& [other, peer] : tenants_) peer->rings.leave(who);
  }
  void turn() override {
    for (auto& [slot, tenant] : tenants_) tenant->turn();
  }
  void pass(std::chrono::milliseconds time) { cluster_.clock.advance_to(cluster_.clock.now() + time); }

  // What the supervisor does, in this order.
  static base::Descriptor let_expect(Tenant& taker) {
    auto [givers, takers] = ipc::FrameStream::pair();
    taker.migration.expect_buckets(std::move(takers));
    return std::move(givers);
  }
  void assign(const std::string& sid, const Tenant& taker) {
    cluster_.table.assign(slot::bucket_of(sid), taker.who.slot);
  }
  static void let_move(Tenant& giver, std::uint16_t to_slot, base::Descriptor stream) {
    giver.migration.move_buckets({.to_slot = to_slot, .window = kWindow, .deadline = kDeadline},
                                 std::move(stream));
  }
  /// The buckets of these sids change from one slot to the other.
  void move(Tenant& giver, Tenant& taker, const Texts& sids) {
    base::Descriptor stream = let_expect(taker);
    for (const std::string& sid : sids) assign(sid, taker);
    let_move(giver, taker.who.slot, std::move(stream));
  }

  /// A polling session that cannot leave: its upgrade is under way. Its sid.
  std::string open_stuck(Tenant& tenant) {
    peers_.push_back(connect_to(tenant));
    const std::string sid = open_polling(peers_.back());
    peers_.push_back(connect_to(tenant));
    EXPECT_THAT(ask(peers_.back(), upgrade("&sid=" + sid)), HasSubstr("101 Switching"));
    return sid;
  }
  /// The end of that upgrade: the last of the session's two connections.
  Peer& probe() { return peers_.back(); }

  Cluster cluster_;
  std::uint16_t next_lane_ = 0;
  std::map<std::uint16_t, std::unique_ptr<Tenant>> tenants_;
  std::vector<Peer> peers_;  ///< of stuck sessions
  Tenant& giver_ = start(0);
};

TEST_F(BucketMoveTest, TakesTheSessionsOfItsBucketsAndNothingElse) {
  std::string sid, sid_of_other;
  Peer moving = open_websocket(giver_, &sid);
  Peer staying = open_websocket(giver_, &sid_of_other);
  while (slot::bucket_of(sid_of_other) == slot::bucket_of(sid))
    staying = open_websocket(giver_, &sid_of_other);
  Peer idle = connect_to(giver_);
  ask(idle, get("/where"));
  Tenant& taker = start(1);
  move(giver_, taker, {sid});
  turns();
  EXPECT_THAT(giver_.moved, ElementsAre(Moved(1, 1, 0)));
  EXPECT_EQ(where(moving), R"(430["1 recovered"])");
  EXPECT_EQ(where(staying), R"(430["0"])");
  EXPECT_THAT(ask(idle, get("/where")), EndsWith("0")) << "the slot has buckets left to serve on it";
  EXPECT_EQ(giver_.count(ipc::Counter::SessionsDeparted), 1u);
  EXPECT_EQ(taker.count(ipc::Counter::SessionsArrived), 1u);
  EXPECT_THAT(giver_.moved, testing::SizeIs(1)) << "it is said once";
}

TEST_F(BucketMoveTest, IsSaidToBeDoneAlsoIfNobodyHadToMove) {
  move(giver_, start(1), {});
  turns();
  EXPECT_THAT(giver_.moved, ElementsAre(Moved(1, 0, 0)));
}

TEST_F(BucketMoveTest, BeginsWhenTheTakerExpectsItAndIsDoneWhenAllIsTaken) {
  std::string sid;
  const Peer peer = open_websocket(giver_, &sid);
  auto [givers, takers] = ipc::FrameStream::pair();
  ipc::FrameStream taker(std::move(takers));
  cluster_.table.assign(slot::bucket_of(sid), 1);
  let_move(giver_, 1, std::move(givers));
  turns();
  ipc::Datagram frame;
  EXPECT_EQ(taker.receive(&frame), ipc::ReceiveStatus::Empty);
  EXPECT_EQ(giver_.engine.session_count(), 1u)
      << "a taker that does not retain broadcasts yet would lose some";
  taker.send(encode(Expecting{}));
  turns();
  EXPECT_EQ(giver_.engine.session_count(), 0u);
  std::uint64_t parcels = 0;
  while (taker.receive(&frame) == ipc::ReceiveStatus::Message) ++parcels;
  EXPECT_EQ(parcels, 1u);
  EXPECT_THAT(giver_.moved, IsEmpty()) << "on its way";
  taker.send(encode(Took{parcels}));
  turns();
  EXPECT_EQ(taker.receive(&frame), ipc::ReceiveStatus::Message) << "all is given";
  EXPECT_THAT(giver_.moved, IsEmpty()) << "the taker has not heard that yet";
  taker.send(encode(Took{parcels + 1}));
  turns();
  EXPECT_THAT(giver_.moved, ElementsAre(Moved(1, 1, 0)));
}

TEST_F(BucketMoveTest, OfSeveralOrdersSaysEachForItself) {
  Tenant& one = start(1);
  Tenant& two = start(2);
  std::vector<Peer> peers;
  for (const auto& [taker, count] : {std::pair(&one, 5), std::pair(&two, 3)}) {
    Texts sids(static_cast<std::size_t>(count));
    // A bucket of two sessions would go to the later one of the two takers.
    for (std::string& sid : sids) {
      do peers.push_back(open_websocket(giver_, &sid));
      while (cluster_.table.owner(slot::bucket_of(sid)) != 0);
    }
    move(giver_, *taker, sids);
    turns();
  }
  EXPECT_THAT(giver_.moved, ElementsAre(Moved(1, 5, 0), Moved(2, 3, 0)));
  EXPECT_EQ(one.engine.session_count(), 5u);
  EXPECT_EQ(two.engine.session_count(), 3u);
}

TEST_F(BucketMoveTest, GoesOnInTheNextTurnWhereTheAllowanceOfOneEnds) {
  std::vector<Peer> peers;
  Texts sids(60);
  for (std::string& sid : sids) peers.push_back(open_websocket(giver_, &sid));
  Tenant& taker = start(1);
  giver_.moves_per_turn = 60;
  taker.moves_per_turn = 60;
  move(giver_, taker, sids);
  int turns_taken = 0;
  for (std::size_t before = 60; giver_.moved.empty(); ++turns_taken) {
    turn();
    const std::size_t now = giver_.engine.session_count();
    EXPECT_LE(before - now, 40u) << "a batch, for that leaves as a whole";
    before = now;
    const bool begun = now > 0 && now < 60;
    EXPECT_EQ(giver_.migration.busy() && begun, begun) << "or the loop would sleep over it";
    ASSERT_LT(turns_taken, 100);
  }
  EXPECT_GT(turns_taken, 3);
  EXPECT_THAT(giver_.moved, ElementsAre(Moved(1, 60, 0)));
  EXPECT_EQ(taker.engine.session_count(), 60u);
  for (Peer& peer : peers) EXPECT_EQ(where(peer), R"(430["1 recovered"])");
}

// ---- what cannot move

TEST_F(BucketMoveTest, LooksAgainAtThoseThatCouldNotLeaveButAmongManyOnlyAfterAPause) {
  Peer poller = connect_to(giver_);
  for (int i = 0; i < 1000; ++i) ask(poller, get("/socket.io/?EIO=4&transport=polling"));
  const std::string stuck = open_stuck(giver_);
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket) cluster_.table.assign(bucket, 0);
  move(giver_, start(1), {stuck});
  turns();
  const std::size_t stay = giver_.engine.session_count();
  probe().write(limpet::test::text_frame("2probe"));
  turns();
  probe().write(limpet::test::text_frame("5"));
  turns();
  EXPECT_EQ(giver_.engine.session_count(), stay) << "all of them were looked at just now";
  EXPECT_EQ(giver_.migration.next_deadline(), cluster_.clock.now() + 1ms);
  pass(1ms);
  turns();
  EXPECT_EQ(giver_.engine.session_count(), stay - 1);
  EXPECT_EQ(giver_.moved.size(), 1u);
}

TEST_F(BucketMoveTest, DrainsWhatCannotMoveFromTheWindowBeforeTheDeadlineOn) {
  const std::string sid = open_stuck(giver_);
  Tenant& taker = start(1);
  move(giver_, taker, {sid});
  turns();
  EXPECT_EQ(giver_.migration.next_deadline(), cluster_.clock.now() + kWindow) << "half posts are ended then";
  pass(kDeadline - kWindow - 1ms);
  turns();
  EXPECT_EQ(giver_.count(ipc::Counter::SessionsDrained), 0u);
  EXPECT_THAT(giver_.moved, IsEmpty());
  pass(1ms);
  turns();
  pass(kWindow);
  turns();
  EXPECT_EQ(giver_.engine.session_count() + taker.engine.session_count(), 0u);
  EXPECT_EQ(giver_.count(ipc::Counter::SessionsDrained), 1u);
  EXPECT_EQ(giver_.moved.size(), 1u);
  EXPECT_EQ(giver_.moved[0].drained, 1u);
  Peer late = connect_to(taker);
  EXPECT_THAT(ask(late, poll_of(sid)), testing::StartsWith("HTTP/1.1 200")) << "the close, wherever it waits";
}

TEST_F(BucketMoveTest, HasDeadlinesOnlyAsLongAsTheyMatter) {
  const std::string sid = open_stuck(giver_);
  cluster_.table.assign(slot::bucket_of(sid), 1);
  auto [givers, takers] = ipc::FrameStream::pair();
  const loop::TimePoint start = cluster_.clock.now();
  BucketMove bucket_move(giver_.parts(), 7, {.to_slot = 1, .window = kWindow, .deadline = kDeadline},
                         std::move(givers), [](const ipc::BucketsMoved&) {});
  EXPECT_EQ(bucket_move.number(), 7u);
  EXPECT_EQ(bucket_move.to_slot(), 1u);
  EXPECT_EQ(bucket_move.deadline(), start + kDeadline);
  EXPECT_EQ(bucket_move.next_deadline(), start + kWindow);
  pass(kWindow);
  EXPECT_EQ(bucket_move.next_deadline(), start + kDeadline - kWindow);
  pass(kDeadline - 2 * kWindow);
  EXPECT_EQ(bucket_move.next_deadline(), start + kDeadline);
  pass(kWindow);
  EXPECT_EQ(bucket_move.next_deadline(), loop::TimePoint::max());
  const BucketMove hasty(giver_.parts(), 8, {.to_slot = 1, .window = kDeadline, .deadline = kWindow},
                         ipc::FrameStream::pair().first, [](const ipc::BucketsMoved&) {});
  EXPECT_EQ(hasty.next_deadline(), cluster_.clock.now() + kWindow) << "the window is over when it begins";
}

TEST_F(BucketMoveTest, ThatIsStoppedLeavesWhoeverIsStillThere) {
  const std::string sid = open_stuck(giver_);
  Tenant& taker = start(1);
  move(giver_, taker, {sid});
  turns();
  giver_.migration.stop_giving();
  turns();
  EXPECT_THAT(giver_.moved, ElementsAre(Moved(1, 0, 0)));
  Peer fresh = connect_to(giver_);
  EXPECT_THAT(ask(fresh, post_of(sid, R"(420["where"])")), EndsWith("ok"));
  EXPECT_EQ(giver_.engine.session_count(), 1u);
}

// ---- somebody dies

TEST_F(BucketMoveTest, WhoseTakerDiesSaysNothingAndTheNextTakerGetsThem) {
  std::string sid;
  Peer peer = open_websocket(giver_, &sid);
  move(giver_, start(1), {sid});
  for (int i = 0; i < 4 && giver_.engine.session_count() > 0; ++i) giver_.turn();
  ASSERT_EQ(giver_.engine.session_count(), 0u);
  kill(1);
  EXPECT_EQ(where(peer), R"(430["0 recovered"])") << "here again";
  EXPECT_THAT(giver_.moved, IsEmpty());
  EXPECT_TRUE(giver_.migration.buckets_are_quiet());
  EXPECT_EQ(giver_.migration.next_deadline(), loop::TimePoint::max());
  EXPECT_EQ(giver_.count(ipc::Counter::SessionsDeparted), 0u);
  move(giver_, start(1), {});
  turns();
  EXPECT_THAT(giver_.moved, ElementsAre(Moved(1, 1, 0)));
  EXPECT_EQ(where(peer), R"(430["2 recovered"])") << "the lane of the second one";
}

TEST_F(BucketMoveTest, WhoseTakerDiesBehindItHasLostWhatItGave) {
  std::string sid;
  Peer peer = open_websocket(giver_, &sid);
  move(giver_, start(1), {sid});
  turns();
  kill(1);
  turns();
  EXPECT_EQ(where(peer), "ended");
  EXPECT_THAT(giver_.moved, ElementsAre(Moved(1, 1, 0)));
  EXPECT_EQ(giver_.engine.session_count(), 0u);
}

TEST_F(BucketMoveTest, WhoseGiverDiesKeepsWhatCame) {
  std::string sid;
  Peer moved = open_websocket(giver_, &sid);
  const std::string stuck = open_stuck(giver_);
  Tenant& taker = start(1);
  move(giver_, taker, {sid, stuck});
  turns();
  ASSERT_EQ(taker.engine.session_count(), 1u);
  Peer early = connect_to(taker);
  early.write(poll_of(stuck));
  taker.turn();  // to the giver
  kill(0);
  EXPECT_EQ(answer_to(early), "");
  EXPECT_TRUE(early.at_end()) << "it ended with the giver, and its client comes back";
  EXPECT_EQ(where(moved), R"(430["1 recovered"])");
  EXPECT_TRUE(probe().read().empty() && probe().at_end());
  Peer late = connect_to(taker);
  EXPECT_THAT(ask(late, poll_of(stuck)), HasSubstr("Session ID unknown"));
  EXPECT_EQ(taker.sent_back, 1) << "nobody is left to ask";
}

// ---- requests for sessions that are still to come

/// Two givers, each with a session that cannot leave yet.
class TwoGiversTest : public BucketMoveTest {
 protected:
  TwoGiversTest() : BucketMoveTest(2) {}

  void move_all() {
    assign(unknown_, taker_);
    move(giver_, taker_, {first_});
    move(second_giver_, taker_, {second_});
    turns();
    ASSERT_EQ(taker_.engine.session_count(), 0u);
  }

  const std::string unknown_ = std::string(20, 'x');
  Tenant& second_giver_ = start(1);
  Tenant& taker_ = start(2);
  std::string first_ = open_stuck(giver_);
  std::string second_ = open_stuck(second_giver_);
};

TEST_F(TwoGiversTest, AreAskedInTheOrderInWhichTheyWereNamed) {
  move_all();
  Peer for_first = connect_to(taker_);
  EXPECT_THAT(ask(for_first, post_of(first_, R"(420["where"])")), EndsWith("ok"));
  EXPECT_EQ(taker_.sent_back, 1);
  EXPECT_EQ(giver_.passed_on, 0) << "the first one has it";
  Peer for_second = connect_to(taker_);
  EXPECT_THAT(ask(for_second, post_of(second_, R"(420["where"])")), EndsWith("ok"));
  EXPECT_EQ(taker_.sent_back, 3);
  EXPECT_EQ(giver_.passed_on, 1) << "the first one has it not";
  EXPECT_EQ(second_giver_.passed_on, 0);
}

TEST_F(TwoGiversTest, AreAskedOnceEachForASidThatNobodyKnows) {
  move_all();
  Peer peer = connect_to(taker_);
  EXPECT_THAT(ask(peer, poll_of(unknown_)), HasSubstr("Session ID unknown"));
  EXPECT_EQ(taker_.sent_back, 2);
  EXPECT_EQ(giver_.passed_on, 1);
  EXPECT_EQ(second_giver_.passed_on, 1);
  turns();
  EXPECT_EQ(taker_.sent_back, 2) << "one round";
}

TEST_F(TwoGiversTest, AreAskedOnlyAsLongAsTheyMayHaveSomething) {
  move_all();
  giver_.migration.stop_giving();
  turns();
  Peer peer = connect_to(taker_);
  EXPECT_THAT(ask(peer, post_of(second_, R"(420["where"])")), EndsWith("ok"));
  EXPECT_EQ(taker_.sent_back, 1);
  kill(1);
  turns();
  Peer late = connect_to(taker_);
  EXPECT_THAT(ask(late, poll_of(second_)), HasSubstr("Session ID unknown"));
  EXPECT_EQ(taker_.sent_back, 1);
}

TEST_F(TwoGiversTest, AreAskedAboutARequestThatWasThereBeforeTheirNames) {
  assign(first_, taker_);
  Peer early = connect_to(taker_);
  early.write(post_of(first_, R"(420["where"])"));
  taker_.turn();
  EXPECT_TRUE(taker_.router.waits_for_supervisor()) << "the table is faster than the supervisor's word";
  base::Descriptor named = let_expect(taker_);
  let_move(giver_, 2, std::move(named));
  EXPECT_THAT(answer_to(early), EndsWith("ok"));
  EXPECT_EQ(taker_.sent_back, 1);
}

TEST_F(BucketMoveTest, TakesARequestForWhatHasLeftAlongBehindIt) {
  std::string sid;
  Peer peer = open_websocket(giver_, &sid);
  const std::string stuck = open_stuck(giver_);  // keeps the stream open
  Peer poller = connect_to(giver_);
  const std::string polling = open_polling(poller);
  Tenant& taker = start(1);
  move(giver_, taker, {sid, stuck, polling});
  turns();
  ASSERT_EQ(taker.engine.session_count(), 2u);
  Peer fresh = connect_to(giver_);
  EXPECT_THAT(ask(fresh, post_of(polling, R"(420["where"])")), EndsWith("ok"));
  EXPECT_EQ(giver_.passed_on, 1);
  EXPECT_EQ(giver_.count(ipc::Counter::HandoversOut), 0u)
      << "in the inbox it could be faster than its session";
  EXPECT_THAT(ask(fresh, poll_of(polling)), EndsWith(R"(430["1 recovered"])"));
}

// ---- what stays behind

TEST_F(BucketMoveTest, CarriesTheWordsOfHandlesThatStayedAsLongAsAnAnswerIsAwaited) {
  std::string sid;
  Peer peer = open_websocket(giver_, &sid);
  Socket kept = giver_.sockets[0];
  Texts answers;
  kept.emit("asked before", [&](std::string_view text) { answers.emplace_back(text); });
  EXPECT_THAT(texts_of(peer), ElementsAre(R"(420["asked before"])"));
  move(giver_, start(1), {sid});
  turns();
  EXPECT_THAT(giver_.moved, ElementsAre(Moved(1, 1, 0)));
  EXPECT_FALSE(giver_.migration.buckets_are_quiet());
  kept.emit("from behind");
  EXPECT_THAT(texts_of(peer), ElementsAre(R"(42["from behind"])"));
  EXPECT_THAT(tell(peer, R"(430["answer"])"), IsEmpty());
  EXPECT_THAT(answers, ElementsAre("answer"));
  EXPECT_TRUE(giver_.migration.buckets_are_quiet());
  kept.emit("too late");
  EXPECT_THAT(texts_of(peer), IsEmpty());
}

TEST_F(BucketMoveTest, OfASlotThatClosesTakesItsIdleConnectionsToo) {
  std::string sid;
  Peer peer = open_websocket(giver_, &sid);
  Peer idle = connect_to(giver_);
  ask(idle, get("/where"));
  Tenant& taker = start(1);
  base::Descriptor stream = let_expect(taker);
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket) cluster_.table.assign(bucket, 1);
  EXPECT_FALSE(giver_.migration.gives_connections()) << "there is nobody to take them";
  let_move(giver_, 1, std::move(stream));
  turns();
  EXPECT_THAT(giver_.moved, ElementsAre(Moved(1, 1, 0)));
  EXPECT_TRUE(giver_.migration.gives_connections());
  EXPECT_EQ(giver_.clients.open(), 0u);
  EXPECT_THAT(ask(idle, get("/where")), EndsWith("1"));
  EXPECT_EQ(where(peer), R"(430["1 recovered"])");
  Peer late = connect_to(giver_);
  EXPECT_THAT(ask(late, get("/where")), EndsWith("0"));
  turns();
  EXPECT_THAT(ask(late, get("/where")), EndsWith("1")) << "the stream is open to the slot's end";
}

}  // namespace
}  // namespace limpet::migration::test
