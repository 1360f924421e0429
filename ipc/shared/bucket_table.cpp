#include "ipc/shared/bucket_table.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "ipc/shared/mapping.h"

namespace limpet::ipc {
namespace {

constexpr std::uint64_t kMagic = 0x736b63756274706c;  // "lptbucks" in memory
constexpr std::uint32_t kLayoutVersion = 1;

/// All but `owners` is written once, before a worker is born.
struct Page {
  std::uint64_t magic;
  std::uint32_t layout_version;
  std::uint16_t slots;
  std::uint16_t reserved;
  std::array<std::atomic<std::uint16_t>, kBuckets> owners;
};
static_assert(std::atomic<std::uint16_t>::is_always_lock_free && sizeof(std::atomic<std::uint16_t>) == 2);

/// The finalizer of splitmix64 (Steele, Lea, Flood 2014): every bit of the pair moves half of the weight's.
std::uint64_t weight(std::uint16_t bucket, std::uint16_t slot) {
  std::uint64_t mixed = ((std::uint64_t{bucket} << 16) | slot) + 1;
  mixed *= 0x9e3779b97f4a7c15;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return mixed ^ (mixed >> 31);
}

/// Rendezvous: each bucket goes to the slot that weighs most for it, so another slot takes only what it wins.
std::uint16_t heaviest_slot(std::uint16_t bucket, std::uint16_t slots) {
  std::uint16_t best = 0;
  for (std::uint16_t slot = 1; slot < slots; ++slot)
    if (weight(bucket, slot) > weight(bucket, best)) best = slot;
  return best;
}

/// With hundreds of slots some win nothing, and could give no session a sid: they get one bucket of the
/// largest.
void give_each_slot_a_bucket(std::vector<std::uint16_t>& owners, std::uint16_t slots) {
  std::vector<std::uint16_t> counts(slots, 0);
  for (const std::uint16_t owner : owners) ++counts[owner];
  for (std::uint16_t slot = 0; slot < slots; ++slot) {
    if (counts[slot] > 0) continue;
    const auto largest = static_cast<std::uint16_t>(std::ranges::max_element(counts) - counts.begin());
    *std::ranges::find(owners, largest) = slot;
    --counts[largest];
    ++counts[slot];
  }
}

/// nullptr, or what is wrong with the page.
const char* fault(const Page& page) {
  if (page.magic != kMagic) return "not a bucket table";
  if (page.layout_version != kLayoutVersion) return "a bucket table of another layout";
  if (page.slots == 0 || page.slots > kBuckets) return "a bucket table of no possible number of slots";
  const auto sits = [&](const auto& owner) { return owner.load(std::memory_order_relaxed) < page.slots; };
  return std::ranges::all_of(page.owners, sits) ? nullptr : "a bucket table that names a slot there is not";
}

}  // namespace

std::vector<std::uint16_t> deal_buckets(std::uint16_t slots) {
  std::vector<std::uint16_t> owners(kBuckets);
  for (std::uint16_t bucket = 0; bucket < kBuckets; ++bucket) owners[bucket] = heaviest_slot(bucket, slots);
  give_each_slot_a_bucket(owners, slots);
  return owners;
}

struct BucketTable::State {
  Mapping memory;
  const Page* page;
  Page* writable;  // nullptr in a worker
};

BucketTable BucketTable::create(std::uint16_t slots) {
  CHECK(slots >= 1 && slots <= kBuckets, std::to_string(slots) + " slots");
  Mapping memory = Mapping::create("limpet-buckets", sizeof(Page));
  auto* page = new (memory.writable())
      Page{.magic = kMagic, .layout_version = kLayoutVersion, .slots = slots, .reserved = 0, .owners = {}};
  const std::vector<std::uint16_t> owners = deal_buckets(slots);
  for (std::uint16_t bucket = 0; bucket < kBuckets; ++bucket)
    page->owners[bucket].store(owners[bucket], std::memory_order_relaxed);
  BucketTable table;
  table.state_ = std::make_unique<State>(State{.memory = std::move(memory), .page = page, .writable = page});
  return table;
}

std::optional<BucketTable> BucketTable::map(const base::Descriptor& memory, std::string* why) {
  std::optional<Mapping> mapped = Mapping::map_read_only(memory, sizeof(Page), why);
  if (!mapped) return std::nullopt;
  const auto* page = reinterpret_cast<const Page*>(mapped->data());
  if (const char* reason = fault(*page)) {
    *why = reason;
    return std::nullopt;
  }
  BucketTable table;
  table.state_ =
      std::make_unique<State>(State{.memory = std::move(*mapped), .page = page, .writable = nullptr});
  return table;
}

BucketTable::BucketTable(BucketTable&&) noexcept = default;
BucketTable& BucketTable::operator=(BucketTable&&) noexcept = default;
BucketTable::~BucketTable() = default;

int BucketTable::descriptor() const noexcept { return state_->memory.descriptor(); }

std::uint16_t BucketTable::slots() const noexcept { return state_->page->slots; }

std::uint16_t BucketTable::owner(std::uint16_t bucket) const noexcept {
  CHECK(bucket < kBuckets, std::to_string(bucket) + " names no bucket");
  return state_->page->owners[bucket].load(std::memory_order_relaxed);
}

void BucketTable::assign(std::uint16_t bucket, std::uint16_t slot) noexcept {
  CHECK(state_->writable != nullptr, "B1: only the supervisor writes the bucket table");
  CHECK(bucket < kBuckets && slot < slots(),
        "bucket " + std::to_string(bucket) + " to slot " + std::to_string(slot));
  state_->writable->owners[bucket].store(slot, std::memory_order_relaxed);
}

}  // namespace limpet::ipc
