#include <gtest/gtest.h>

#include "tests/ipc/ring/kit.h"

namespace limpet::ipc::test {
namespace {

class Ring : public ::testing::Test {
 protected:
  void start(const RingOptions& options) {
    writer = std::make_unique<RingWriter>(RingWriter::create(kWriter, options));
  }
  TestReader& add_reader(std::uint16_t lane = 1) {
    auto reader = std::make_unique<TestReader>(Incarnation{1, lane, 20u + lane}, kLanes);
    EXPECT_TRUE(introduce(*writer, *reader, &reader->why)) << reader->why;
    EXPECT_TRUE(reader->attach(writer->descriptor(), kWriter)) << reader->why;
    readers.push_back(std::move(reader));
    return *readers.back();
  }
  PublishResult publish(std::string_view text) { return writer->publish(bytes_of(text)); }

  std::unique_ptr<RingWriter> writer;
  std::vector<std::unique_ptr<TestReader>> readers;
  RingWriter::TimePoint now{1h};
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
  ASSERT_EQ(writer->publish(parts), PublishResult::Published);
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
  for (auto& reader : readers) {
    reader->poll();
    EXPECT_EQ(reader->sink.messages.size(), 10u);
    EXPECT_EQ(reader->sink.messages.back(), "to all 9");
  }
}

// ---- lengths

TEST_F(Ring, takes_messages_below_at_and_above_the_length_of_one_record) {
  start(small_ring());
  TestReader& reader = add_reader();
  const std::size_t limit = fragment_limit(kMinRingCapacity);
  for (const std::size_t bytes : {limit - 1, limit, limit + 1, 2 * limit, 2 * limit + 1}) {
    ASSERT_EQ(publish(pattern(1, bytes)), PublishResult::Published);
    reader.poll();
    EXPECT_EQ(reader.sink.messages.back(), pattern(1, bytes));
  }
  EXPECT_EQ(reader.sink.sequences, (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
}

TEST_F(Ring, takes_sixteen_mebibytes_and_refuses_one_byte_more) {
  RingOptions options = small_ring(std::size_t{16} << 20);
  start(options);
  TestReader& reader = add_reader();
  const std::string largest = pattern(1, kMaxMessageBytes);
  EXPECT_EQ(publish(largest), PublishResult::Deferred) << "with its headers it is longer than the ring";
  EXPECT_EQ(publish(pattern(2, kMaxMessageBytes + 1)), PublishResult::TooLarge);
  EXPECT_EQ(writer->sequence(), 1u) << "what is refused uses no sequence";
  reader.poll();
  EXPECT_TRUE(reader.sink.messages.empty());
  writer->retry(now);
  EXPECT_FALSE(writer->deferred());
  EXPECT_EQ(writer->deferred_bytes(), 0u);
  reader.poll();
  ASSERT_EQ(reader.sink.messages.size(), 1u);
  EXPECT_TRUE(reader.sink.messages[0] == largest);
}

TEST_F(Ring, passes_a_message_of_many_times_its_own_length) {
  start(small_ring());
  TestReader& reader = add_reader();
  const std::string large = pattern(1, 300'000);
  ASSERT_EQ(publish(large), PublishResult::Deferred);
  for (int turn = 0; writer->deferred() && turn < 1000; ++turn) {
    reader.poll();
    writer->retry(now);
  }
  reader.poll();
  ASSERT_EQ(reader.sink.messages.size(), 1u);
  EXPECT_TRUE(reader.sink.messages[0] == large);
  EXPECT_EQ(writer->laps(), 0u);
}

TEST_F(Ring, ends_a_poll_when_its_budget_is_used_up) {
  start(small_ring());
  TestReader& reader = add_reader();
  for (int i = 0; i < 10; ++i) ASSERT_EQ(publish("0123456789abcdef"), PublishResult::Published);
  EXPECT_EQ(reader.poll({.records = 3}), PollResult::More);
  EXPECT_EQ(reader.sink.messages.size(), 3u);
  EXPECT_EQ(reader.poll({.bytes = 33}), PollResult::More);
  EXPECT_EQ(reader.sink.messages.size(), 5u);
  EXPECT_EQ(reader.poll(), PollResult::Empty);
  EXPECT_EQ(reader.sink.messages.size(), 10u);
}

// ---- deferral

TEST_F(Ring, keeps_the_order_of_what_it_defers) {
  start(small_ring());
  TestReader& reader = add_reader();
  std::vector<std::string> published;
  bool deferred = false;
  for (std::uint64_t sequence = 1; sequence <= 400; ++sequence) {
    published.push_back(pattern(sequence, sequence % 5 == 0 ? 5000 : 100));
    const PublishResult result = publish(published.back());
    ASSERT_TRUE(result == PublishResult::Published || result == PublishResult::Deferred);
    deferred |= result == PublishResult::Deferred;
    if (sequence % 7 == 0) {
      reader.poll();
      writer->retry(now);
    }
  }
  EXPECT_TRUE(deferred);
  while (writer->deferred()) {
    reader.poll();
    writer->retry(now);
  }
  reader.poll();
  EXPECT_TRUE(reader.sink.messages == published);
  EXPECT_EQ(reader.sink.gaps, 0u);
}

TEST_F(Ring, tells_every_reader_of_what_its_full_queue_did_not_take) {
  RingOptions options = small_ring();
  options.deferred_bytes = 3000;
  start(options);
  TestReader& reader = add_reader();
  std::uint64_t refused = 0;
  for (int i = 0; i < 12; ++i) refused += publish(pattern(1, 900)) == PublishResult::QueueFull ? 1 : 0;
  ASSERT_GT(refused, 0u);
  while (writer->deferred()) {
    reader.poll();
    writer->retry(now);
  }
  ASSERT_EQ(publish("after"), PublishResult::Published);
  reader.poll();
  EXPECT_EQ(reader.sink.lost, refused);
  EXPECT_EQ(reader.sink.messages.size(), 12 - refused + 1);
  EXPECT_EQ(*(reader.sink.story.end() - 2), "gap");
  EXPECT_EQ(reader.sink.messages.back(), "after");
}

TEST_F(Ring, takes_a_message_exactly_up_to_the_limit_of_its_queue) {
  RingOptions options = small_ring();
  options.deferred_bytes = 1000;
  start(options);
  add_reader();
  while (publish(pattern(1, 900)) == PublishResult::Published) {
  }
  ASSERT_EQ(writer->deferred_bytes(), 900u);
  EXPECT_EQ(publish(pattern(1, 101)), PublishResult::QueueFull);
  EXPECT_EQ(publish(pattern(1, 100)), PublishResult::Deferred);
  EXPECT_EQ(writer->deferred_bytes(), 1000u);
}

// ---- a reader that stands still

TEST_F(Ring, laps_a_reader_that_stands_still_and_tells_it_before_anything_newer) {
  start(small_ring());
  TestReader& reader = add_reader();
  std::uint64_t published = 0;
  while (publish(pattern(published + 1, 200)) == PublishResult::Published) ++published;
  writer->retry(now);
  writer->retry(now + 99ms);
  EXPECT_TRUE(writer->deferred());
  EXPECT_EQ(writer->laps(), 0u);
  writer->retry(now + 100ms);
  EXPECT_FALSE(writer->deferred());
  EXPECT_EQ(writer->laps(), 1u);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(publish("overwrites"), PublishResult::Published);
  reader.poll();
  EXPECT_EQ(reader.sink.story.front(), "gap");
  ASSERT_EQ(publish("newer"), PublishResult::Published);
  reader.poll();
  EXPECT_EQ(reader.sink.messages.back(), "newer");
  EXPECT_EQ(reader.sink.lost + reader.sink.messages.size(), writer->sequence())
      << "every message is accounted for";
}

TEST_F(Ring, keeps_again_for_a_reader_that_has_acknowledged_its_lap) {
  start(small_ring());
  TestReader& reader = add_reader();
  while (publish(pattern(1, 200)) == PublishResult::Published) {
  }
  writer->retry(now);
  writer->retry(now + 1s);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(publish(pattern(1, 200)), PublishResult::Published) << "ungated";
  reader.poll();
  const std::uint64_t at_gap = writer->sequence();
  while (publish(pattern(1, 200)) == PublishResult::Published) {
  }
  EXPECT_TRUE(writer->deferred()) << "gated again";
  reader.poll();
  writer->retry(now + 1s);
  reader.poll();
  EXPECT_EQ(reader.sink.gaps, 1u);
  EXPECT_EQ(reader.sink.sequences.front(), at_gap + 1);
  EXPECT_EQ(reader.sink.sequences.back(), writer->sequence());
}

TEST_F(Ring, tells_of_the_message_in_which_a_skip_ends_even_if_no_other_comes) {
  start(small_ring());
  TestReader& reader = add_reader();
  std::uint64_t published = 0;
  while (publish(pattern(published + 1, 200)) == PublishResult::Published) ++published;
  writer->retry(now);
  writer->retry(now + 1s);  // lapped
  ASSERT_FALSE(writer->deferred());
  TestReader& in_time = add_reader(2);
  ASSERT_EQ(publish(pattern(1, 6000)), PublishResult::Deferred) << "half of it overwrites what was not read";
  ASSERT_EQ(reader.poll(), PollResult::Empty);
  ASSERT_EQ(reader.sink.story, std::vector<std::string>{"gap"}) << "a skip into the middle of a message";
  in_time.poll();
  writer->retry(now + 1s);
  ASSERT_FALSE(writer->deferred());
  ASSERT_TRUE(reader.ring->has_data());
  reader.poll();
  EXPECT_FALSE(reader.ring->has_data());
  EXPECT_EQ(reader.sink.lost, writer->sequence());
  EXPECT_EQ(reader.ring->last_sequence(), writer->sequence());
  ASSERT_EQ(publish("newer"), PublishResult::Published);
  reader.poll();
  EXPECT_EQ(reader.sink.messages, std::vector<std::string>{"newer"});
  EXPECT_EQ(reader.sink.lost, writer->sequence() - 1) << "nothing is told twice";
}

TEST_F(Ring, counts_no_gap_for_a_lapped_reader_that_came_in_time) {
  start(small_ring());
  TestReader& reader = add_reader();
  while (publish(pattern(1, 200)) == PublishResult::Published) {
  }
  reader.poll();  // after the ring was full, before the lap
  writer->retry(now);
  writer->retry(now + 1s);
  reader.poll();
  EXPECT_EQ(reader.sink.gaps, 0u);
  EXPECT_EQ(reader.sink.messages.size(), writer->sequence());
}

TEST_F(Ring, does_not_lap_a_reader_that_frees_an_eighth_in_time) {
  start(small_ring());
  TestReader& reader = add_reader();
  for (int i = 0; i < 200; ++i) (void)publish(pattern(1, 200));
  for (int turn = 0; writer->deferred() && turn < 1000; ++turn) {
    writer->retry(now += 90ms);
    reader.poll({.bytes = kMinRingCapacity / 8});
  }
  reader.poll();
  EXPECT_EQ(writer->laps(), 0u);
  EXPECT_EQ(reader.sink.messages.size(), 200u);
}

TEST_F(Ring, laps_a_reader_that_only_crawls) {
  start(small_ring());
  TestReader& reader = add_reader();
  for (int i = 0; i < 200; ++i) (void)publish(pattern(1, 40));
  for (int turn = 0; writer->laps() == 0 && turn < 5; ++turn) {
    writer->retry(now += 90ms);
    reader.poll({.records = 1});
  }
  EXPECT_EQ(writer->laps(), 1u);
}

TEST_F(Ring, laps_only_the_reader_that_stands_still) {
  start(small_ring());
  TestReader& quick = add_reader(1);
  TestReader& still = add_reader(2);
  for (int turn = 0; turn < 300; ++turn) {
    (void)publish(pattern(1, 200));
    writer->retry(now += 10ms);
    quick.poll();
  }
  writer->retry(now += 1s);
  quick.poll();
  still.poll();
  EXPECT_EQ(writer->laps(), 1u);
  EXPECT_EQ(quick.sink.gaps, 0u);
  EXPECT_EQ(quick.sink.messages.size(), 300u);
  EXPECT_EQ(still.sink.gaps, 1u);
}

TEST_F(Ring, waits_for_nobody_once_a_reader_is_detached) {
  start(small_ring());
  add_reader();
  while (publish(pattern(1, 200)) == PublishResult::Published) {
  }
  writer->detach_reader(1);
  writer->retry(now);
  EXPECT_FALSE(writer->deferred());
  EXPECT_EQ(writer->readers(), 0u);
  EXPECT_EQ(writer->laps(), 0u);
}

TEST_F(Ring, waits_for_no_reader_that_has_let_go) {
  start(small_ring());
  TestReader& reader = add_reader();
  while (publish(pattern(1, 200)) == PublishResult::Published) {
  }
  reader.ring.reset();
  writer->retry(now);
  EXPECT_FALSE(writer->deferred());
}

// ---- joining and leaving

TEST_F(Ring, begins_for_a_reader_where_the_writer_attached_it) {
  start(small_ring());
  ASSERT_EQ(publish("before"), PublishResult::Published);
  TestReader reader({1, 1, 21}, kLanes);
  ASSERT_TRUE(introduce(*writer, reader, &reader.why));
  ASSERT_EQ(publish("between"), PublishResult::Published);
  ASSERT_TRUE(reader.attach(writer->descriptor(), kWriter));
  ASSERT_EQ(publish("after"), PublishResult::Published);
  reader.poll();
  EXPECT_EQ(reader.sink.messages, (std::vector<std::string>{"between", "after"}));
  EXPECT_EQ(reader.sink.gaps, 0u);
}

TEST_F(Ring, begins_at_the_tail_for_a_reader_that_its_writer_does_not_know_yet) {
  start(small_ring());
  ASSERT_EQ(publish("before"), PublishResult::Published);
  TestReader reader({1, 1, 21}, kLanes);
  ASSERT_TRUE(reader.attach(writer->descriptor(), kWriter));
  ASSERT_EQ(publish("between"), PublishResult::Published);
  ASSERT_TRUE(introduce(*writer, reader, &reader.why));
  reader.poll();
  EXPECT_EQ(reader.sink.messages, std::vector<std::string>{"between"});
  EXPECT_EQ(reader.sink.gaps, 0u);
}

TEST_F(Ring, gives_everything_to_a_reader_that_asks_for_its_beginning) {
  start(small_ring());
  ASSERT_EQ(publish("first"), PublishResult::Published);
  TestReader reader({1, 1, 21}, kLanes);
  ASSERT_TRUE(reader.attach(writer->descriptor(), kWriter, RingReader::Start::Beginning));
  reader.poll();
  EXPECT_EQ(reader.sink.messages, std::vector<std::string>{"first"});
}

TEST_F(Ring, keeps_for_a_reader_that_it_knows_and_that_has_not_come_yet) {
  start(small_ring());
  TestReader reader({1, 1, 21}, kLanes);
  ASSERT_TRUE(introduce(*writer, reader, &reader.why));
  std::uint64_t published = 0;
  while (publish(pattern(published + 1, 200)) == PublishResult::Published) ++published;
  ASSERT_TRUE(reader.attach(writer->descriptor(), kWriter));
  reader.poll();
  EXPECT_EQ(reader.sink.messages.size(), published);
  EXPECT_EQ(reader.sink.gaps, 0u);
}

TEST_F(Ring, gives_nothing_of_a_message_that_began_before_the_reader_came) {
  start(small_ring());
  add_reader(1);
  ASSERT_EQ(publish(pattern(1, 6000)), PublishResult::Deferred);
  TestReader& late = add_reader(2);
  readers[0]->poll();
  writer->retry(now);
  ASSERT_EQ(publish("whole"), PublishResult::Published);
  late.poll();
  EXPECT_EQ(late.sink.messages, std::vector<std::string>{"whole"});
  EXPECT_EQ(late.sink.gaps, 0u);
}

TEST_F(Ring, drops_the_partial_message_of_a_writer_that_is_gone) {
  start(small_ring());
  TestReader& reader = add_reader();
  ASSERT_EQ(publish("whole"), PublishResult::Published);
  ASSERT_EQ(publish(pattern(2, 6000)), PublishResult::Deferred);
  writer.reset();
  EXPECT_EQ(reader.poll(), PollResult::Empty);
  EXPECT_EQ(reader.sink.messages, std::vector<std::string>{"whole"});
  EXPECT_TRUE(reader.ring->ends_in_partial_message());
  EXPECT_EQ(reader.ring->last_sequence(), 1u);
}

TEST_F(Ring, drains_to_the_end_after_its_writer_is_gone) {
  start(small_ring());
  TestReader& reader = add_reader();
  for (int i = 0; i < 10; ++i) ASSERT_EQ(publish("last words"), PublishResult::Published);
  writer.reset();
  EXPECT_EQ(reader.poll({.records = 4}), PollResult::More);
  EXPECT_EQ(reader.poll(), PollResult::Empty);
  EXPECT_EQ(reader.sink.messages.size(), 10u);
  EXPECT_FALSE(reader.ring->ends_in_partial_message());
}

TEST_F(Ring, is_not_disturbed_by_the_reader_of_its_lane_s_predecessor) {
  start(small_ring());
  TestReader& reader = add_reader();
  auto old_ring = std::move(reader.ring);
  const Incarnation successor{0, 0, 8};
  RingWriter second = RingWriter::create(successor, small_ring());
  ASSERT_TRUE(introduce(second, reader, &reader.why));
  ASSERT_TRUE(reader.attach(second.descriptor(), successor));
  ASSERT_EQ(publish("from the old"), PublishResult::Published);
  Remember old_sink;
  old_ring->poll({}, old_sink);
  old_ring.reset();
  EXPECT_EQ(old_sink.messages, std::vector<std::string>{"from the old"});
  while (second.publish(bytes_of(pattern(1, 200))) == PublishResult::Published) {
  }
  reader.poll();
  EXPECT_EQ(reader.sink.gaps, 0u) << "the new writer went on keeping for it";
  EXPECT_EQ(reader.sink.messages.size(), second.sequence() - 1);
}

TEST_F(Ring, refuses_a_reader_whose_page_has_no_line_for_it) {
  RingOptions options = small_ring();
  options.lanes = 9;
  RingWriter of_lane_8 = RingWriter::create({0, 8, 7}, options);
  TestReader reader({1, 1, 21}, kLanes);
  EXPECT_FALSE(introduce(of_lane_8, reader, &reader.why));
  EXPECT_FALSE(reader.attach(of_lane_8.descriptor(), {0, 8, 7}));
  EXPECT_EQ(reader.why, "ring: lane 8 has no line on the reader page");
}

// ---- sleeping

TEST_F(Ring, rings_a_sleeping_reader_once_for_each_sleep_and_a_waking_one_never) {
  start(small_ring());
  TestReader& reader = add_reader();
  const auto publish_and_flush = [this] {
    ASSERT_EQ(publish("x"), PublishResult::Published);
    writer->flush();
  };
  publish_and_flush();
  EXPECT_EQ(reader.rings(), 0u) << "awake";
  reader.page.fall_asleep();
  EXPECT_TRUE(reader.ring->has_data()) << "what came before the sleep is seen by the look after it";
  writer->flush();
  EXPECT_EQ(reader.rings(), 0u) << "nothing new";
  publish_and_flush();
  publish_and_flush();
  EXPECT_EQ(reader.rings(), 1u);
  reader.page.wake_up();
  publish_and_flush();
  EXPECT_EQ(reader.rings(), 0u);
  reader.page.fall_asleep();
  publish_and_flush();
  EXPECT_EQ(reader.rings(), 1u);
}

TEST_F(Ring, rings_only_the_readers_that_sleep) {
  start(small_ring());
  TestReader& awake = add_reader(1);
  TestReader& asleep = add_reader(2);
  asleep.page.fall_asleep();
  ASSERT_EQ(publish("x"), PublishResult::Published);
  EXPECT_EQ(asleep.rings(), 0u) << "not before the flush";
  writer->flush();
  EXPECT_EQ(awake.rings(), 0u);
  EXPECT_EQ(asleep.rings(), 1u);
}

TEST_F(Ring, rings_for_what_it_had_deferred) {
  start(small_ring());
  TestReader& reader = add_reader();
  while (publish(pattern(1, 200)) == PublishResult::Published) {
  }
  writer->flush();
  reader.poll();
  reader.page.fall_asleep();
  writer->retry(now);
  writer->flush();
  EXPECT_EQ(reader.rings(), 1u);
}

}  // namespace
}  // namespace limpet::ipc::test
