// Workers of one process, joined to each other through their descriptors as the supervisor would pass them
// on.
#include "worker/adapter/ring_adapter.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <map>
#include <memory>

#include "worker/websocket/frame.h"

namespace limpet::adapter {
namespace {

using namespace std::chrono_literals;
using socketio::EmitResult;
using testing::ElementsAre;
using testing::IsEmpty;
using websocket::make_frame;
using websocket::Opcode;

constexpr std::uint16_t kLanes = 5;

class TestWorker {
 public:
  explicit TestWorker(std::uint16_t slot, std::size_t ring_bytes = 1 << 20, std::uint64_t generation = 1)
      : who{slot, slot, generation + slot},
        adapter(
            who, {.capacity_bytes = ring_bytes, .lanes = kLanes, .lap_after = 100ms, .deferred_bytes = 4096},
            counters, [this](const socketio::Broadcast& broadcast) { remember(broadcast); },
            [this](const ipc::Gap& gap) {
              gaps.push_back(gap);
              story.emplace_back("gap");
            }) {}

  void join(const TestWorker& peer) {
    const auto lend = [](int descriptor) { return ipc::Descriptor(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)); };
    adapter.join(peer.who, lend(peer.adapter.ring()), lend(peer.adapter.reader_page()),
                 lend(peer.adapter.doorbell()));
  }
  EmitResult emit(std::string_view payload, Opcode opcode = Opcode::Text) {
    const std::vector<http::Buffer> frames{make_frame(opcode, payload)};
    return adapter.publish({.nsp = "/", .rooms = {}, .except = {}, .is_volatile = false, .frames = frames});
  }
  void drain() {
    while (adapter.poll()) {
    }
  }
  /// How often the doorbell was rung since the last call.
  [[nodiscard]] std::uint64_t rings() const {
    eventfd_t rung = 0;
    return ::eventfd_read(adapter.doorbell(), &rung) == 0 ? rung : 0;
  }

  ipc::Incarnation who;
  ipc::CounterBlock counters = ipc::CounterBlock::create({0, 0, 1});
  std::vector<std::string> story;  ///< payloads and gaps in their order
  std::vector<ipc::Gap> gaps;
  std::vector<std::string> latest_rooms;
  std::vector<std::string> latest;  ///< the frames of the latest broadcast
  RingAdapter adapter;

