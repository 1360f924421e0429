#include "worker/http/file_cache.h"

#include <gtest/gtest.h>

namespace limpet::http {
namespace {

KeptFile file(std::string_view content) {
  KeptFile kept;
  kept.answer = loop::Buffer::copy_of(content);
  kept.etag = "\"e\"";
  return kept;
}

TEST(FileCache, GivesBackWhatItKeeps) {
  FileCache cache;
  EXPECT_EQ(cache.find("a"), nullptr);
  cache.keep("a", file("one"));
  cache.keep("b", file("two"));
  ASSERT_NE(cache.find("a"), nullptr);
  EXPECT_EQ(cache.find("a")->answer.view(), "one");
  cache.keep("a", file("three"));
  EXPECT_EQ(cache.find("a")->answer.view(), "three");
  EXPECT_EQ(cache.files(), 2u);
}

TEST(FileCache, DropsWhoWasNotAskedForTheLongestTimeWhenThereAreTooMany) {
  FileCache cache(3);
  for (const char* name : {"a", "b", "c"}) cache.keep(name, file(name));
  EXPECT_NE(cache.find("a"), nullptr);
  cache.keep("d", file("d"));
  EXPECT_EQ(cache.find("b"), nullptr);
  for (const char* name : {"a", "c", "d"}) EXPECT_NE(cache.find(name), nullptr) << name;
}

TEST(FileCache, IsBoundedInBytes) {
  FileCache cache(1000, 20'000);
  for (int i = 0; i < 100; ++i) {
    cache.keep(std::to_string(i), file(std::string(5000, 'x')));
    EXPECT_LE(cache.bytes(), 20'000u);
  }
  EXPECT_EQ(cache.files(), 3u);
  EXPECT_NE(cache.find("99"), nullptr);
}

TEST(FileCache, CostsNothingWhenAllIsForgotten) {
  FileCache cache;
  cache.keep("a", file("one"));
  cache.keep("a", file("longer"));
  EXPECT_GT(cache.bytes(), 6u);
  cache.forget("a");
  cache.forget("a");
  EXPECT_EQ(cache.bytes(), 0u);
  EXPECT_EQ(cache.find("a"), nullptr);
}

TEST(FileCache, LeavesABufferToTheConnectionsThatHaveItQueued) {
  FileCache cache(1);
  cache.keep("a", file("one"));
  const loop::Buffer queued = cache.find("a")->answer;
  cache.keep("b", file("two"));
  EXPECT_EQ(queued.view(), "one");
}

}  // namespace
}  // namespace limpet::http
