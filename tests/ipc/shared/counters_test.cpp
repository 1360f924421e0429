#include "ipc/shared/counters.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <set>

#include "ipc/shared/counter_layout.h"
#include "ipc/shared/mapping.h"

namespace limpet::ipc {
namespace {

constexpr Incarnation kWho{.slot = 3, .lane = 5, .generation = 77};

base::Descriptor sent(int descriptor) { return base::Descriptor(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)); }

std::optional<CounterView> view_of(const CounterBlock& block) {
  std::string why;
  auto view = CounterView::map(sent(block.descriptor()), kWho, &why);
  EXPECT_TRUE(view) << why;
  return view;
}

std::string refusal(int descriptor, const Incarnation& who = kWho) {
  std::string why;
  EXPECT_FALSE(CounterView::map(sent(descriptor), who, &why));
  return why;
}

/// A block as another build might write it, counter i being i + 1.
Mapping block_of_another_build(std::uint32_t says, std::uint32_t has,
                               std::uint32_t layout = kCounterLayoutVersion,
                               std::uint64_t magic = kCounterMagic) {
  Mapping memory = Mapping::create("test-counters", sizeof(CounterHeader) + has * 8);
  new (memory.writable()) CounterHeader{.magic = magic,
                                        .layout_version = layout,
                                        .count = says,
                                        .slot = kWho.slot,
                                        .lane = kWho.lane,
                                        .reserved = 0,
                                        .generation = kWho.generation,
                                        .to_the_next_line = {},
                                        .beat_ns = ~std::uint64_t{0},
                                        .to_the_counters = {}};
  for (std::uint64_t i = 0; i < has; ++i) {
    const std::uint64_t value = i + 1;
    std::memcpy(memory.writable() + sizeof(CounterHeader) + i * 8, &value, 8);
  }
  return memory;
}

TEST(Counters, BeginWithZero) {
  const CounterBlock block = CounterBlock::create(kWho);
  const auto view = view_of(block);
  for (std::size_t i = 0; i < kCounterCount; ++i) EXPECT_EQ(view->get(static_cast<Counter>(i)), 0u);
}

TEST(Counters, AreSeenByTheSupervisorAsTheyMove) {
  CounterBlock block = CounterBlock::create(kWho);
  const auto view = view_of(block);
  block.add(Counter::BytesIn, 40);
  block.add(Counter::BytesIn, 2);
  block.add(Counter::HttpRequests);
  block.set(Counter::SessionsOpen, 9);
  EXPECT_EQ(block.get(Counter::BytesIn), 42u);
  EXPECT_EQ(view->get(Counter::BytesIn), 42u);
  EXPECT_EQ(view->get(Counter::HttpRequests), 1u);
  EXPECT_EQ(view->get(Counter::SessionsOpen), 9u);
  block.set(Counter::SessionsOpen, 0);
  block.add(Counter::LoopTurns, 5);  // the last row of the table
  EXPECT_EQ(view->get(Counter::SessionsOpen), 0u);
  EXPECT_EQ(view->get(Counter::LoopTurns), 5u);
  EXPECT_EQ(view->get(Counter::BytesOut), 0u);
}

TEST(Counters, OutliveTheirWriter) {
  std::optional<CounterBlock> block = CounterBlock::create(kWho);
  block->add(Counter::PacketsIn, 7);
  const auto view = view_of(*block);
  block.reset();
  EXPECT_EQ(view->get(Counter::PacketsIn), 7u);
}

TEST(Counters, GoOnWhenTheBlockMoves) {
  CounterBlock block = CounterBlock::create(kWho);
  const auto view = view_of(block);
  CounterBlock moved = std::move(block);
  moved.add(Counter::PacketsIn);
  EXPECT_EQ(view->get(Counter::PacketsIn), 1u);
}

TEST(Counters, TheBeatIsTheTurnsTime) {
  const auto before = std::chrono::steady_clock::now();
  CounterBlock block = CounterBlock::create(kWho);
  const auto view = view_of(block);
  EXPECT_GE(view->last_beat(), before);
  const auto turn = before + std::chrono::hours(1) + std::chrono::nanoseconds(1);
  block.beat(turn);
  EXPECT_EQ(view->last_beat(), turn);
}

TEST(Counters, ABeatThatNoClockShowsDoesNotOverflowTheSupervisors) {
  const Mapping memory = block_of_another_build(1, 1);
  std::string why;
  const auto view = CounterView::map(sent(memory.descriptor()), kWho, &why);
  ASSERT_TRUE(view) << why;
  EXPECT_LT(std::chrono::steady_clock::now() - view->last_beat(), std::chrono::seconds(0));
}

TEST(Counters, NobodyElseCanWriteThem) {
  const CounterBlock block = CounterBlock::create(kWho);
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, block.descriptor(), 0), MAP_FAILED);
  EXPECT_EQ(::pwrite(block.descriptor(), "x", 1, 0), -1);
}

