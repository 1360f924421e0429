// I10: whatever a ring's memory contains, a reader neither crashes nor loops; it reports, or goes on. Fixed
// seeds.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <thread>

#include "tests/ipc/ring/kit.h"

namespace limpet::ipc::test {
namespace {

// Counts instead of remembering; touches every byte, so that a sanitizer sees a span that is too long.
class Touch final : public RingSink {
 public:
  void on_message(std::span<const std::byte> message, std::uint64_t sequence) override {
    ordered &= sequence > last;
    last = sequence;
    longest = std::max(longest, message.size());
    for (const std::byte byte : message) sum += static_cast<unsigned>(byte);
    ++messages;
  }
  void on_gap(const Gap&) override { ++gaps; }
  bool ordered = true;
  std::uint64_t last = 0;
  std::uint64_t sum = 0;
  std::size_t longest = 0;
  std::uint64_t messages = 0;
  std::uint64_t gaps = 0;
};

// Memory that looks like a ring and that this process may write as it likes.
class ForgedRing {
 public:
  /// A copy of a real ring with `messages` in it, one in nine of several records; twelve fill three quarters
  /// of it.
  explicit ForgedRing(int messages)
      : memory_(Mapping::create_ring("forged", kRingHeaderBytes, kMinRingCapacity)) {
    RingWriter writer = RingWriter::create(kWriter, small_ring());
    for (int i = 1; i <= messages; ++i) {
      (void)writer.publish(
          bytes_of(pattern(static_cast<std::uint64_t>(i), i % 9 == 0 ? 1500 : i * 37 % 200)));
    }
    std::string why;
    const auto real = Mapping::map_ring_read_only(duplicate(writer.descriptor()), kRingHeaderBytes, &why);
    original_.assign(real->data(), real->data() + real->size());
    restore();
  }
  void restore() { std::memcpy(memory_.writable(), original_.data(), original_.size()); }
  RingHeader& header() { return *reinterpret_cast<RingHeader*>(memory_.writable()); }
  std::byte* data() { return memory_.writable() + kRingHeaderBytes; }
  [[nodiscard]] int descriptor() const { return memory_.descriptor(); }

