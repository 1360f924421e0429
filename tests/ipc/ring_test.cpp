#include <gtest/gtest.h>

#include "tests/ipc/ring_kit.h"

namespace limpet::ipc::test {
namespace {

class Ring : public ::testing::Test {
 protected:
  void start(const RingOptions& options) {
    writer_ = std::make_unique<RingWriter>(RingWriter::create(kWriter, options));
  }
  TestReader& add_reader(std::uint16_t lane = 1) {
    auto reader = std::make_unique<TestReader>(Incarnation{1, lane, 20u + lane}, kLanes);
    EXPECT_TRUE(introduce(*writer_, *reader, &reader->why)) << reader->why;
    EXPECT_TRUE(reader->attach(writer_->descriptor(), kWriter)) << reader->why;
    readers_.push_back(std::move(reader));
    return *readers_.back();
  }
  PublishResult publish(std::string_view text) { return writer_->publish(bytes_of(text)); }

  std::unique_ptr<RingWriter> writer_;
  std::vector<std::unique_ptr<TestReader>> readers_;
  RingWriter::TimePoint now_{1h};
};

TEST_F(Ring, delivers_what_was_published_in_order) {
  start(small_ring());
  TestReader& reader = add_reader();
  ASSERT_EQ(publish("one"), PublishResult::Published);
  ASSERT_EQ(publish(""), PublishResult::Published);
  ASSERT_EQ(publish("three"), PublishResult::Published);
  EXPECT_TRUE(reader.ring->has_data());
  EXPECT_EQ(reader.poll(), PollResult::Empty);
  EXPECT_FALSE(reader.ring->has_data());
  EXPECT_EQ(reader.sink.messages, (std::vector<std::string>{"one", "", "three"}));
  EXPECT_EQ(reader.sink.sequences, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(reader.sink.gaps, 0u);
}

TEST_F(Ring, joins_the_parts_of_a_message) {
  start(small_ring());
  TestReader& reader = add_reader();
  const std::span<const std::byte> parts[] = {bytes_of("head,"), {}, bytes_of("room,"), bytes_of("frame")};
  ASSERT_EQ(writer_->publish(parts), PublishResult::Published);
  reader.poll();
  EXPECT_EQ(reader.sink.messages, std::vector<std::string>{"head,room,frame"});
}

TEST_F(Ring, goes_round_a_thousand_times_with_messages_of_every_length) {
  start(small_ring());
  TestReader& reader = add_reader();
  for (std::uint64_t sequence = 1; sequence <= 20'000; ++sequence) {
    ASSERT_EQ(publish(pattern(sequence, sequence % 700)), PublishResult::Published);
    if (sequence % 3 == 0) reader.poll();
  }
  reader.poll();
  ASSERT_EQ(reader.sink.messages.size(), 20'000u);
  for (std::uint64_t sequence = 1; sequence <= 20'000; ++sequence) {
    ASSERT_EQ(reader.sink.messages[sequence - 1], pattern(sequence, sequence % 700));
  }
  EXPECT_EQ(reader.sink.gaps, 0u);
}

TEST_F(Ring, delivers_the_same_to_every_reader) {
  start(small_ring());
  add_reader(1), add_reader(2), add_reader(3);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(publish("to all " + std::to_string(i)), PublishResult::Published);
  for (auto& reader : readers_) {
    reader->poll();
    EXPECT_EQ(reader->sink.messages.size(), 10u);
    EXPECT_EQ(reader->sink.messages.back(), "to all 9");
  }
}

}  // namespace
}  // namespace limpet::ipc::test
