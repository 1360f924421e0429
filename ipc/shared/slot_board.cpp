#include "ipc/shared/slot_board.h"

#include <array>
#include <atomic>
#include <new>
#include <utility>

#include "base/check.h"
#include "ipc/shared/bucket_table.h"
#include "ipc/shared/mapping.h"

namespace limpet::ipc {
namespace {

constexpr std::uint64_t kMagic = 0x6472616f6270746c;  // "ltpboard" in memory
constexpr std::uint32_t kLayoutVersion = 1;

struct Entry {
  std::atomic<std::uint64_t> sessions;
  std::atomic<std::uint64_t> takes_part;
};

/// Magic, version and slots are written once, before a worker is born. There are never more slots than
/// buckets.
struct Page {
  std::uint64_t magic;
  std::uint32_t layout_version;
  std::uint16_t slots;
  std::uint16_t reserved;
  std::atomic<std::uint64_t> edition;
  std::array<Entry, kBuckets> entries;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && sizeof(Entry) == 16);

const char* fault(const Page& page) {
  if (page.magic != kMagic) return "not a slot board";
  if (page.layout_version != kLayoutVersion) return "a slot board of another layout";
  return page.slots == 0 || page.slots > kBuckets ? "a slot board of no possible number of slots" : nullptr;
}

}  // namespace

struct SlotBoard::State {
  Mapping memory;
  const Page* page;
  Page* writable;  // nullptr in a worker

  [[nodiscard]] const Entry& entry(std::uint16_t slot) const {
    CHECK(slot < page->slots, std::to_string(slot) + " names no slot");
    return page->entries[slot];
  }
  [[nodiscard]] Entry& own_entry(std::uint16_t slot) const {
    CHECK(writable != nullptr, "S1: only the supervisor writes the slot board");
    CHECK(slot < page->slots, std::to_string(slot) + " names no slot");
    return writable->entries[slot];
  }
};

SlotBoard SlotBoard::create(std::uint16_t slots) {
  CHECK(slots >= 1 && slots <= kBuckets, std::to_string(slots) + " slots");
  Mapping memory = Mapping::create("limpet-slots", sizeof(Page));
  auto* page = new (memory.writable()) Page{.magic = kMagic,
                                            .layout_version = kLayoutVersion,
                                            .slots = slots,
                                            .reserved = 0,
                                            .edition = 0,
                                            .entries = {}};
  for (std::uint16_t slot = 0; slot < slots; ++slot) page->entries[slot].takes_part.store(1);
  SlotBoard board;
  board.state_ = std::make_unique<State>(State{.memory = std::move(memory), .page = page, .writable = page});
  return board;
}

std::optional<SlotBoard> SlotBoard::map(const base::Descriptor& memory, std::string* why) {
  std::optional<Mapping> mapped = Mapping::map_read_only(memory, sizeof(Page), why);
  if (!mapped) return std::nullopt;
  const auto* page = reinterpret_cast<const Page*>(mapped->data());
  if (const char* reason = fault(*page)) {
    *why = reason;
    return std::nullopt;
  }
  SlotBoard board;
  board.state_ =
      std::make_unique<State>(State{.memory = std::move(*mapped), .page = page, .writable = nullptr});
  return board;
}

SlotBoard::SlotBoard(SlotBoard&&) noexcept = default;
SlotBoard& SlotBoard::operator=(SlotBoard&&) noexcept = default;
SlotBoard::~SlotBoard() = default;

int SlotBoard::descriptor() const noexcept { return state_->memory.descriptor(); }

std::uint16_t SlotBoard::slots() const noexcept { return state_->page->slots; }

bool SlotBoard::takes_part(std::uint16_t slot) const noexcept {
  return state_->entry(slot).takes_part.load(std::memory_order_relaxed) != 0;
}

std::uint64_t SlotBoard::sessions(std::uint16_t slot) const noexcept {
  return state_->entry(slot).sessions.load(std::memory_order_relaxed);
}

std::uint64_t SlotBoard::edition() const noexcept {
  return state_->page->edition.load(std::memory_order_acquire);
}

void SlotBoard::set_takes_part(std::uint16_t slot, bool takes_part) noexcept {
  state_->own_entry(slot).takes_part.store(takes_part ? 1 : 0, std::memory_order_relaxed);
}

void SlotBoard::set_sessions(std::uint16_t slot, std::uint64_t sessions) noexcept {
  state_->own_entry(slot).sessions.store(sessions, std::memory_order_relaxed);
}

void SlotBoard::publish() noexcept {
  CHECK(state_->writable != nullptr, "S1: only the supervisor writes the slot board");
  state_->writable->edition.store(edition() + 1, std::memory_order_release);
}

}  // namespace limpet::ipc