 private:
  void remember(const socketio::Broadcast& broadcast) {
    latest_rooms.assign(broadcast.rooms.begin(), broadcast.rooms.end());
    latest.clear();
    for (const auto& frame : broadcast.frames) latest.emplace_back(frame.view());
    story.emplace_back(broadcast.frames[0].payload());
  }
};

void join_both(TestWorker& a, TestWorker& b) {
  a.join(b);
  b.join(a);
}

TEST(RingAdapter, ABroadcastReachesEveryOtherWorkerOnceAndInOrder) {
  TestWorker a(0), b(1), c(2);
  join_both(a, b);
  join_both(b, c);
  join_both(a, c);
  std::vector<std::string> wanted;
  for (int i = 0; i < 3000; ++i) {
    wanted.push_back("4" + std::to_string(i));
    ASSERT_EQ(a.emit(wanted.back()), EmitResult::Published);
  }
  for (TestWorker* worker : {&a, &b, &c}) worker->drain();
  EXPECT_EQ(b.story, wanted);
  EXPECT_EQ(c.story, wanted);
  EXPECT_THAT(a.story, IsEmpty()) << "its own comes not back";
  EXPECT_EQ(a.counters.get(ipc::Counter::BroadcastsPublished), 3000u);
  EXPECT_EQ(b.counters.get(ipc::Counter::BroadcastsReceived), 3000u);
}

TEST(RingAdapter, ATurnReadsABoundedNumber) {
  TestWorker a(0), b(1);
  join_both(a, b);
  for (int i = 0; i < 1025; ++i) (void)a.emit("4x");
  EXPECT_TRUE(b.adapter.poll());
  EXPECT_EQ(b.story.size(), 1024u);
  EXPECT_FALSE(b.adapter.poll());
  EXPECT_EQ(b.story.size(), 1025u);
}

TEST(RingAdapter, BinaryFramesArriveAsTheyWere) {
  TestWorker a(0), b(1);
  join_both(a, b);
  const std::vector<http::Buffer> frames{
      make_frame(Opcode::Text, R"(451-["f",{"_placeholder":true,"num":0}])"),
      make_frame(Opcode::Binary, std::string("\0\xff\n", 3)),
      make_frame(Opcode::Binary, std::string(100'000, '\x80'))};
  const std::vector<std::string_view> rooms{"one", "two"};
  ASSERT_EQ(
      a.adapter.publish({.nsp = "/", .rooms = rooms, .except = {}, .is_volatile = false, .frames = frames}),
      EmitResult::Published);
  b.drain();
  EXPECT_THAT(b.latest_rooms, ElementsAre("one", "two"));
  ASSERT_EQ(b.latest.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(b.latest[i], frames[i].view()) << i;
}

TEST(RingAdapter, AWorkerAloneHasPublished) {
  TestWorker a(0);
  EXPECT_EQ(a.emit("4x"), EmitResult::Published);
  EXPECT_FALSE(a.adapter.poll());
}

TEST(RingAdapter, ANewcomersFirstWordsAreReadByAWorkerThatHearsOfItLater) {
  TestWorker old(0), young(1);
  // The newcomer knows the old one already, and speaks before the old one has heard of it.
  young.join(old);
  (void)young.emit("4first words");
  old.join(young);
  old.drain();
  EXPECT_THAT(old.story, ElementsAre("4first words"));
}

TEST(RingAdapter, ANewcomerGetsWhatIsSaidFromTheIntroductionOn) {
  TestWorker old(0), young(1), third(2);
  join_both(old, third);
  (void)old.emit("4before");
  old.join(young);
  (void)old.emit("4between");
  young.join(old);
  (void)old.emit("4behind");
  young.drain();
  EXPECT_THAT(young.story, ElementsAre("4between", "4behind"));
}

TEST(RingAdapter, WhatFollowsAnotherRingComesBehindItAndTheRestInItsTurn) {
  TestWorker a(0), b(1), c(2);
  // In this order: c reads b's ring before a's.
  join_both(c, b);
  join_both(c, a);
  join_both(a, b);
  (void)a.emit("4one");
  const auto position = a.adapter.positions().front();
  EXPECT_EQ(position.writer, a.who);
  b.adapter.follow(position);
  (void)b.emit("4two");
  // And back to where it came from, which c has not read so far.
  a.adapter.follow(b.adapter.positions().front());
  (void)a.emit("4three");
  c.drain();
  EXPECT_THAT(c.story, ElementsAre("4one", "4two", "4three"));
  b.drain();
  EXPECT_THAT(b.story, ElementsAre("4one", "4three"));
  EXPECT_EQ(b.counters.get(ipc::Counter::BroadcastsPublished), 1u) << "no broadcast of its own";
}

TEST(RingAdapter, RingsThatFollowEachOtherInCirclesAreReadAllTheSame) {
  TestWorker a(0), b(1), c(2);
  join_both(c, a);
  join_both(c, b);
  join_both(a, b);
  a.adapter.follow({b.who, 100});
  b.adapter.follow({a.who, 100});
  (void)a.emit("4a");
  (void)b.emit("4b");
  c.drain();
  EXPECT_THAT(c.story, testing::UnorderedElementsAre("4a", "4b"));
}

TEST(RingAdapter, APeerThatLeavesIsReadToItsEnd) {
  TestWorker a(0);
  {
    TestWorker b(1);
    join_both(a, b);
    for (int i = 0; i < 2000; ++i) (void)b.emit("4" + std::to_string(i));
  }  // its memory lives in our mapping
  a.adapter.leave({1, 1, 2});
  EXPECT_FALSE(a.adapter.fall_asleep()) << "there is something to do about it";
  a.adapter.wake_up();
  a.drain();
  ASSERT_EQ(a.story.size(), 2000u);
  EXPECT_EQ(a.story.back(), "41999");
  EXPECT_THAT(a.gaps, IsEmpty());
  EXPECT_TRUE(a.adapter.fall_asleep());
  a.adapter.wake_up();
}

TEST(RingAdapter, ASuccessorOfTheSlotIsAnother) {
  TestWorker a(0);
  auto first = std::make_unique<TestWorker>(1);
  join_both(a, *first);
  (void)first->emit("4old");
  first.reset();
  a.adapter.leave({1, 1, 2});
  TestWorker second(1, 1 << 20, 7);
  second.join(a);
  a.join(second);
  (void)second.emit("4new");
  a.drain();
  EXPECT_THAT(a.story, testing::UnorderedElementsAre("4old", "4new"));
  (void)a.emit("4hello");
  second.drain();
  EXPECT_THAT(second.story, ElementsAre("4hello"));
}

TEST(RingAdapter, OnlySleepersAreRungOnceForManyBroadcasts) {
  TestWorker a(0), b(1);
  join_both(a, b);
  (void)a.emit("4x");
  a.adapter.flush({});
  EXPECT_EQ(b.rings(), 0u) << "it is awake";
  b.drain();
  ASSERT_TRUE(b.adapter.fall_asleep());
  for (int i = 0; i < 10; ++i) (void)a.emit("4y");
  EXPECT_EQ(b.rings(), 0u) << "not before the flush";
  a.adapter.flush({});
  EXPECT_EQ(b.rings(), 1u);
  b.adapter.wake_up();
  b.drain();
  EXPECT_EQ(b.story.size(), 11u);
}

TEST(RingAdapter, NobodyFallsAsleepOverSomethingUnread) {
  TestWorker a(0), b(1);
  join_both(a, b);
  (void)a.emit("4x");
  EXPECT_FALSE(b.adapter.fall_asleep());
  b.adapter.wake_up();
  b.drain();
  EXPECT_TRUE(b.adapter.fall_asleep());
  b.adapter.wake_up();
}

TEST(RingAdapter, AFullRingDefersAndThenLoses) {
  TestWorker a(0, 4096), b(1);
  join_both(a, b);
  std::map<EmitResult, int> results;
  int i = 0;
  std::vector<std::string> wanted;
  for (; results[EmitResult::Lost] == 0; ++i) {
    ASSERT_LT(i, 1000);
    const std::string payload = "4" + std::string(100, 'x') + std::to_string(i);
    const EmitResult result = a.emit(payload);
    ++results[result];
    if (result != EmitResult::Lost) wanted.push_back(payload);
  }
  EXPECT_GT(results[EmitResult::Published], 10);
  EXPECT_GT(results[EmitResult::Deferred], 10);
  EXPECT_TRUE(a.adapter.deferred());
  EXPECT_EQ(a.counters.get(ipc::Counter::BroadcastsDeferred),
            static_cast<std::uint64_t>(results[EmitResult::Deferred]));
  EXPECT_EQ(a.counters.get(ipc::Counter::BroadcastsLost), 1u);
  for (int turns = 0; turns < 100 && (a.adapter.deferred() || b.story.size() < wanted.size()); ++turns) {
    b.drain();
    a.adapter.flush(std::chrono::steady_clock::time_point(1s));
  }
  EXPECT_EQ(b.story, wanted) << "what was deferred arrives in order";
  EXPECT_THAT(b.gaps, IsEmpty()) << "what was lost is told before anything newer";
  ASSERT_EQ(a.emit("4after"), EmitResult::Published);
  b.drain();
  ASSERT_EQ(b.gaps.size(), 1u);
  EXPECT_EQ(b.gaps[0].lost_at_least, 1u);
  ASSERT_GE(b.story.size(), 2u);
  EXPECT_EQ(b.story[b.story.size() - 2], "gap");
  EXPECT_EQ(b.story.back(), "4after");
}

TEST(RingAdapter, AWorkerThatStandsStillIsLappedAndToldBeforeAnythingNewer) {
  TestWorker a(0, 4096), b(1), quick(2);
  join_both(a, b);
  join_both(a, quick);
  auto now = std::chrono::steady_clock::time_point(1000s);
  int i = 0;
  for (; i < 200; ++i) {
    ASSERT_NE(a.emit("4" + std::string(100, 'x') + std::to_string(i)), EmitResult::Lost);
    quick.drain();
    for (int tries = 0; a.adapter.deferred() && tries < 20; ++tries) {
      now += 20ms;
      a.adapter.flush(now);
      quick.drain();
    }
  }
  EXPECT_EQ(quick.story.size(), 200u) << "the other one is not held up";
  EXPECT_THAT(quick.gaps, IsEmpty());
  b.drain();
  ASSERT_EQ(b.gaps.size(), 1u);
  EXPECT_EQ(b.gaps[0].writer, a.who);
  EXPECT_EQ(b.counters.get(ipc::Counter::RingGaps), 1u);
  EXPECT_EQ(b.story.front(), "gap");
  EXPECT_EQ(b.gaps[0].lost_at_least + b.story.size() - 1, 200u);
  (void)a.emit("4again");
  b.drain();
  EXPECT_EQ(b.story.back(), "4again");
}

TEST(RingAdapter, ABroadcastThatIsTooLargeIsLostAndCounted) {
  TestWorker a(0), b(1);
  join_both(a, b);
  EXPECT_EQ(a.emit(std::string((16u << 20) + 1, 'x')), EmitResult::Lost);
  const std::string name(65536, 'n');
  const std::vector<std::string_view> rooms{name};
  const std::vector<http::Buffer> frames{make_frame(Opcode::Text, "4x")};
  EXPECT_EQ(
      a.adapter.publish({.nsp = "/", .rooms = rooms, .except = {}, .is_volatile = false, .frames = frames}),
      EmitResult::Lost);
  EXPECT_EQ(a.counters.get(ipc::Counter::BroadcastsLost), 2u);
}

TEST(RingAdapter, APeerWhoseMemoryIsNoRingIsLeftOut) {
  TestWorker a(0), b(1);
  const ipc::Descriptor nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  a.adapter.join(b.who, nothing.duplicate(), nothing.duplicate(), nothing.duplicate());
  EXPECT_EQ(a.emit("4x"), EmitResult::Published);
  EXPECT_FALSE(a.adapter.poll());
  join_both(a, b);
  (void)a.emit("4y");
  b.drain();
  EXPECT_THAT(b.story, ElementsAre("4y"));
}

}  // namespace
}  // namespace limpet::adapter
