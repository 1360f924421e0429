#include "ipc/shared/counters.h"

#include <algorithm>
#include <new>
#include <utility>

#include "ipc/shared/counter_layout.h"
#include "ipc/shared/mapping.h"

namespace limpet::ipc {
namespace {

using Word = std::atomic<std::uint64_t>;

/// More than any build will have; keeps a hostile count from overflowing the sum of sizes.
constexpr std::uint32_t kCountLimit = 4096;

const CounterHeader& header_of(const Mapping& memory) {
  return *reinterpret_cast<const CounterHeader*>(memory.data());
}

const Word* words_of(const Mapping& memory) {
  return reinterpret_cast<const Word*>(memory.data() + sizeof(CounterHeader));
}

/// nullptr, or what is wrong with a block that should be of `who`. `count` was read once: the writer could
/// change it.
const char* fault(const Mapping& memory, std::uint32_t count, const Incarnation& who) {
  const CounterHeader& header = header_of(memory);
  if (header.magic != kCounterMagic) return "not a counter block";
  if (header.layout_version != kCounterLayoutVersion) return "a counter block of another layout";
  if (count > kCountLimit || memory.size() < sizeof(CounterHeader) + count * sizeof(Word))
    return "a counter block shorter than its counters";
  const Incarnation writer{.slot = header.slot, .lane = header.lane, .generation = header.generation};
  return writer == who ? nullptr : "the counter block of another worker";
}

}  // namespace

struct CounterBlock::State {
  Mapping memory;
  CounterHeader* header;
};

CounterBlock CounterBlock::create(const Incarnation& who) {
  Mapping memory = Mapping::create("limpet-counters", sizeof(CounterHeader) + kCounterCount * sizeof(Word));
  auto* header = new (memory.writable()) CounterHeader{.magic = kCounterMagic,
                                                       .layout_version = kCounterLayoutVersion,
                                                       .count = kCounterCount,
                                                       .slot = who.slot,
                                                       .lane = who.lane,
                                                       .reserved = 0,
                                                       .generation = who.generation,
                                                       .to_the_next_line = {},
                                                       .beat_ns = 0,
                                                       .to_the_counters = {}};
  CounterBlock block;
  block.words_ = new (memory.writable() + sizeof(CounterHeader)) Word[kCounterCount]{};
  block.state_ = std::make_unique<State>(State{.memory = std::move(memory), .header = header});
  // A worker that hangs before its first turn is as late as one that hangs after it.
  block.beat(std::chrono::steady_clock::now());
  return block;
}

CounterBlock::CounterBlock(CounterBlock&&) noexcept = default;
CounterBlock& CounterBlock::operator=(CounterBlock&&) noexcept = default;
CounterBlock::~CounterBlock() = default;

int CounterBlock::descriptor() const noexcept { return state_->memory.descriptor(); }

void CounterBlock::beat(std::chrono::steady_clock::time_point now) noexcept {
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  state_->header->beat_ns.store(static_cast<std::uint64_t>(ns), std::memory_order_relaxed);
}

struct CounterView::State {
  Mapping memory;
  std::uint32_t count;
};

std::optional<CounterView> CounterView::map(const base::Descriptor& memory, const Incarnation& who,
                                            std::string* why) {
  std::optional<Mapping> mapped = Mapping::map_read_only(memory, sizeof(CounterHeader), why);
  if (!mapped) return std::nullopt;
  const std::uint32_t count = std::atomic_ref(const_cast<std::uint32_t&>(header_of(*mapped).count)).load();
  if (const char* reason = fault(*mapped, count, who)) {
    *why = reason;
    return std::nullopt;
  }
  CounterView view;
  view.state_ = std::make_unique<State>(State{.memory = std::move(*mapped), .count = count});
  return view;
}

CounterView::CounterView(CounterView&&) noexcept = default;
CounterView& CounterView::operator=(CounterView&&) noexcept = default;
CounterView::~CounterView() = default;

std::uint64_t CounterView::get(Counter counter) const noexcept {
  const auto number = static_cast<std::uint32_t>(counter);
  return number < state_->count ? words_of(state_->memory)[number].load(std::memory_order_relaxed) : 0;
}

std::chrono::steady_clock::time_point CounterView::last_beat() const noexcept {
  // What the worker wrote is unchecked: a wild value shall not overflow the supervisor's clock.
  const std::uint64_t ns = header_of(state_->memory).beat_ns.load(std::memory_order_relaxed);
  const auto limit = static_cast<std::uint64_t>(std::chrono::nanoseconds::max().count());
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(std::min(ns, limit)));
}

}  // namespace limpet::ipc
