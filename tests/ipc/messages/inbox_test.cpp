#include "ipc/messages/inbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <string>

#include "ipc/messages/handover.h"

namespace limpet::ipc {
namespace {

Handover some_handover(std::string bytes) {
  return {.kind = HandoverKind::Connection,
          .client_address = "127.0.0.7",
          .client_port = 4711,
          .listener = 1,
          .bytes = std::move(bytes)};
}

class InboxTest : public testing::Test {
 protected:
  InboxTest() : InboxTest(make_inbox()) {}

  InboxStatus receive() { return receive_handover(receiving_, &got_, &why_); }

  Channel receiving_;
  Channel sending_;
  ReceivedHandover got_;
  std::string why_;

 private:
  explicit InboxTest(Inbox inbox)
      : receiving_(std::move(inbox.receiving)), sending_(std::move(inbox.sending)) {}
};

TEST_F(InboxTest, AConnectionArrivesAlive) {
  auto [client, server] = Channel::pair();
  ASSERT_EQ(send_handover(sending_, some_handover("GET / HTTP/1.1\r\n"), server.get()), SendStatus::Sent);
  server = base::Descriptor();
  ASSERT_EQ(receive(), InboxStatus::Received) << why_;
  EXPECT_EQ(got_.handover.client_address, "127.0.0.7");
  EXPECT_EQ(got_.handover.client_port, 4711);
  EXPECT_EQ(got_.handover.listener, 1);
  EXPECT_EQ(got_.handover.bytes, "GET / HTTP/1.1\r\n");
  ASSERT_EQ(::send(client.get(), "hello", 5, MSG_NOSIGNAL), 5);
  char heard[8] = {};
  EXPECT_EQ(::recv(got_.socket.get(), heard, sizeof heard, MSG_DONTWAIT), 5);
  EXPECT_STREQ(heard, "hello");
  EXPECT_EQ(receive(), InboxStatus::Empty);
}

TEST_F(InboxTest, AHandoverOverTheLimitStaysWithItsSender) {
  EXPECT_EQ(send_handover(sending_, some_handover(std::string(kHandoverLimitBytes + 1, 'x')), 0),
            SendStatus::TooLarge);
  EXPECT_EQ(receive(), InboxStatus::Empty);
  EXPECT_EQ(send_handover(sending_, some_handover(std::string(kHandoverLimitBytes, 'x')), 0),
            SendStatus::Sent);
  EXPECT_EQ(receive(), InboxStatus::Received);
}

TEST_F(InboxTest, ABadMessageCostsOnlyItself) {
  const std::vector<std::byte> nonsense(24, std::byte{0xff});
  ASSERT_EQ(sending_.send(nonsense), SendStatus::Sent);
  ASSERT_EQ(sending_.send(encode(some_handover("no socket"))), SendStatus::Sent);
  ASSERT_EQ(send_handover(sending_, some_handover("good"), 0), SendStatus::Sent);
  EXPECT_EQ(receive(), InboxStatus::Bad);
  EXPECT_NE(why_, "");
  EXPECT_EQ(receive(), InboxStatus::Bad);
  EXPECT_EQ(why_, "Handover: wants 1 descriptors, got 0");
  ASSERT_EQ(receive(), InboxStatus::Received);
  EXPECT_EQ(got_.handover.bytes, "good");
}

TEST_F(InboxTest, AWriterThatWasKilledWithOthersLeavesTheInboxWhole) {
  EXPECT_EQ(receive(), InboxStatus::Empty);
  { const Channel another(base::Descriptor(::dup(sending_.descriptor()))); }
  ASSERT_EQ(send_handover(sending_, some_handover("still here"), 0), SendStatus::Sent);
  ASSERT_EQ(receive(), InboxStatus::Received);
}

TEST_F(InboxTest, WithoutAWriterLeftItHasFailed) {
  { const Channel last = std::move(sending_); }
  EXPECT_EQ(receive(), InboxStatus::Failed);
}

constexpr int kWriters = 3;
constexpr int kOfEach = 200;

/// In a child: sends `kOfEach` handovers, and ends with 0 if all were taken.
[[noreturn]] void write_as(Channel& to, int writer) {
  for (int i = 0; i < kOfEach; ++i) {
    const std::string bytes = std::to_string(writer) + ":" + std::to_string(i) + std::string(500, '.');
    if (send_handover(to, some_handover(bytes), 0) == SendStatus::Full) ::_exit(1);
    while (to.wants_write()) {
      pollfd room{.fd = to.descriptor(), .events = POLLOUT, .revents = 0};
      if (::poll(&room, 1, 10'000) != 1 || to.flush() == SendStatus::Closed) ::_exit(2);
    }
  }
  ::_exit(0);
}

TEST_F(InboxTest, TheMessagesOfSeveralProcessesDoNotMix) {
  std::vector<pid_t> writers;
  for (int writer = 0; writer < kWriters; ++writer) {
    const pid_t pid = ::fork();
    ASSERT_NE(pid, -1);
    if (pid == 0) write_as(sending_, writer);
    writers.push_back(pid);
  }
  std::map<char, int> next;
  for (int received = 0; received < kWriters * kOfEach;) {
    const InboxStatus status = receive();
    if (status == InboxStatus::Empty) {
      pollfd arrival{.fd = receiving_.descriptor(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&arrival, 1, 10'000), 1) << "after " << received;
      continue;
    }
    ASSERT_EQ(status, InboxStatus::Received) << why_;
    const std::string& bytes = got_.handover.bytes;
    const std::string expected = std::string(1, bytes[0]) + ":" + std::to_string(next[bytes[0]]++);
    EXPECT_EQ(bytes, expected + std::string(500, '.'));
    ++received;
  }
  for (const pid_t pid : writers) {
    int status = -1;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
}

}  // namespace
}  // namespace limpet::ipc
