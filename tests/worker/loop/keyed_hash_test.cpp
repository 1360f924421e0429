#include "worker/loop/keyed_hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace limpet::loop {
namespace {

/// Names of 16 bytes that all have one std::hash with libstdc++ (MurmurHash64A, whose steps can be undone).
std::string colliding_name(std::uint64_t number) {
  constexpr std::uint64_t kMultiplier = 0xc6a4a7935bd1e995u;
  constexpr std::uint64_t kUndo = 0x5f7a0ea7e59b19bdu;
  static_assert(kMultiplier * kUndo == 1);
  const auto shift_mix = [](std::uint64_t word) { return word ^ (word >> 47); };
  const std::uint64_t first = shift_mix(number * kMultiplier) * kMultiplier;
  const std::uint64_t state = ((0xc70f6907u ^ (16 * kMultiplier)) ^ first) * kMultiplier;
  const std::uint64_t second = shift_mix((12345 ^ state) * kUndo) * kUndo;
  std::string name(16, '\0');
  std::memcpy(name.data(), &number, sizeof number);
  std::memcpy(name.data() + sizeof number, &second, sizeof second);
  return name;
}

TEST(KeyedHash, SpreadsNamesThatWereMadeToCollide) {
  constexpr std::size_t kNames = 45'000;
  constexpr std::size_t kPlaces = 65'536;
  std::vector<unsigned> names_at(kPlaces);
  for (std::size_t i = 0; i < kNames; ++i) {
    const std::string name = colliding_name(i);
    ASSERT_EQ(std::hash<std::string_view>()(name), std::hash<std::string_view>()(colliding_name(0)))
        << "this library hashes in another way: the names must be made anew";
    ++names_at[keyed_hash(name) % kPlaces];
  }
  // With chance alone a place has more than 12 once in millions of runs.
  EXPECT_LE(*std::max_element(names_at.begin(), names_at.end()), 12u);
}

TEST(KeyedHash, IsTheSameForTheSameBytes) {
  EXPECT_EQ(keyed_hash("room"), keyed_hash(std::string("room")));
  EXPECT_NE(keyed_hash("room"), keyed_hash("Room"));
  EXPECT_EQ(keyed_hash(""), keyed_hash({}));
}

TEST(KeyedHashDeathTest, HasAnotherKeyInEachProcess) {
  // The child is a new process image: it prints what it makes of the same name.
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto here = std::to_string(keyed_hash("room"));
  EXPECT_EXIT(
      {
        std::fprintf(stderr, "hash %s.", std::to_string(keyed_hash("room")).c_str());
        std::exit(0);
      },
      testing::ExitedWithCode(0), testing::Not(testing::HasSubstr("hash " + here + ".")));
}

}  // namespace
}  // namespace limpet::loop
