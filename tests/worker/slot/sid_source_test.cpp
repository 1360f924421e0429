#include "worker/slot/sid_source.h"
#include "base/limits.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

#include "ipc/shared/bucket_table.h"

namespace limpet::slot {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string next(SidSource& source) {
  std::array<char, base::kIdBytes> sid{};
  source.fill(sid);
  return {sid.data(), sid.size()};
}

TEST(SidSource, MakesTwentyCharactersOfBase64url) {
  SidSource source(nullptr, 0);
  std::set<char> seen;
  for (int i = 0; i < 2000; ++i) {
    const std::string sid = next(source);
    EXPECT_EQ(sid.find_first_not_of(kAlphabet), std::string::npos) << sid;
    seen.insert(sid.begin(), sid.end());
  }
  EXPECT_EQ(seen.size(), kAlphabet.size()) << "every character turns up";
}

TEST(SidSource, NeverRepeats) {
  SidSource source(nullptr, 0);
  std::set<std::string> seen;
  for (int i = 0; i < 20'000; ++i) EXPECT_TRUE(seen.insert(next(source)).second);
}

TEST(SidSource, EveryCharacterBehindTheBucketIsRandom) {
  SidSource source(nullptr, 0);
  std::array<std::set<char>, 20> seen;
  for (int i = 0; i < 3000; ++i) {
    const std::string sid = next(source);
    for (std::size_t at = 0; at < sid.size(); ++at) seen[at].insert(sid[at]);
  }
  for (std::size_t at = 0; at < seen.size(); ++at) EXPECT_EQ(seen[at].size(), 64u) << "character " << at;
}

TEST(SidSource, NamesOnlyBucketsOfItsSlot) {
  const auto table = ipc::BucketTable::create(5);
  for (std::uint16_t slot = 0; slot < 5; ++slot) {
    SidSource source(&table, slot);
    std::set<std::uint16_t> buckets;
    for (int i = 0; i < 4000; ++i) {
      const auto bucket = bucket_of(next(source));
      ASSERT_EQ(table.owner(bucket), slot);
      buckets.insert(bucket);
    }
    EXPECT_GT(buckets.size(), 500u) << "and not only a few of them";
  }
}

TEST(SidSource, FollowsTheTableWhenABucketMoves) {
  auto table = ipc::BucketTable::create(2);
  SidSource source(&table, 1);
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket) table.assign(bucket, 0);
  table.assign(0x123, 1);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(bucket_of(next(source)), 0x123);
}

TEST(SidSource, ASlotWithoutBucketsStillMakesSids) {
  auto table = ipc::BucketTable::create(2);
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket) table.assign(bucket, 0);
  SidSource source(&table, 1);
  EXPECT_LT(bucket_of(next(source)), ipc::kBuckets);
}

TEST(BucketOf, ReadsTheFirstTwoCharacters) {
  const std::string rest(18, 'x');
  EXPECT_EQ(bucket_of("AA" + rest), 0);
  EXPECT_EQ(bucket_of("AB" + rest), 1);
  EXPECT_EQ(bucket_of("BA" + rest), 64);
  EXPECT_EQ(bucket_of("__" + rest), ipc::kBuckets - 1);
}

}  // namespace
}  // namespace limpet::slot
