#include "worker/adapter/retained.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "worker/websocket/frame.h"

namespace limpet::adapter {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using websocket::make_frame;
using websocket::Opcode;
using Texts = std::vector<std::string>;

constexpr ipc::Incarnation kOne{0, 1, 11};
constexpr ipc::Incarnation kTwo{1, 2, 22};
constexpr ipc::Incarnation kOneAgain{0, 1, 33};  // slot and lane of the first, another life

void keep(Retained& retained, const ipc::Incarnation& writer, std::uint64_t sequence, std::string_view text) {
  const std::vector<loop::Buffer> frames{make_frame(Opcode::Text, text)};
  retained.keep(writer, sequence,
                {.nsp = "/", .rooms = {}, .except = {}, .is_volatile = false, .frames = frames});
}

struct Replayed {
  Texts texts;
  bool whole;
};
Replayed replay(const Retained& retained, const std::vector<RingPosition>& given) {
  Replayed replayed;
  replayed.whole = retained.replay(given, [&](const socketio::Broadcast& broadcast) {
    replayed.texts.emplace_back(broadcast.frames[0].payload());
  });
  return replayed;
}

TEST(Retained, ReplaysWhatLiesBeyondEachWritersPositionInTheOrderOfItsComing) {
  Retained retained(1 << 20);
  keep(retained, kOne, 1, "a1");
  keep(retained, kTwo, 7, "b7");
  keep(retained, kOne, 2, "a2");
  keep(retained, kTwo, 8, "b8");
  keep(retained, kOne, 3, "a3");
  EXPECT_THAT(replay(retained, {{kOne, 1}, {kTwo, 7}}).texts, ElementsAre("a2", "b8", "a3"));
  EXPECT_THAT(replay(retained, {{kTwo, 7}, {kOne, 0}}).texts, ElementsAre("a1", "a2", "b8", "a3"));
  EXPECT_THAT(replay(retained, {{kOne, 3}, {kTwo, 8}}).texts, IsEmpty());
  EXPECT_THAT(replay(retained, {{kOne, 99}, {kTwo, 99}}).texts, IsEmpty());
  EXPECT_TRUE(replay(retained, {{kOne, 99}, {kTwo, 99}}).whole);
}

TEST(Retained, OfAWriterThatTheGiverDidNotKnowEverythingIsNews) {
  Retained retained(1 << 20);
  keep(retained, kOne, 5, "old life");
  keep(retained, kOneAgain, 1, "new life");
  EXPECT_THAT(replay(retained, {{kOne, 5}}).texts, ElementsAre("new life"));
  EXPECT_THAT(replay(retained, {}).texts, ElementsAre("old life", "new life"));
}

TEST(Retained, KeepsAllThatABroadcastSays) {
  Retained retained(1 << 20);
  {
    const std::string nsp = "/admin", room = "a room", other = "another", except = "not this one";
    const std::vector<std::string_view> rooms{room, other};
    const std::vector<std::string_view> excepts{except};
    const std::vector<loop::Buffer> frames{make_frame(Opcode::Text, "451-[]"),
                                           make_frame(Opcode::Binary, "x")};
    retained.keep(kOne, 1,
                  {.nsp = nsp, .rooms = rooms, .except = excepts, .is_volatile = true, .frames = frames});
  }
  int calls = 0;
  EXPECT_TRUE(retained.replay({}, [&](const socketio::Broadcast& broadcast) {
    ++calls;
    EXPECT_EQ(broadcast.nsp, "/admin");
    EXPECT_THAT(broadcast.rooms, ElementsAre("a room", "another"));
    EXPECT_THAT(broadcast.except, ElementsAre("not this one"));
    EXPECT_TRUE(broadcast.is_volatile);
    ASSERT_EQ(broadcast.frames.size(), 2u);
    EXPECT_EQ(broadcast.frames[0].payload(), "451-[]");
    EXPECT_EQ(websocket::opcode_of(broadcast.frames[1]), Opcode::Binary);
  }));
  EXPECT_EQ(calls, 1);
}

TEST(Retained, BeyondTheLimitTheOldestGoAndThatIsToldToWhomItMatters) {
  Retained retained(10'000);
  for (std::uint64_t i = 1; i <= 10; ++i) {
    keep(retained, kOne, i, "a" + std::string(3000, 'x'));
    keep(retained, kTwo, i, "b" + std::string(3000, 'x'));
  }
  // Three of these fit.
  EXPECT_EQ(replay(retained, {}).texts.size(), 3u);
  EXPECT_FALSE(replay(retained, {}).whole);
  EXPECT_TRUE(replay(retained, {{kOne, 10}, {kTwo, 10}}).whole);
  EXPECT_TRUE(replay(retained, {{kOne, 9}, {kTwo, 8}}).whole) << "what went is nothing new";
  EXPECT_FALSE(replay(retained, {{kOne, 8}, {kTwo, 8}}).whole) << "of one writer one message";
  EXPECT_FALSE(replay(retained, {{kOne, 9}, {kTwo, 7}}).whole);
  EXPECT_FALSE(replay(retained, {{kOne, 10}}).whole) << "of a writer that the giver did not know";
  EXPECT_EQ(replay(retained, {{kOne, 9}, {kTwo, 9}}).texts.size(), 2u);
}

TEST(Retained, ReplaysFromTheOldestPositionOnWhateverWentBefore) {
  std::mt19937 random(8);
  Retained retained(20'000);  // of 100 records or so
  std::map<std::uint64_t, std::uint64_t> last;
  std::vector<std::pair<RingPosition, std::string>> all;
  for (int i = 0; i < 2000; ++i) {
    const ipc::Incarnation& writer = i % 50 == 0 ? kOneAgain : (random() % 3 == 0 ? kTwo : kOne);
    all.push_back({{writer, last[writer.generation] += 1 + random() % 2}, std::to_string(i)});
    keep(retained, writer, all.back().first.sequence, all.back().second);
    std::vector<RingPosition> given;
    for (const ipc::Incarnation& each : {kOne, kTwo, kOneAgain})
      given.push_back(
          {each, last[each.generation] - std::min<std::uint64_t>(last[each.generation], random() % 20)});
    Texts expected;
    for (const auto& [position, text] : all) {
      const auto of_writer = std::ranges::find(given, position.writer, &RingPosition::writer);
      if (position.sequence > of_writer->sequence) expected.push_back(text);
    }
    const Replayed replayed = replay(retained, given);
    const auto kept = static_cast<std::ptrdiff_t>(replayed.texts.size());
    ASSERT_EQ(replayed.texts, Texts(expected.end() - kept, expected.end())) << i;
    ASSERT_EQ(replayed.whole, replayed.texts.size() == expected.size()) << i;
  }
}

TEST(Retained, OneThatIsLargerThanTheLimitIsToldAsLost) {
  Retained retained(10'000);
  keep(retained, kOne, 1, "small");
  keep(retained, kOne, 2, std::string(20'000, 'x'));
  EXPECT_THAT(replay(retained, {}).texts, IsEmpty());
  EXPECT_FALSE(replay(retained, {{kOne, 1}}).whole);
  EXPECT_TRUE(replay(retained, {{kOne, 2}}).whole);
  keep(retained, kOne, 3, "small again");
  EXPECT_THAT(replay(retained, {{kOne, 2}}).texts, ElementsAre("small again"));
}

TEST(Retained, NamesCountAsWell) {
  Retained retained(100'000);
  const std::string name(10'000, 'n');
  const std::vector<std::string_view> names(10, name);
  const std::vector<loop::Buffer> frames{make_frame(Opcode::Text, "x")};
  for (std::uint64_t i = 1; i <= 10; ++i)
    retained.keep(kOne, i,
                  {.nsp = "/", .rooms = names, .except = {}, .is_volatile = false, .frames = frames});
  EXPECT_THAT(replay(retained, {}).texts, IsEmpty());
}

}  // namespace
}  // namespace limpet::adapter
