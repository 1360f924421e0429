#include "ipc/messages/frame_stream.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>

namespace limpet::ipc {
namespace {

using testing::IsEmpty;

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}
std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
/// Bytes that differ from place to place, so that a lost or doubled piece shows.
std::string pattern(std::size_t size, std::uint32_t seed) {
  std::string text(size, '\0');
  for (char& each : text) {
    seed = seed * 1664525u + 1013904223u;
    each = static_cast<char>(seed >> 24);
  }
  return text;
}

/// A new open file with `content`: what it holds tells which one it is.
base::Descriptor file_with(std::string_view content) {
  std::array<int, 2> ends{};
  base::require(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "make a pipe");
  const base::Descriptor writing(ends[1]);
  base::require(static_cast<int>(::write(writing.get(), content.data(), content.size())), "fill a pipe");
  return base::Descriptor(ends[0]);
}
std::string content_of(const base::Descriptor& file) {
  std::array<char, 256> content{};
  const ssize_t got = ::read(file.get(), content.data(), content.size());
  return {content.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

class FrameStreamTest : public testing::Test {
 protected:
  FrameStreamTest() : FrameStreamTest(FrameStream::pair()) {}

  void shrink_buffers() const {
    const int small = 4096;
    ::setsockopt(a_.descriptor(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  }
  void send(std::string_view text, const std::vector<int>& descriptors = {}) {
    a_.send(bytes_of(text), descriptors);
  }
  /// The next frame, however many writes and reads it takes.
  ReceiveStatus next() {
    for (;;) {
      const ReceiveStatus status = b_.receive(&got_);
      if (status != ReceiveStatus::Empty || (a_.queued_bytes() == 0 && b_.drained())) return status;
      EXPECT_TRUE(a_.flush());
    }
  }
  [[nodiscard]] std::string got() const { return text_of(got_.bytes); }
  [[nodiscard]] std::vector<std::string> got_files() const {
    std::vector<std::string> contents;
    for (const base::Descriptor& each : got_.descriptors) contents.push_back(content_of(each));
    return contents;
  }

  FrameStream a_;
  FrameStream b_;
  Datagram got_;

 private:
  explicit FrameStreamTest(std::pair<base::Descriptor, base::Descriptor> ends)
      : a_(std::move(ends.first)), b_(std::move(ends.second)) {}
};

class FrameOfSize : public FrameStreamTest, public testing::WithParamInterface<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Sizes, FrameOfSize,
                         testing::Values(std::size_t{0}, std::size_t{1}, std::size_t{7},
                                         (std::size_t{255} << 10), (std::size_t{256} << 10) - 8,
                                         (std::size_t{256} << 10), std::size_t{5} << 20));

TEST_P(FrameOfSize, ArrivesAsItWas) {
  const std::string text = pattern(GetParam(), 7);
  send(text);
  ASSERT_EQ(next(), ReceiveStatus::Message);
  EXPECT_TRUE(got() == text);
  EXPECT_THAT(got_.descriptors, IsEmpty());
  EXPECT_EQ(next(), ReceiveStatus::Empty);
}

TEST_P(FrameOfSize, ArrivesWithItsDescriptors) {
  const std::string text = pattern(GetParam(), 8);
  const base::Descriptor one = file_with("one");
  const base::Descriptor two = file_with("two");
  send(text, {one.get(), two.get()});
  send("the next");
  ASSERT_EQ(next(), ReceiveStatus::Message);
  EXPECT_TRUE(got() == text);
  EXPECT_THAT(got_files(), testing::ElementsAre("one", "two"));
  for (const base::Descriptor& each : got_.descriptors)
    EXPECT_NE(::fcntl(each.get(), F_GETFD) & FD_CLOEXEC, 0);
  ASSERT_EQ(next(), ReceiveStatus::Message);
  EXPECT_EQ(got(), "the next");
  EXPECT_THAT(got_.descriptors, IsEmpty());
}

TEST_P(FrameOfSize, PassesThroughASmallSocketInPieces) {
  shrink_buffers();
  const std::string text = pattern(GetParam(), 9);
  const base::Descriptor file = file_with("the file");
  send(text, {file.get()});
  ASSERT_EQ(next(), ReceiveStatus::Message);
  EXPECT_TRUE(got() == text);
  EXPECT_THAT(got_files(), testing::ElementsAre("the file"));
  EXPECT_EQ(a_.queued_bytes(), 0u);
}

TEST_F(FrameStreamTest, LentBytesArriveAsTheyAreAndAreCountedUntilTheyAreWritten) {
  shrink_buffers();
  const auto lent = bytes_of(pattern(1 << 20, 3));
  const base::Descriptor file = file_with("lent");
  a_.lend(lent, {{file.get()}});
  send("the next");
  EXPECT_EQ(a_.lent_frames(), 1u);
  ASSERT_EQ(next(), ReceiveStatus::Message);
  EXPECT_TRUE(got_.bytes == lent);
  EXPECT_THAT(got_files(), testing::ElementsAre("lent"));
  EXPECT_EQ(a_.lent_frames(), 0u);
  ASSERT_EQ(next(), ReceiveStatus::Message);
  EXPECT_EQ(got(), "the next");
}

TEST_F(FrameStreamTest, OneReceiveReadsNoMoreThanItsShareOfALargeFrame) {
  const std::string text = pattern(std::size_t{5} << 20, 4);
  send(text);
  int receives = 0;
  for (; b_.receive(&got_) == ReceiveStatus::Empty; ++receives) {
    if (b_.drained()) {
      ASSERT_TRUE(a_.flush());
    }
  }
  EXPECT_TRUE(got() == text);
  EXPECT_GE(receives, static_cast<int>((std::size_t{5} << 20) / FrameStream::kReadBytes) - 1);
}

TEST_F(FrameStreamTest, ManyInARowArriveInOrder) {
  for (int i = 0; i < 5000; ++i) send(std::to_string(i));
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(next(), ReceiveStatus::Message) << i;
    ASSERT_EQ(got(), std::to_string(i));
  }
  EXPECT_EQ(next(), ReceiveStatus::Empty);
}

TEST_F(FrameStreamTest, TheMostDescriptorsAtOnceArrive) {
  std::vector<base::Descriptor> files;
  std::vector<int> numbers;
  std::vector<std::string> wanted;
  for (std::size_t i = 0; i < kFrameDescriptorsLimit; ++i) {
    wanted.push_back(std::to_string(i));
    files.push_back(file_with(wanted.back()));
    numbers.push_back(files.back().get());
  }
  send("many", numbers);
  send("and as many again", numbers);
  ASSERT_EQ(next(), ReceiveStatus::Message);
  EXPECT_EQ(got_files(), wanted);
  ASSERT_EQ(next(), ReceiveStatus::Message);
  EXPECT_EQ(got_.descriptors.size(), kFrameDescriptorsLimit);
}

/// Frames of all sizes, with and without descriptors, through sockets of all sizes: each descriptor belongs
/// to the frame that says so, wherever the reads end.
TEST_F(FrameStreamTest, DescriptorsStayWithTheirFrame) {
  for (std::uint32_t seed = 1; seed <= 30; ++seed) {
    std::mt19937 random(seed);
    auto [one, other] = FrameStream::pair();
    FrameStream from(std::move(one));
    FrameStream to(std::move(other));
    if (seed % 2 == 0) {
      const int small = 4096;
      ::setsockopt(from.descriptor(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    }
    std::vector<std::string> texts;
    std::vector<std::vector<std::string>> files;
    std::vector<base::Descriptor> lent;  // until everything has been written
    for (int i = 0; i < 60; ++i) {
      const std::size_t kinds[] = {0, 1, 8, 300, 5000, 70'000, 300'000};
      texts.push_back(pattern(kinds[random() % std::size(kinds)], random()));
      std::vector<int> numbers;
      files.emplace_back();
      for (std::size_t j = random() % 4; j > 0; --j) {
        files.back().push_back(std::to_string(i) + "." + std::to_string(j));
        lent.push_back(file_with(files.back().back()));
        numbers.push_back(lent.back().get());
      }
      from.send(bytes_of(texts.back()), numbers);
    }
    Datagram frame;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      ReceiveStatus status = to.receive(&frame);
      while (status == ReceiveStatus::Empty && (from.queued_bytes() > 0 || !to.drained())) {
        ASSERT_TRUE(from.flush());
        status = to.receive(&frame);
      }
      ASSERT_EQ(status, ReceiveStatus::Message) << "seed " << seed << " frame " << i;
      ASSERT_TRUE(text_of(frame.bytes) == texts[i]) << "seed " << seed << " frame " << i;
      std::vector<std::string> contents;
      for (const base::Descriptor& each : frame.descriptors) contents.push_back(content_of(each));
      ASSERT_EQ(contents, files[i]) << "seed " << seed << " frame " << i;
    }
  }
}

TEST_F(FrameStreamTest, WhatAPeerSaidBeforeItsEndIsRead) {
  send("last words");
  a_ = FrameStream(base::Descriptor(::open("/dev/null", O_RDWR | O_CLOEXEC)));
  ASSERT_EQ(next(), ReceiveStatus::Message);
  EXPECT_EQ(got(), "last words");
  EXPECT_EQ(next(), ReceiveStatus::Closed);
}

TEST_F(FrameStreamTest, WhatAPeerSaidBeforeItsEndIsReadAlsoByOneWhoFoundOutByWriting) {
  const base::Descriptor file = file_with("the file");
  send("some words", {file.get()});
  send("last words");
  a_ = FrameStream(base::Descriptor(::open("/dev/null", O_RDWR | O_CLOEXEC)));
  b_.send(bytes_of("are you there?"));
  EXPECT_FALSE(b_.flush());
  ASSERT_EQ(next(), ReceiveStatus::Message);
  EXPECT_EQ(got(), "some words");
  EXPECT_THAT(got_files(), testing::ElementsAre("the file"));
  ASSERT_EQ(next(), ReceiveStatus::Message);
  EXPECT_EQ(got(), "last words");
  EXPECT_EQ(next(), ReceiveStatus::Closed);
}

TEST_F(FrameStreamTest, APeerThatEndsInTheMiddleOfAFrameHasClosed) {
  shrink_buffers();
  const base::Descriptor file = file_with("lost");
  send(pattern(1 << 20, 1), {file.get()});
  ASSERT_GT(a_.queued_bytes(), 0u);
  ASSERT_EQ(b_.receive(&got_), ReceiveStatus::Empty);
  a_ = FrameStream(base::Descriptor(::open("/dev/null", O_RDWR | O_CLOEXEC)));
  while (b_.receive(&got_) == ReceiveStatus::Empty) ASSERT_FALSE(b_.drained());
  EXPECT_EQ(b_.receive(&got_), ReceiveStatus::Closed);
}

TEST_F(FrameStreamTest, NothingIsTakenForAPeerThatIsGone) {
  b_ = FrameStream(base::Descriptor(::open("/dev/null", O_RDWR | O_CLOEXEC)));
  send("hello?");
  EXPECT_FALSE(a_.flush());
  EXPECT_TRUE(a_.broken());
  EXPECT_EQ(a_.queued_bytes(), 0u) << "nobody waits for room";
  send("anybody?");
  EXPECT_EQ(a_.queued_bytes(), 0u);
}

TEST_F(FrameStreamTest, AnEndIsOneForBoth) {
  send("before");
  b_.send(bytes_of("unheard"));
  a_.end();
  EXPECT_TRUE(a_.broken());
  send("after");
  EXPECT_FALSE(a_.flush());
  ASSERT_EQ(next(), ReceiveStatus::Message);
  EXPECT_EQ(got(), "before");
  EXPECT_EQ(next(), ReceiveStatus::Closed);
  b_.send(bytes_of("late"));
  EXPECT_FALSE(b_.flush());
}

// ---- a peer that does not keep to the format

void write_raw(const FrameStream& to, const void* bytes, std::size_t size) {
  ASSERT_EQ(::send(to.descriptor(), bytes, size, MSG_NOSIGNAL), static_cast<ssize_t>(size));
}

TEST_F(FrameStreamTest, AHeaderAtTheLimitIsWaitedForAndOneBeyondItIsTheEnd) {
  const std::array<std::uint32_t, 2> at{static_cast<std::uint32_t>(kFrameLimitBytes),
                                        static_cast<std::uint32_t>(kFrameDescriptorsLimit)};
  write_raw(a_, at.data(), sizeof at);
  EXPECT_EQ(b_.receive(&got_), ReceiveStatus::Empty);
  for (const std::size_t which : {0u, 1u}) {
    auto [one, other] = FrameStream::pair();
    const FrameStream from(std::move(one));
    FrameStream to(std::move(other));
    std::array<std::uint32_t, 2> beyond{0, 0};
    beyond[which] = at[which] + 1;
    write_raw(from, beyond.data(), sizeof beyond);
    EXPECT_EQ(to.receive(&got_), ReceiveStatus::Truncated);
    EXPECT_EQ(to.receive(&got_), ReceiveStatus::Truncated) << "for ever";
  }
}

TEST_F(FrameStreamTest, AFrameWithoutTheDescriptorsItPromisesIsTheEnd) {
  const std::array<std::uint32_t, 2> header{0, 1};
  write_raw(a_, header.data(), sizeof header);
  EXPECT_EQ(b_.receive(&got_), ReceiveStatus::Truncated);
}

TEST_F(FrameStreamTest, AHeaderMayComeByteForByte) {
  const std::array<std::uint32_t, 2> header{3, 0};
  std::array<char, 11> whole{};
  std::memcpy(whole.data(), header.data(), sizeof header);
  std::memcpy(whole.data() + sizeof header, "abc", 3);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    ASSERT_EQ(b_.receive(&got_), ReceiveStatus::Empty) << i;
    write_raw(a_, whole.data() + i, 1);
  }
  ASSERT_EQ(b_.receive(&got_), ReceiveStatus::Message);
  EXPECT_EQ(got(), "abc");
}

using FrameStreamDeathTest = FrameStreamTest;

TEST_F(FrameStreamDeathTest, OurOwnFramesAreWithinTheLimits) {
  EXPECT_DEATH(a_.send(std::vector<std::byte>(kFrameLimitBytes + 1)), "a frame of");
  EXPECT_DEATH(a_.send({}, std::vector<int>(kFrameDescriptorsLimit + 1, 0)), "descriptors");
}

// ---- nothing stays open

TEST(FrameStreamLeaks, NoDescriptorStaysOpenWhateverTheEnd) {
  const std::size_t before = open_descriptors();
  for (int round = 0; round < 6; ++round) {
    auto [one, other] = FrameStream::pair();
    FrameStream from(std::move(one));
    FrameStream to(std::move(other));
    const base::Descriptor file = file_with("x");
    const std::vector<int> three(3, file.get());
    Datagram got;
    from.send(bytes_of("read"), three);
    from.send(bytes_of("read as well, but not taken"), three);
    ASSERT_EQ(to.receive(&got), ReceiveStatus::Message);
    if (round % 3 == 1) {  // beyond what the format allows
      const std::array<std::uint32_t, 2> nonsense{~0u, ~0u};
      write_raw(from, nonsense.data(), sizeof nonsense);
      ASSERT_EQ(to.receive(&got), ReceiveStatus::Message);
      ASSERT_EQ(to.receive(&got), ReceiveStatus::Truncated);
    } else if (round % 3 == 2) {  // half a frame
      from.send(std::vector<std::byte>(std::size_t{20} << 20), three);
      ASSERT_GT(from.queued_bytes(), 0u);
      ASSERT_EQ(to.receive(&got), ReceiveStatus::Message);
      ASSERT_EQ(to.receive(&got), ReceiveStatus::Empty);
    }
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace limpet::ipc
