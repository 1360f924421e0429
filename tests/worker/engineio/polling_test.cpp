// What one session has while it is polling: its queue and its probe, without requests.
#include "worker/engineio/polling.h"

#include <gtest/gtest.h>

#include "tests/worker/engineio/parts_kit.h"

namespace limpet::engineio {
namespace {

using test::MemoryStream;
using test::text_message;
using Frames = std::vector<test::ServerFrame>;

TEST(APollQueue, GivesTheOldestThatFitAndOneAtLeast) {
  PollQueue queue;
  EXPECT_TRUE(queue.take(1000).empty());
  for (const std::string_view text : {"a", "b", "c"}) queue.push(text_message(text));
  const std::size_t one = queue.bytes() / 3;
  EXPECT_GT(one, PollQueue::kFrameCost);
  EXPECT_EQ(queue.take(2 * one).size(), 2u) << "at the limit";
  EXPECT_EQ(queue.bytes(), one);
  queue.push(text_message("d"));
  queue.push(text_message("e"));
  EXPECT_EQ(queue.take(2 * one - 1).size(), 1u) << "below it";
  EXPECT_EQ(queue.take(0).front().payload(), "4d") << "however large";
  EXPECT_EQ(queue.take(1000).front().payload(), "4e");
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(APollQueue, IsTakenAsAWholeWithAndWithoutWhatFramesCost) {
  PollQueue queue;
  queue.push(text_message("a"));
  queue.push(text_message("bcd"));
  const PollQueue::All all = queue.take_all();
  EXPECT_EQ(all.frames.size(), 2u);
  EXPECT_EQ(all.frame_bytes(), text_message("a").size() + text_message("bcd").size());
  EXPECT_EQ(all.bytes, all.frame_bytes() + 2 * PollQueue::kFrameCost);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(APoll, IsAnsweredAsTextOrAsTheScriptThatItAskedFor) {
  ParkedPoll poll;
  EXPECT_FALSE(poll.parked());
  EXPECT_EQ(poll.render("4a").body, "4a");
  poll.set_jsonp("3");
  EXPECT_EQ(poll.jsonp(), "3");
  EXPECT_EQ(poll.render("4a").body, R"(___eio[3]("4a");)");
  poll.set_jsonp("");
  EXPECT_EQ(poll.render("4a").body, R"(___eio[]("4a");)");
  poll.set_jsonp(std::nullopt);
  EXPECT_EQ(poll.render("4a").body, "4a");
}

class AProbe : public testing::Test {
 protected:
  test::Parts parts;
  OpenSession& session = parts.open(Transport::Polling);
  Probe& probe = session.polling->probe;
  MemoryStream stream;
};

TEST_F(AProbe, ThatIsAbandonedSaysGoodbyeOnceAndGivesBackItsMemory) {
  probe.begin(stream);
  loop::TimerList list;
  list.join(probe.overdue, {});
  list.join(probe.next_noop, {});
  probe.fragments() = std::make_unique<websocket::Fragments>();
  probe.fragments()->held = 100;
  probe.abandon(websocket::CloseCode::MessageTooBig);
  EXPECT_EQ(test::server_frames(stream.take_sent()), (Frames{{8, "\x03\xf1"}}));
  EXPECT_TRUE(stream.finished());
  EXPECT_EQ(stream.held, -100);
  EXPECT_FALSE(probe.under_way());
  EXPECT_TRUE(list.empty());
  probe.abandon();
  EXPECT_EQ(stream.sent(), "");
}

TEST_F(AProbe, ThatIsTakenGivesItsStreamUntouched) {
  EXPECT_EQ(probe.take(), nullptr);
  probe.begin(stream);
  EXPECT_EQ(probe.take(), &stream);
  EXPECT_FALSE(probe.under_way());
  EXPECT_EQ(stream.sent(), "");
  EXPECT_FALSE(stream.finished());
}

TEST_F(AProbe, ThatIsLostTouchesItsStreamNoMore) {
  probe.begin(stream);
  probe.fragments() = std::make_unique<websocket::Fragments>();
  probe.fragments()->held = 100;
  probe.lose();
  EXPECT_FALSE(probe.under_way());
  EXPECT_EQ(probe.fragments(), nullptr);
  EXPECT_EQ(stream.held, 0);
  EXPECT_EQ(stream.sent(), "");
}

TEST_F(AProbe, ComesAloneElseTheWorkerStops) {
  probe.begin(stream);
  MemoryStream second;
  EXPECT_DEATH(probe.begin(second), "one upgrade at a time");
}

TEST_F(AProbe, AwaitedPostsAreBalancedElseTheWorkerStops) {
  session.polling->begin_awaiting_post();
  EXPECT_TRUE(session.polling->has_post());
  session.polling->end_awaiting_post();
  EXPECT_FALSE(session.polling->has_post());
  EXPECT_DEATH(session.polling->end_awaiting_post(), "awaited");
}

}  // namespace
}  // namespace limpet::engineio
