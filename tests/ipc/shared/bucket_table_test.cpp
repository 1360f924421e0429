#include "ipc/shared/bucket_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "ipc/shared/mapping.h"

namespace limpet::ipc {
namespace {

std::vector<std::uint16_t> owners_of(const BucketTable& table) {
  std::vector<std::uint16_t> owners(kBuckets);
  for (std::uint16_t bucket = 0; bucket < kBuckets; ++bucket) owners[bucket] = table.owner(bucket);
  return owners;
}

base::Descriptor sent(int descriptor) { return base::Descriptor(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)); }

std::string refusal(const base::Descriptor& memory) {
  std::string why;
  EXPECT_FALSE(BucketTable::map(memory, &why));
  return why;
}

TEST(BucketTable, DealsEvenly) {
  for (const std::uint16_t slots : {1, 2, 3, 4, 8, 16}) {
    const auto owners = owners_of(BucketTable::create(slots));
    for (std::uint16_t slot = 0; slot < slots; ++slot) {
      const auto share = static_cast<double>(std::ranges::count(owners, slot)) * slots / kBuckets;
      EXPECT_GT(share, 0.8) << "slot " << slot << " of " << slots;
      EXPECT_LT(share, 1.2) << "slot " << slot << " of " << slots;
    }
  }
}

TEST(BucketTable, DealsTheSameEveryTime) {
  EXPECT_EQ(owners_of(BucketTable::create(7)), owners_of(BucketTable::create(7)));
}

TEST(BucketTable, AnotherSlotTakesItsShareAndNothingMovesBetweenTheOthers) {
  for (const std::uint16_t slots : {1, 2, 3, 4, 8, 16, 31}) {
    const auto before = owners_of(BucketTable::create(slots));
    const auto after = owners_of(BucketTable::create(static_cast<std::uint16_t>(slots + 1)));
    int moved = 0;
    for (std::uint16_t bucket = 0; bucket < kBuckets; ++bucket) {
      if (before[bucket] == after[bucket]) continue;
      ++moved;
      EXPECT_EQ(after[bucket], slots) << "bucket " << bucket << " moved between old slots";
    }
    const double share = static_cast<double>(moved) * (slots + 1) / kBuckets;
    EXPECT_GT(share, 0.75) << slots << " slots";
    EXPECT_LT(share, 1.25) << slots << " slots";
  }
}

TEST(BucketTable, EverySlotOwnsABucketHoweverManyThereAre) {
  for (const std::uint16_t slots : {512, 2048, 4096}) {
    const auto owners = owners_of(BucketTable::create(slots));
    for (std::uint16_t slot = 0; slot < slots; ++slot)
      ASSERT_NE(std::ranges::find(owners, slot), owners.end()) << "slot " << slot << " of " << slots;
  }
}

TEST(BucketTable, IsReadByWorkersAsTheSupervisorWritesIt) {
  BucketTable table = BucketTable::create(4);
  std::string why;
  const auto seen = BucketTable::map(sent(table.descriptor()), &why);
  ASSERT_TRUE(seen) << why;
  EXPECT_EQ(seen->slots(), 4);
  EXPECT_EQ(owners_of(*seen), owners_of(table));
  for (const std::uint16_t slot : {3, 0}) {
    table.assign(4095, slot);
    EXPECT_EQ(seen->owner(4095), slot);
  }
}

TEST(BucketTable, CannotBeWrittenByAWorker) {
  const BucketTable table = BucketTable::create(4);
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, table.descriptor(), 0), MAP_FAILED);
  EXPECT_EQ(::pwrite(table.descriptor(), "x", 1, 0), -1);
}

TEST(BucketTableDeathTest, AWorkerThatAssignsIsStopped) {
  const BucketTable table = BucketTable::create(4);
  std::string why;
  auto seen = BucketTable::map(sent(table.descriptor()), &why);
  ASSERT_TRUE(seen) << why;
  EXPECT_DEATH(seen->assign(0, 0), "only the supervisor writes");
}

TEST(BucketTableDeathTest, ASlotThatThereIsNotGetsNoBucket) {
  BucketTable table = BucketTable::create(4);
  EXPECT_DEATH(table.assign(0, 4), "bucket 0 to slot 4");
}

TEST(BucketTable, OtherMemoryIsRefused) {
  EXPECT_EQ(refusal(sent(Mapping::create("test", 16384).descriptor())), "not a bucket table");
  EXPECT_NE(refusal(sent(Mapping::create("test", 4096).descriptor())), "");
  EXPECT_NE(refusal(base::Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC))), "");
}

/// A copy of a good page with `bytes` written at `offset`.
base::Descriptor damaged_page(std::size_t offset, std::uint16_t value) {
  const BucketTable table = BucketTable::create(4);
  Mapping copy = Mapping::create("test", 8192 + 16);
  std::vector<std::byte> page(8192 + 16);
  EXPECT_EQ(::pread(table.descriptor(), page.data(), page.size(), 0), static_cast<ssize_t>(page.size()));
  std::memcpy(page.data() + offset, &value, sizeof value);
  std::memcpy(copy.writable(), page.data(), page.size());
  return sent(copy.descriptor());
}

TEST(BucketTable, APageThatContradictsItselfIsRefused) {
  EXPECT_EQ(refusal(damaged_page(0, 1)), "not a bucket table");
  EXPECT_EQ(refusal(damaged_page(8, 2)), "a bucket table of another layout");
  EXPECT_EQ(refusal(damaged_page(12, 0)), "a bucket table of no possible number of slots");
  EXPECT_EQ(refusal(damaged_page(12, 4097)), "a bucket table of no possible number of slots");
  EXPECT_EQ(refusal(damaged_page(16 + 2 * 4095, 4)), "a bucket table that names a slot there is not");
}

}  // namespace
}  // namespace limpet::ipc
