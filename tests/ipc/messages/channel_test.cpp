#include "ipc/messages/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>
#include <string>

namespace limpet::ipc {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

std::string text_of(const Datagram& datagram) {
  return {reinterpret_cast<const char*>(datagram.bytes.data()), datagram.bytes.size()};
}

base::Descriptor open_null() {
  return base::Descriptor(base::require(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open /dev/null"));
}

bool is_same_file(int left, int right) {
  struct stat a {};
  struct stat b {};
  return ::fstat(left, &a) == 0 && ::fstat(right, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

bool is_open(int number) { return ::fcntl(number, F_GETFD) != -1; }

void wait_for(int descriptor, short event) {
  pollfd wanted{.fd = descriptor, .events = event, .revents = 0};
  ASSERT_EQ(::poll(&wanted, 1, 10'000), 1) << "nothing happened within 10 s";
}

class ChannelTest : public testing::Test {
 protected:
  explicit ChannelTest(std::size_t queue_limit_bytes = 8u << 20)
      : ChannelTest(Channel::pair(), queue_limit_bytes) {}

  /// Sends until the peer has room for nothing more; gives how many the kernel took.
  int fill() {
    const auto message = bytes_of("f" + std::string(1023, 'i'));
    int taken = 0;
    while (here_.send(message) == SendStatus::Sent) ++taken;
    return taken;
  }
  ReceiveStatus receive() { return there_->receive(&got_); }

  Channel here_;
  std::optional<Channel> there_;
  Datagram got_;

 private:
  ChannelTest(std::pair<base::Descriptor, base::Descriptor> ends, std::size_t queue_limit_bytes)
      : here_(std::move(ends.first), queue_limit_bytes), there_(std::in_place, std::move(ends.second)) {}
};

TEST_F(ChannelTest, MessagesArriveWholeAndInOrder) {
  ASSERT_EQ(here_.send(bytes_of("first")), SendStatus::Sent);
  ASSERT_EQ(here_.send(bytes_of("second, longer")), SendStatus::Sent);
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  EXPECT_EQ(text_of(got_), "first");
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  EXPECT_EQ(text_of(got_), "second, longer");
  EXPECT_EQ(receive(), ReceiveStatus::Empty);
}

TEST_F(ChannelTest, ArrivingBytesAreAlignedForWords) {
  ASSERT_EQ(here_.send(bytes_of("12345678")), SendStatus::Sent);
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(got_.bytes.data()) % 8, 0u);
}

TEST_F(ChannelTest, DescriptorsArriveWithTheirMessageInOrderAndCloseOnExec) {
  auto [one_end, other_end] = Channel::pair();
  const base::Descriptor null = open_null();
  ASSERT_EQ(here_.send(bytes_of("none")), SendStatus::Sent);
  ASSERT_EQ(here_.send(bytes_of("three"), std::array{null.get(), one_end.get(), other_end.get()}),
            SendStatus::Sent);
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  EXPECT_TRUE(got_.descriptors.empty());
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  ASSERT_EQ(got_.descriptors.size(), 3u);
  EXPECT_TRUE(is_same_file(got_.descriptors[0].get(), null.get()));
  EXPECT_TRUE(is_same_file(got_.descriptors[1].get(), one_end.get()));
  EXPECT_TRUE(is_same_file(got_.descriptors[2].get(), other_end.get()));
  for (const base::Descriptor& descriptor : got_.descriptors)
    EXPECT_EQ(::fcntl(descriptor.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST_F(ChannelTest, DescriptorsOfTheMessageBeforeAreClosed) {
  const base::Descriptor null = open_null();
  ASSERT_EQ(here_.send(bytes_of("with"), std::array{null.get()}), SendStatus::Sent);
  ASSERT_EQ(here_.send(bytes_of("without")), SendStatus::Sent);
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  const int number = got_.descriptors.at(0).get();
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  EXPECT_FALSE(is_open(number));
}

TEST_F(ChannelTest, AsManyDescriptorsAsMayBeArrive) {
  const base::Descriptor null = open_null();
  ASSERT_EQ(here_.send(bytes_of("x"), std::vector<int>(kDescriptorsLimit, null.get())), SendStatus::Sent);
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  EXPECT_EQ(got_.descriptors.size(), kDescriptorsLimit);
}

using ChannelDeathTest = ChannelTest;
TEST_F(ChannelDeathTest, OneDescriptorMoreIsOurOwnMistake) {
  const std::vector<int> many(kDescriptorsLimit + 1, 0);
  EXPECT_DEATH((void)here_.send(bytes_of("x"), many), "17 descriptors in one message");
}

TEST_F(ChannelDeathTest, SendingNothingIsOurOwnMistake) {
  EXPECT_DEATH((void)here_.send({}), "would look like the end of the channel");
}

/// Sends as a peer that keeps no rule.
void send_raw(int socket, std::size_t descriptors, std::size_t bytes) {
  std::vector<char> control(CMSG_SPACE(descriptors * sizeof(int)));
  std::vector<char> content(bytes, 'x');
  iovec part{content.data(), content.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (descriptors > 0) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
    for (std::size_t i = 0; i < descriptors; ++i)
      std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &socket, sizeof socket);
  }
  ASSERT_EQ(::sendmsg(socket, &header, 0), static_cast<ssize_t>(bytes)) << std::strerror(errno);
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (int number = 0; number < 1024; ++number) count += is_open(number) ? 1 : 0;
  return count;
}

TEST_F(ChannelTest, ATruncatedControlMessageIsFatalAndLeavesNoDescriptorBehind) {
  send_raw(here_.descriptor(), kDescriptorsLimit + 4, 8);
  const std::size_t before = open_descriptors();
  EXPECT_EQ(receive(), ReceiveStatus::Truncated);
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(ChannelTest, ADescriptorThatFoundNoNumberIsLostAndTheChannelGoesOn) {
  const base::Descriptor null = open_null();
  ASSERT_EQ(here_.send(bytes_of("x"), std::array{null.get(), null.get()}), SendStatus::Sent);
  const std::size_t before = open_descriptors();
  rlimit normal{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &normal), 0);
  const base::Descriptor lowest_free = null.duplicate();  // room for one of the two
  const rlimit tight{.rlim_cur = static_cast<rlim_t>(lowest_free.get()) + 2, .rlim_max = normal.rlim_max};
  // Not the fixture's receive(): UBSan's look at its type needs a descriptor.
  Channel& there = *there_;
  Datagram got;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const ReceiveStatus status = there.receive(&got);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &normal), 0);
  EXPECT_EQ(status, ReceiveStatus::DescriptorsLost);
  EXPECT_EQ(text_of(got), "x");
  EXPECT_TRUE(got.descriptors_lost);
  EXPECT_EQ(got.descriptors.size(), 1u);
  EXPECT_EQ(open_descriptors(), before + 2) << "one of the two, and ours";
  ASSERT_EQ(here_.send(bytes_of("y"), std::array{null.get(), null.get()}), SendStatus::Sent);
  EXPECT_EQ(receive(), ReceiveStatus::Message) << "as if nothing had been";
}

TEST_F(ChannelTest, AMessageOfAsManyBytesAsTheSocketTakesArrives) {
  std::size_t largest = 0;
  // The limit is the system's (net.core.wmem_max) where we are not privileged: find it from above.
  for (std::size_t size = kMessageLimitBytes; size >= 64u << 10; size /= 2) {
    const SendStatus status = here_.send(std::vector<std::byte>(size, std::byte{7}));
    if (status == SendStatus::TooLarge) continue;
    ASSERT_EQ(status, SendStatus::Sent);
    largest = size;
    break;
  }
  ASSERT_GE(largest, 128u << 10);
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  EXPECT_EQ(got_.bytes, std::vector<std::byte>(largest, std::byte{7}));
}

TEST_F(ChannelTest, AMessageOverTheLimitIsNotTakenAndHarmsNobody) {
  EXPECT_EQ(here_.send(std::vector<std::byte>(kMessageLimitBytes + 1)), SendStatus::TooLarge);
  EXPECT_FALSE(here_.wants_write());
  ASSERT_EQ(here_.send(bytes_of("next")), SendStatus::Sent);
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  EXPECT_EQ(text_of(got_), "next");
}

TEST_F(ChannelTest, WhatThePeerHasNoRoomForIsKeptAndSentInOrder) {
  const int taken = fill();  // the last of them is queued
  ASSERT_GT(taken, 0);
  ASSERT_TRUE(here_.wants_write());
  ASSERT_EQ(here_.send(bytes_of("last")), SendStatus::Queued);
  EXPECT_EQ(here_.flush(), SendStatus::Queued);
  for (int i = 0; i < taken; ++i) ASSERT_EQ(receive(), ReceiveStatus::Message);
  wait_for(here_.descriptor(), POLLOUT);
  ASSERT_EQ(here_.flush(), SendStatus::Sent);
  EXPECT_FALSE(here_.wants_write());
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  EXPECT_EQ(got_.bytes.size(), 1024u);
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  EXPECT_EQ(text_of(got_), "last");
  EXPECT_EQ(receive(), ReceiveStatus::Empty);
}

TEST_F(ChannelTest, AMessageDoesNotOvertakeTheQueue) {
  (void)fill();
  while (receive() == ReceiveStatus::Message) {
  }
  // There is room again, but one message waits.
  EXPECT_EQ(here_.send(bytes_of("second")), SendStatus::Queued);
  ASSERT_EQ(here_.flush(), SendStatus::Sent);
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  EXPECT_EQ(got_.bytes.size(), 1024u);
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  EXPECT_EQ(text_of(got_), "second");
}

TEST_F(ChannelTest, AQueuedDescriptorIsADuplicateSoTheLenderMayClose) {
  const int taken = fill();
  struct stat lent {};
  {
    const base::Descriptor null = open_null();
    ASSERT_EQ(::fstat(null.get(), &lent), 0);
    ASSERT_EQ(here_.send(bytes_of("with"), std::array{null.get()}), SendStatus::Queued);
  }
  for (int i = 0; i < taken; ++i) ASSERT_EQ(receive(), ReceiveStatus::Message);
  ASSERT_EQ(here_.flush(), SendStatus::Sent);
  ASSERT_EQ(receive(), ReceiveStatus::Message);  // the one that filled
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  ASSERT_EQ(got_.descriptors.size(), 1u);
  struct stat arrived {};
  ASSERT_EQ(::fstat(got_.descriptors[0].get(), &arrived), 0);
  EXPECT_EQ(arrived.st_rdev, lent.st_rdev);
}

struct SmallQueueTest : ChannelTest {
  SmallQueueTest() : ChannelTest(1024 + 100) {}
};

TEST_F(SmallQueueTest, TheQueueTakesAsMuchAsItsLimitAndNotAByteMore) {
  (void)fill();  // leaves 100
  EXPECT_EQ(here_.send(bytes_of(std::string(101, 'x'))), SendStatus::Full);
  EXPECT_EQ(here_.send(bytes_of(std::string(99, 'x'))), SendStatus::Queued);
  EXPECT_EQ(here_.send(bytes_of("xx")), SendStatus::Full);
  EXPECT_EQ(here_.send(bytes_of("x")), SendStatus::Queued);
  EXPECT_EQ(here_.send(bytes_of("x")), SendStatus::Full);
}

TEST_F(SmallQueueTest, ADescriptorCountsAgainstTheLimit) {
  (void)fill();
  EXPECT_EQ(here_.send(bytes_of("x"), std::array{0}), SendStatus::Full);
}

TEST_F(SmallQueueTest, TheQueueHasRoomAgainWhenItWasSent) {
  (void)fill();
  while (receive() == ReceiveStatus::Message) {
  }
  ASSERT_EQ(here_.flush(), SendStatus::Sent);
  ASSERT_GT(fill(), 0);
  EXPECT_EQ(here_.send(bytes_of(std::string(100, 'x'))), SendStatus::Queued);
}

TEST_F(ChannelTest, ThePeersEndIsTheEnd) {
  ASSERT_EQ(here_.send(bytes_of("last words")), SendStatus::Sent);
  { const Channel gone = std::move(here_); }
  ASSERT_EQ(receive(), ReceiveStatus::Message);
  EXPECT_EQ(text_of(got_), "last words");
  EXPECT_EQ(receive(), ReceiveStatus::Closed);
  EXPECT_EQ(there_->send(bytes_of("anybody?")), SendStatus::Closed);
}

TEST_F(ChannelTest, APeerThatLeavesMessagesUnreadIsClosedToo) {
  ASSERT_EQ(here_.send(bytes_of("unread")), SendStatus::Sent);
  there_.reset();
  Datagram got;
  EXPECT_EQ(here_.receive(&got), ReceiveStatus::Closed);
  EXPECT_EQ(here_.send(bytes_of("x")), SendStatus::Closed);
}

TEST_F(ChannelTest, FlushingToAPeerThatIsGoneSaysSo) {
  (void)fill();
  there_.reset();
  EXPECT_EQ(here_.flush(), SendStatus::Closed);
}

TEST_F(ChannelTest, NeitherEndEverWaits) {
  for (const int end : {here_.descriptor(), there_->descriptor()})
    EXPECT_EQ(::fcntl(end, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

TEST(Channel, IsNotMadeOfWhatIsNoSocket) { EXPECT_THROW(Channel{open_null()}, std::system_error); }

TEST(Channel, ThePairsEndsAreClosedOnExec) {
  const auto [one, other] = Channel::pair();
  EXPECT_EQ(::fcntl(one.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  EXPECT_EQ(::fcntl(other.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

}  // namespace
}  // namespace limpet::ipc
