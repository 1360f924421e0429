// Workers of one process, joined to each other through their descriptors as the supervisor would pass them
// on.
#include "worker/adapter/ring_adapter.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <random>

#include "tests/worker/plenty.h"
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
    const auto lend = [](int descriptor) {
      return base::Descriptor(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
    };
    adapter.join(peer.who, lend(peer.adapter.ring()), lend(peer.adapter.reader_page()),
                 lend(peer.adapter.doorbell()));
  }
  EmitResult emit(std::string_view payload, Opcode opcode = Opcode::Text) {
    const std::vector<loop::Buffer> frames{make_frame(opcode, payload)};
    return adapter.publish({.nsp = "/", .rooms = {}, .except = {}, .is_volatile = false, .frames = frames});
  }
  void drain() {
    while (adapter.poll(test::plenty())) {
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

/// It does not know yet at which number a silent ring is: nothing would ever tell it that it is not behind.
TEST(RingAdapter, OneThatHasJustAttachedToASilentRingIsNotBehind) {
  TestWorker a(0), b(1), c(2);
  join_both(a, b);
  for (int i = 0; i < 3000; ++i) (void)a.emit("4x");
  b.drain();
  c.join(a);  // before a has heard of c
  EXPECT_EQ(c.adapter.behind(b.adapter.positions()), 0u);
  a.join(c);
  (void)a.emit("4y");
  b.drain();
  EXPECT_GT(c.adapter.behind(b.adapter.positions()), 0u);
  c.drain();
  EXPECT_EQ(c.adapter.behind(b.adapter.positions()), 0u);
}

TEST(RingAdapter, ATurnReadsABoundedNumber) {
  TestWorker a(0), b(1);
  join_both(a, b);
  for (int i = 0; i < 1025; ++i) (void)a.emit("4x");
  EXPECT_TRUE(b.adapter.poll(test::plenty()));
  EXPECT_EQ(b.story.size(), 1024u);
  EXPECT_FALSE(b.adapter.poll(test::plenty()));
  EXPECT_EQ(b.story.size(), 1025u);
}

TEST(RingAdapter, BinaryFramesArriveAsTheyWere) {
  TestWorker a(0), b(1);
  join_both(a, b);
  const std::vector<loop::Buffer> frames{
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
  EXPECT_FALSE(a.adapter.poll(test::plenty()));
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
  const std::vector<loop::Buffer> frames{make_frame(Opcode::Text, "4x")};
  EXPECT_EQ(
      a.adapter.publish({.nsp = "/", .rooms = rooms, .except = {}, .is_volatile = false, .frames = frames}),
      EmitResult::Lost);
  EXPECT_EQ(a.counters.get(ipc::Counter::BroadcastsLost), 2u);
}

TEST(RingAdapter, APeerWhoseMemoryIsNoRingIsLeftOut) {
  TestWorker a(0), b(1);
  const base::Descriptor nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  a.adapter.join(b.who, nothing.duplicate(), nothing.duplicate(), nothing.duplicate());
  EXPECT_EQ(a.emit("4x"), EmitResult::Published);
  EXPECT_FALSE(a.adapter.poll(test::plenty()));
  join_both(a, b);
  (void)a.emit("4y");
  b.drain();
  EXPECT_THAT(b.story, ElementsAre("4y"));
}

// ---- sessions on their way

std::uint64_t position_of(const TestWorker& writer, const TestWorker& at) {
  for (const RingPosition& position : at.adapter.positions())
    if (position.writer == writer.who) return position.sequence;
  return ~std::uint64_t{0};
}
std::vector<std::string> replayed(const TestWorker& worker, const std::vector<RingPosition>& given,
                                  bool whole = true) {
  std::vector<std::string> texts;
  EXPECT_EQ(worker.adapter.replay(given,
                                  [&](const socketio::Broadcast& broadcast) {
                                    texts.emplace_back(broadcast.frames[0].payload());
                                  }),
            whole);
  return texts;
}

TEST(RingPositions, SayHowFarEachRingHasBeenGiven) {
  TestWorker a(0), b(1), c(2);
  join_both(a, b);
  join_both(a, c);
  EXPECT_EQ(position_of(a, a), 0u);
  EXPECT_EQ(position_of(b, a), 0u);
  for (int i = 0; i < 3; ++i) (void)a.emit("4own");
  for (int i = 0; i < 2; ++i) (void)b.emit("4other");
  EXPECT_EQ(position_of(a, a), 3u) << "what it publishes, it has given to its own";
  EXPECT_EQ(position_of(b, a), 0u);
  a.drain();
  EXPECT_EQ(position_of(b, a), 2u);
  EXPECT_EQ(position_of(c, a), 0u);
  EXPECT_EQ(a.adapter.positions().size(), 3u);
}

TEST(RingPositions, OfAWriterThatIsGoneAreKnownAWhileLonger) {
  TestWorker a(0);
  ipc::Incarnation gone;
  {
    TestWorker b(1);
    gone = b.who;
    join_both(a, b);
    for (int i = 0; i < 7; ++i) (void)b.emit("4x");
  }
  a.adapter.leave(gone);
  a.drain();
  const auto positions = a.adapter.positions();
  EXPECT_TRUE(std::any_of(positions.begin(), positions.end(), [&](const RingPosition& position) {
    return position.writer == gone && position.sequence == 7;
  }));
}

TEST(CatchUp, ReadsOnToTheSameInstantAndNoFurther) {
  TestWorker old(0), young(1), writer(2);
  join_both(old, writer);
  join_both(young, writer);
  join_both(old, young);
  for (int i = 0; i < 2500; ++i) (void)writer.emit("4" + std::to_string(i));
  old.drain();
  (void)old.emit("4from the old");
  const auto positions = old.adapter.positions();
  young.adapter.catch_up(positions);
  EXPECT_EQ(young.story.size(), 2501u);
  EXPECT_EQ(position_of(writer, young), 2500u);
  EXPECT_EQ(position_of(old, young), 1u);
  young.adapter.catch_up(positions);
  EXPECT_EQ(young.story.size(), 2501u);
}

TEST(CatchUp, IsAsFarAsTheRingThatIsFarthestBehind) {
  TestWorker writer(0), other(1), young(2);
  join_both(writer, young);
  join_both(other, young);
  for (int i = 0; i < 5; ++i) (void)writer.emit("4x");
  for (int i = 0; i < 3; ++i) (void)other.emit("4x");
  const std::vector<RingPosition> positions{{writer.who, 5}, {other.who, 3}, {{3, 3, 99}, 1000}};
  EXPECT_EQ(young.adapter.behind(positions), 5u);
  young.adapter.catch_up(std::vector<RingPosition>{{writer.who, 4}});
  EXPECT_EQ(young.adapter.behind(positions), 3u);
  young.drain();
  EXPECT_EQ(young.adapter.behind(positions), 0u) << "of a ring that is unknown nothing can be read";
  EXPECT_EQ(young.adapter.behind(std::vector<RingPosition>{{writer.who, 2}}), 0u);
}

TEST(CatchUp, ToARingThatIsUnknownOrEndsEarlierDoesNotWait) {
  TestWorker young(1), writer(2);
  join_both(young, writer);
  (void)writer.emit("4x");
  young.adapter.catch_up(std::vector<RingPosition>{{{3, 3, 99}, 5}, {writer.who, 1000}});
  EXPECT_THAT(young.story, ElementsAre("4x"));
}

TEST(Replay, IsOfWhatWasReadOrPublishedSinceItIsRetained) {
  TestWorker young(1), writer(2);
  join_both(young, writer);
  (void)writer.emit("4before");
  (void)young.emit("4own before");
  young.drain();
  young.adapter.retain(1 << 20);
  (void)writer.emit("4one");
  (void)writer.emit("4two");
  young.drain();
  (void)young.emit("4own");
  EXPECT_THAT(replayed(young, {{writer.who, 1}, {young.who, 1}}), ElementsAre("4one", "4two", "4own"));
  EXPECT_THAT(replayed(young, {{writer.who, 2}, {young.who, 1}}), ElementsAre("4two", "4own"));
  young.adapter.retain(1);  // has begun already
  EXPECT_THAT(replayed(young, {{writer.who, 3}, {young.who, 1}}), ElementsAre("4own"));
  young.adapter.stop_retaining();
  EXPECT_THAT(replayed(young, {}), IsEmpty());
}

TEST(Replay, TellsThatSomeIsKeptNoMore) {
  TestWorker young(1), writer(2);
  join_both(young, writer);
  young.adapter.retain(1000);
  for (int i = 0; i < 100; ++i) (void)writer.emit("4x");
  young.drain();
  EXPECT_LT(replayed(young, {}, false).size(), 100u);
  EXPECT_THAT(replayed(young, {{writer.who, 100}}), IsEmpty());
}

/// Sessions move from an old worker to a young one, and sometimes come back, while four workers publish: the
/// two, one of another slot, and one that dies on the way. What is on its way is a vector of positions and a
/// log. Each broadcast is in each log once, and those of one writer in their order.
class Interleaving {
 public:
  Interleaving(std::uint32_t seed, std::size_t ring_bytes)
      : random_(seed),
        old_(0, ring_bytes),
        young_(1, ring_bytes),
        other_(2, ring_bytes),
        mortal_(std::make_unique<TestWorker>(3, ring_bytes)) {
    TestWorker* const all[] = {&old_, &young_, &other_, mortal_.get()};
    for (TestWorker* one : all)
      for (TestWorker* another : all)
        if (one != another) one->join(*another);
    young_.adapter.retain(1 << 20);
    old_.adapter.retain(1 << 20);
    for (auto& session : sessions_) session.at = &old_;
  }

  void run() {
    for (int steps = 0; steps < 400; ++steps) step(random_() % 14);
    for (int turns = 0; turns < 400; ++turns) {
      for (TestWorker* worker : living()) {
        worker->adapter.flush({});
        read(*worker);
      }
      while (!on_their_way_.empty()) arrive(young_);
    }
    for (const Session& session : sessions_) {
      ASSERT_NE(session.at, nullptr);
      std::map<char, int> next;
      for (const std::string& text : session.log)
        ASSERT_EQ(text.substr(0, text.find(':')), name(text[1], next[text[1]]++));
      for (const auto& [writer, published] : published_) ASSERT_EQ(next[writer], published) << writer;
    }
    ASSERT_GT(moves_, 5);
  }
  [[nodiscard]] int deferrals() const { return deferrals_; }

 private:
  struct Session {
    TestWorker* at = nullptr;  ///< null: on its way
    std::vector<std::string> log;
  };
  struct Batch {
    std::vector<RingPosition> positions;
    std::vector<Session*> sessions;
  };

  static std::string name(char writer, int number) {
    return {std::string("4") + writer + std::to_string(number)};
  }
  std::vector<TestWorker*> living() {
    std::vector<TestWorker*> workers{&old_, &young_, &other_};
    if (mortal_ != nullptr) workers.push_back(mortal_.get());
    return workers;
  }

  void step(std::uint32_t which) {
    TestWorker& reader = which % 2 == 0 ? old_ : young_;
    switch (which) {
      case 0:
      case 1:
      case 2:
      case 3:
        return read(reader);
      case 4:
        return read(other_);
      case 5:
      case 6:
      case 7:
      case 8: {
        const auto workers = living();
        return publish(*workers[random_() % workers.size()]);
      }
      case 9:
        for (TestWorker* worker : living()) worker->adapter.flush({});
        return;
      case 10:
        return depart();
      case 11:
        return arrive(young_);
      case 12:
        return arrive(random_() % 4 == 0 ? old_ : young_);
      default:
        return die();
    }
  }
  void publish(TestWorker& worker) {
    if (worker.adapter.deferred()) return;  // or it may be lost
    const char writer = static_cast<char>('a' + worker.who.slot);
    const std::string text = name(writer, published_[writer]++) + ":" + std::string(random_() % 1200, '.');
    give(worker, {text});
    const EmitResult result = worker.emit(text);
    ASSERT_NE(result, EmitResult::Lost);
    if (result == EmitResult::Deferred) ++deferrals_;
  }
  void read(TestWorker& worker) {
    (void)worker.adapter.poll(test::plenty());
    give(worker, std::exchange(worker.story, {}));
  }
  void give(const TestWorker& worker, const std::vector<std::string>& texts) {
    for (Session& session : sessions_)
      if (session.at == &worker) session.log.insert(session.log.end(), texts.begin(), texts.end());
  }
  void depart() {
    if (old_.adapter.deferred()) return;
    Batch batch;
    for (Session& session : sessions_) {
      if (session.at != &old_ || random_() % 2 == 0) continue;
      session.at = nullptr;
      batch.sessions.push_back(&session);
      ++moves_;
    }
    batch.positions = old_.adapter.positions();
    on_their_way_.push_back(std::move(batch));
  }
  void arrive(TestWorker& worker) {
    if (on_their_way_.empty()) return;
    const Batch batch = std::move(on_their_way_.front());
    on_their_way_.pop_front();
    worker.adapter.catch_up(batch.positions);
    give(worker, std::exchange(worker.story, {}));
    for (Session* session : batch.sessions) {
      for (const std::string& text : replayed(worker, batch.positions)) session->log.push_back(text);
      session->at = &worker;
    }
    // Back in the old place it may leave again.
  }
  /// The others hear of it one after the other.
  void die() {
    if (mortal_ != nullptr) {
      if (mortal_->adapter.deferred() || random_() % 8 != 0) return;
      dead_ = mortal_->who;
      mortal_.reset();
    }
    TestWorker* const mourners[] = {&old_, &young_, &other_};
    if (mourners_ < 3) mourners[mourners_++]->adapter.leave(dead_);
  }

  std::mt19937 random_;
  TestWorker old_, young_, other_;
  std::unique_ptr<TestWorker> mortal_;
  ipc::Incarnation dead_;
  int mourners_ = 0;
  int moves_ = 0;
  int deferrals_ = 0;
  std::array<Session, 8> sessions_;
  std::deque<Batch> on_their_way_;
  std::map<char, int> published_;
};

TEST(SessionsOnTheirWay, GetEachBroadcastOnceAndInOrder) {
  for (std::uint32_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Interleaving(seed, 1 << 16).run();
    if (testing::Test::HasFailure()) return;
  }
}

TEST(SessionsOnTheirWay, GetEachBroadcastOnceAndInOrderAlsoWhenRingsAreFull) {
  int deferrals = 0;
  for (std::uint32_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Interleaving interleaving(seed, 4096);
    interleaving.run();
    if (testing::Test::HasFailure()) return;
    deferrals += interleaving.deferrals();
  }
  EXPECT_GT(deferrals, 0);
}

}  // namespace
}  // namespace limpet::adapter