TEST(Counters, OfAnOlderBuildWithFewerAreReadAndTheRestIsZero) {
  const Mapping memory = block_of_another_build(2, 2);
  std::string why;
  const auto view = CounterView::map(sent(memory.descriptor()), kWho, &why);
  ASSERT_TRUE(view) << why;
  EXPECT_EQ(view->get(static_cast<Counter>(0)), 1u);
  EXPECT_EQ(view->get(static_cast<Counter>(1)), 2u);
  EXPECT_EQ(view->get(static_cast<Counter>(2)), 0u);
  EXPECT_EQ(view->get(Counter::LoopTurns), 0u);
}

TEST(Counters, OfANewerBuildWithMoreAreRead) {
  const Mapping memory = block_of_another_build(kCounterCount + 1000, kCounterCount + 1000);
  std::string why;
  const auto view = CounterView::map(sent(memory.descriptor()), kWho, &why);
  ASSERT_TRUE(view) << why;
  EXPECT_EQ(view->get(static_cast<Counter>(kCounterCount - 1)), kCounterCount);
}

TEST(Counters, OfAnotherWorkerAreRefused) {
  const CounterBlock block = CounterBlock::create(kWho);
  EXPECT_EQ(refusal(block.descriptor(), {.slot = 3, .lane = 5, .generation = 78}),
            "the counter block of another worker");
  EXPECT_EQ(refusal(block.descriptor(), {.slot = 3, .lane = 4, .generation = 77}),
            "the counter block of another worker");
  EXPECT_EQ(refusal(block.descriptor(), {.slot = 2, .lane = 5, .generation = 77}),
            "the counter block of another worker");
}

TEST(Counters, ThatAreNoneAreRefused) {
  EXPECT_EQ(refusal(block_of_another_build(1, 1, kCounterLayoutVersion, 1).descriptor()),
            "not a counter block");
  EXPECT_EQ(refusal(block_of_another_build(1, 1, kCounterLayoutVersion + 1).descriptor()),
            "a counter block of another layout");
}

TEST(Counters, ABlockThatEndsBeforeItsCountersIsRefused) {
  EXPECT_EQ(refusal(block_of_another_build(4096, 1).descriptor()),
            "a counter block shorter than its counters");
  EXPECT_EQ(refusal(block_of_another_build(0xffff'ffff, 1).descriptor()),
            "a counter block shorter than its counters");
}

TEST(Counters, MemoryThatItsWriterCouldShrinkIsRefused) {
  const base::Descriptor loose(::memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(loose.get(), 4096), 0);
  EXPECT_NE(refusal(loose.get()), "");
}

TEST(Counters, EachHasANameAUnitAndAHelpOfItsOwn) {
  std::set<std::string_view> names;
  for (const CounterRow& row : kCounters) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(row.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos) << row.name;
    EXPECT_FALSE(row.unit.empty()) << row.name;
    EXPECT_FALSE(row.help.empty()) << row.name;
  }
}

}  // namespace
}  // namespace limpet::ipc
