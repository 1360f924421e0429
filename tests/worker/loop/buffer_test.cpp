#include "worker/loop/buffer.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace limpet::loop {
namespace {

int made = 0;

Buffer in_capitals(std::span<const Buffer> message) {
  ++made;
  std::string text;
  for (const Buffer& part : message)
    for (const char c : part.view()) text += static_cast<char>(c - 'a' + 'A');
  return Buffer::copy_of(text);
}

Buffer lengths(std::span<const Buffer> message) {
  ++made;
  std::string text;
  for (const Buffer& part : message) text += std::to_string(part.size());
  return Buffer::copy_of(text);
}

class ARendering : public testing::Test {
 protected:
  void SetUp() override { made = 0; }
  const std::uint64_t before = Buffer::live_bytes();
};

TEST_F(ARendering, IsMadeOnceForAllThatHaveTheMessage) {
  const std::array<Buffer, 2> message = {Buffer::copy_of("abc"), Buffer::copy_of("de")};
  const std::array<Buffer, 2> of_another = message;
  EXPECT_EQ(message[0].find_rendering(in_capitals), nullptr);
  const Buffer& rendering = rendering_of(message, in_capitals);
  EXPECT_EQ(rendering.view(), "ABCDE");
  EXPECT_EQ(&rendering_of(of_another, in_capitals), &rendering);
  EXPECT_EQ(of_another[0].find_rendering(in_capitals), &rendering);
  EXPECT_EQ(made, 1);
}

TEST_F(ARendering, IsOneOfEachRenderer) {
  const std::array<Buffer, 2> message = {Buffer::copy_of("abc"), Buffer::copy_of("de")};
  for (int again = 0; again < 2; ++again) {
    EXPECT_EQ(rendering_of(message, in_capitals).view(), "ABCDE");
    EXPECT_EQ(rendering_of(message, lengths).view(), "32");
  }
  EXPECT_EQ(made, 2);
}

TEST_F(ARendering, LivesAsLongAsTheMessageAndIsCounted) {
  Buffer kept;
  {
    const std::array<Buffer, 1> message = {Buffer::copy_of(std::string(1000, 'a'))};
    const std::uint64_t plain = Buffer::live_bytes();
    (void)rendering_of(message, in_capitals);
    EXPECT_GE(Buffer::live_bytes(), plain + 1000);
    kept = message[0];
  }
  EXPECT_NE(kept.find_rendering(in_capitals), nullptr);
  const Buffer rendering = *kept.find_rendering(in_capitals);
  kept = {};
  EXPECT_EQ(rendering.view().size(), 1000u) << "whoever is still sending it has a handle of its own";
  EXPECT_GE(Buffer::live_bytes(), before + 1000);
}

TEST_F(ARendering, LeavesNothing) {
  {
    const std::array<Buffer, 1> message = {Buffer::copy_of("abc")};
    (void)rendering_of(message, in_capitals);
    (void)rendering_of(message, lengths);
  }
  EXPECT_EQ(Buffer::live_bytes(), before);
}

}  // namespace
}  // namespace limpet::loop
