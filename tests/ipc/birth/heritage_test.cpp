#include "ipc/birth/heritage.h"

#include <gtest/gtest.h>

#include <limits>

#include "ipc/birth/incarnation.h"

namespace limpet::ipc {
namespace {

std::string refusal(std::string_view text) {
  std::string why;
  EXPECT_FALSE(heritage_from_environment(text, &why)) << text;
  return why;
}

TEST(Heritage, ReadsAsItsHeaderSays) {
  const Heritage heritage{.slot = 0, .slots = 4, .lane = 0, .lanes = 9, .listeners = 1, .generation = 1};
  EXPECT_EQ(to_environment(heritage), "version=1 slot=0 slots=4 lane=0 lanes=9 listeners=1 generation=1");
}

TEST(Heritage, IsTheSameForGiverAndTaker) {
  const Heritage lowest{};
  const Heritage highest{.slot = 4031,
                         .slots = 4096,
                         .lane = 8192,
                         .lanes = 8193,
                         .listeners = 65'535,
                         .generation = std::numeric_limits<std::uint64_t>::max()};
  for (const Heritage& given : {lowest, highest}) {
    std::string why;
    EXPECT_EQ(heritage_from_environment(to_environment(given), &why), given) << why;
  }
}

TEST(Heritage, OfABridgeHasNoListeners) {
  const Heritage given{.slot = base::kFirstBridge + 1, .slots = 4, .lane = 8, .lanes = 9, .listeners = 0};
  std::string why;
  EXPECT_EQ(heritage_from_environment(to_environment(given), &why), given) << why;
  EXPECT_EQ(refusal("version=1 slot=4032 slots=4 lane=0 lanes=9 listeners=1 generation=1"),
            "listeners: a bridge has none");
  EXPECT_EQ(refusal("version=1 slot=4031 slots=4 lane=0 lanes=9 listeners=0 generation=1"),
            "slot: not below slots");
}

TEST(Heritage, NamesTheDescriptorsBehindTheListeners) {
  const Heritage heritage{.slots = 4, .lanes = 9, .listeners = 2};
  EXPECT_EQ(heritage.first_inbox_sender(), 18);
  EXPECT_EQ(heritage.inbox_sender(3), 21);
}

TEST(Heritage, OfAnotherVersionIsRefusedWhateverElseItSays) {
  EXPECT_EQ(refusal("version=2 berth=9"), "version 2, this build wants 1");
  EXPECT_EQ(refusal("version=0 slot=0 slots=4 lane=0 lanes=9 listeners=1 generation=1"),
            "version 0, this build wants 1");
}

TEST(Heritage, ThatLacksSomethingIsRefused) {
  EXPECT_EQ(refusal(""), "wants version=NUMBER, got \"\"");
  EXPECT_EQ(refusal("version=1"), "wants slot=NUMBER, got \"\"");
  EXPECT_EQ(refusal("version=1 slot=0 slots=4 lane=0 lanes=9 listeners=1"),
            "wants generation=NUMBER, got \"\"");
}

TEST(Heritage, InAnotherOrderIsRefused) {
  EXPECT_EQ(refusal("version=1 slots=4 slot=0 lane=0 lanes=9 listeners=1 generation=1"),
            "wants slot=NUMBER, got \"slots=4\"");
}

TEST(Heritage, WithMoreThanBelongsThereIsRefused) {
  EXPECT_EQ(refusal("version=1 slot=0 slots=4 lane=0 lanes=9 listeners=1 generation=1 slot=1"),
            "unexpected \"slot=1\" at the end");
  EXPECT_EQ(refusal("version=1 slot=0 slots=4 lane=0 lanes=9 listeners=1 generation=1 "),
            "ends with a blank");
  EXPECT_EQ(refusal("version=1  slot=0 slots=4 lane=0 lanes=9 listeners=1 generation=1"),
            "wants slot=NUMBER, got \"\"");
}

TEST(Heritage, WhoseNumbersAreNoneIsRefused) {
  for (const std::string_view word :
       {"", "x", "1x", "-1", "+1", "0x1", "01", "65536", "99999999999999999999"}) {
    const std::string text =
        "version=1 slot=" + std::string(word) + " slots=4 lane=0 lanes=9 listeners=1 generation=1";
    EXPECT_EQ(refusal(text), "slot: \"" + std::string(word) + "\" is not a number from 0 to 65535");
  }
}

TEST(Heritage, WhoseNumbersContradictEachOtherIsRefused) {
  EXPECT_EQ(refusal("version=1 slot=0 slots=0 lane=0 lanes=1 listeners=1 generation=1"),
            "slots: not from 1 to 4096");
  EXPECT_EQ(refusal("version=1 slot=0 slots=4097 lane=0 lanes=8195 listeners=1 generation=1"),
            "slots: not from 1 to 4096");
  EXPECT_EQ(refusal("version=1 slot=4 slots=4 lane=0 lanes=9 listeners=1 generation=1"),
            "slot: not below slots");
  EXPECT_EQ(refusal("version=1 slot=0 slots=4 lane=0 lanes=8 listeners=1 generation=1"),
            "lanes: not 2 × slots + 1");
  EXPECT_EQ(refusal("version=1 slot=0 slots=4 lane=9 lanes=9 listeners=1 generation=1"),
            "lane: not below lanes");
  EXPECT_EQ(refusal("version=1 slot=0 slots=4 lane=0 lanes=9 listeners=1 generation=0"),
            "generation: begins with 1");
}

}  // namespace
}  // namespace limpet::ipc