 private:
  Mapping memory_;
  std::vector<std::byte> original_;
};

std::uint64_t telling_value(std::mt19937_64& random, std::uint64_t now) {
  const std::array<std::uint64_t, 12> values = {0,
                                                1,
                                                16,
                                                now - 16,
                                                now + 16,
                                                now + 8,
                                                now - kMinRingCapacity,
                                                now + kMinRingCapacity,
                                                ~0ULL,
                                                ~0ULL - 15,
                                                1ULL << 63,
                                                random()};
  return values[random() % values.size()];
}

// Changes one to four places of the header's words or of the data.
void corrupt(ForgedRing& ring, std::mt19937_64& random) {
  for (std::uint64_t places = 1 + random() % 4; places > 0; --places) {
    SharedWord* words[] = {&ring.header().tail, &ring.header().intent, &ring.header().committed};
    if (random() % 4 == 0) {
      SharedWord& word = *words[random() % 3];
      word.store(telling_value(random, word.load()));
    } else if (random() % 2 == 0) {
      ring.data()[random() % kMinRingCapacity] = static_cast<std::byte>(random());
    } else {
      const std::uint64_t value = telling_value(random, 64);
      std::memcpy(ring.data() + random() % 64 * 16 + random() % 2 * 8, &value, sizeof value);
    }
  }
}

void expect_sound(const Touch& sink, std::uint64_t seed) {
  ASSERT_TRUE(sink.ordered) << "seed " << seed;
  ASSERT_LE(sink.longest, kMaxMessageBytes) << "seed " << seed;
}

TEST(RingFuzz, survives_twenty_thousand_corrupted_rings) {
  ForgedRing ring(12);
  TestReader reader({1, 1, 21}, kLanes);
  int reported = 0;
  int read_on = 0;
  for (std::uint64_t seed = 1; seed <= 20'000; ++seed) {
    std::mt19937_64 random(seed);
    ring.restore();
    if (seed % 3 == 0) {
      ASSERT_TRUE(reader.attach(ring.descriptor(), kWriter, RingReader::Start::Beginning)) << reader.why;
      corrupt(ring, random);
    } else {
      corrupt(ring, random);
      ASSERT_TRUE(reader.attach(ring.descriptor(), kWriter, RingReader::Start::Beginning)) << reader.why;
    }
    Touch sink;
    PollResult result = reader.ring->poll({}, sink);
    expect_sound(sink, seed);
    if (result == PollResult::Corrupt) {
      ++reported;
      ASSERT_FALSE(reader.ring->why().empty());
      ASSERT_FALSE(reader.ring->has_data()) << "a quarantined ring keeps nobody awake";
      ASSERT_EQ(reader.ring->poll({}, sink), PollResult::Corrupt);
    } else {
      ++read_on;
      ASSERT_EQ(result, PollResult::Empty);
      ASSERT_EQ(reader.ring->poll({}, sink), PollResult::Empty);
    }
  }
  EXPECT_GT(reported, 5'000);
  EXPECT_GT(read_on, 1'000);
}

// What a reader sees that skips between the two stores of a commit.
TEST(RingFuzz, tells_of_a_message_that_is_counted_as_committed_only_behind_the_skip) {
  ForgedRing ring(12);
  TestReader reader({1, 1, 21}, kLanes);
  ASSERT_TRUE(reader.attach(ring.descriptor(), kWriter, RingReader::Start::Beginning)) << reader.why;
  const std::uint64_t last = ring.header().committed.load();
  ring.header().committed.store(last - 1);
  ring.header().intent.store(ring.header().tail.load() + kMinRingCapacity);
  ASSERT_EQ(reader.poll(), PollResult::Empty);
  EXPECT_EQ(reader.sink.lost, last - 1);
  EXPECT_FALSE(reader.ring->has_data());
  ring.header().committed.store(last);
  EXPECT_TRUE(reader.ring->has_data());
  ASSERT_EQ(reader.poll(), PollResult::Empty);
  EXPECT_EQ(reader.sink.lost, last);
  EXPECT_FALSE(reader.ring->has_data());
}

TEST(RingFuzz, survives_corrupted_start_points) {
  ForgedRing ring(12);
  TestReader reader({1, 1, 21}, kLanes);
  for (std::uint64_t seed = 1; seed <= 5'000; ++seed) {
    std::mt19937_64 random(seed);
    ring.restore();
    RingReaderEntry& entry = ring.header().readers[1];
    entry.generation.store(seed % 4 == 0 ? 0 : 21);
    entry.position.store(telling_value(random, 512));
    entry.sequence.store(telling_value(random, 3));
    entry.lapped.store(random());
    if (seed % 4 == 0) ring.header().tail.store(telling_value(random, ring.header().tail.load()));
    ASSERT_TRUE(reader.attach(ring.descriptor(), kWriter)) << reader.why;
    Touch sink;
    ASSERT_NE(reader.ring->poll({}, sink), PollResult::More);
    expect_sound(sink, seed);
  }
}

TEST(RingFuzz, refuses_every_ring_with_a_wrong_constant) {
  ForgedRing ring(3);
  TestReader reader({1, 1, 21}, kLanes);
  RingHeader& header = ring.header();
  const auto refused = [&](auto& constant, std::uint64_t value) {
    ring.restore();
    constant = static_cast<std::remove_reference_t<decltype(constant)>>(value);
    return !reader.attach(ring.descriptor(), kWriter);
  };
  EXPECT_TRUE(refused(header.magic, kReaderPageMagic));
  EXPECT_TRUE(refused(header.version, kRingVersion + 1));
  EXPECT_TRUE(refused(header.slot, 3));
  EXPECT_TRUE(refused(header.lane, 1));
  EXPECT_TRUE(refused(header.generation, 8));
  for (const std::uint64_t capacity : {0ULL, 4095ULL, 8192ULL, ~0ULL})
    EXPECT_TRUE(refused(header.capacity, capacity));
  ring.restore();
  EXPECT_TRUE(reader.attach(ring.descriptor(), kWriter));
}

TEST(RingFuzz, does_not_let_a_corrupt_ring_hold_up_its_writer) {
  ForgedRing ring(12);
  TestReader reader({1, 1, 21}, kLanes);
  ASSERT_TRUE(reader.attach(ring.descriptor(), kWriter, RingReader::Start::Beginning));
  ring.header().tail.store(8);
  Touch sink;
  ASSERT_EQ(reader.ring->poll({}, sink), PollResult::Corrupt);
  EXPECT_EQ(reader.page.line(kWriter.lane)->cursor.load(), kNotReading);
  EXPECT_EQ(reader.ring->why(), "ring: its tail went back, or is no record boundary");
}

TEST(RingFuzz, survives_a_writer_that_scribbles_while_it_is_read) {
  ForgedRing ring(12);
  TestReader reader({1, 1, 21}, kLanes);
  std::atomic<bool> enough = false;
  std::thread scribbler([&] {
    for (std::uint64_t seed = 1; !enough.load(); ++seed) {
      std::mt19937_64 random(seed);
      for (int i = 0; i < 20; ++i) corrupt(ring, random);
      ring.restore();
    }
  });
  std::uint64_t messages = 0;
  for (int round = 0; round < 20'000; ++round) {
    if (!reader.attach(ring.descriptor(), kWriter, RingReader::Start::Beginning)) continue;
    Touch sink;
    (void)reader.ring->poll({}, sink);
    expect_sound(sink, 0);
    messages += sink.messages;
  }
  enough.store(true);
  scribbler.join();
  EXPECT_GT(messages, 0u);
}

TEST(RingFuzz, survives_readers_that_lie_about_their_cursors) {
  RingWriter writer = RingWriter::create(kWriter, small_ring());
  TestReader liar({1, 1, 21}, kLanes);
  TestReader honest({2, 2, 22}, kLanes);
  ASSERT_TRUE(introduce(writer, liar, &liar.why) && introduce(writer, honest, &honest.why));
  ASSERT_TRUE(honest.attach(writer.descriptor(), kWriter));
  ReaderLine& line = *liar.page.line(kWriter.lane);
  RingWriter::TimePoint now{1h};
  std::mt19937_64 random(1);
  std::uint64_t refused = 0;
  for (int turn = 0; turn < 20'000; ++turn) {
    line.generation.store(random() % 2 == 0 ? kWriter.generation : random());
    line.cursor.store(telling_value(random, static_cast<std::uint64_t>(turn) * 128));
    line.ack_lap.store(random() % 4);
    refused += writer.publish(bytes_of(pattern(1, 100))) == PublishResult::QueueFull ? 1 : 0;
    writer.retry(now += 10ms);
    honest.poll();
  }
  writer.detach_reader(1);
  writer.retry(now);
  honest.poll();
  EXPECT_EQ(refused, 0u);
  EXPECT_EQ(honest.sink.messages.size(), 20'000u) << "nobody but the liar lost anything";
  EXPECT_EQ(honest.sink.gaps, 0u);
}

}  // namespace
}  // namespace limpet::ipc::test
