#include "worker/client/listen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace limpet::client {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

std::string complaint_about(std::string_view address) {
  try {
    (void)listen_on(address);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "none";
}

TEST(Listen, APortOfZeroPicksAFreeOne) {
  const auto first = listen_on("tcp://127.0.0.1:0");
  const auto second = listen_on("tcp://127.0.0.1:0");
  EXPECT_THAT(address_of(first), MatchesRegex("tcp://127\\.0\\.0\\.1:[1-9][0-9]*"));
  EXPECT_NE(address_of(first), address_of(second));
}

TEST(Listen, AnIpv6AddressStandsInBrackets) {
  const auto listener = listen_on("tcp://[::1]:0");
  EXPECT_THAT(address_of(listener), MatchesRegex("tcp://\\[::1\\]:[1-9][0-9]*"));
}

TEST(Listen, AConnectionWaitsInItsQueue) {
  const auto listener = listen_on("tcp://127.0.0.1:0");
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const base::Descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  pollfd ready{listener.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&ready, 1, 5000), 1);
  EXPECT_TRUE(base::Descriptor(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)));
  EXPECT_EQ(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), -1) << "it does not block";
  EXPECT_EQ(errno, EAGAIN);
}

TEST(Listen, AUnixSocketReplacesOneThatNobodyServesAndNoOther) {
  const std::string path = testing::TempDir() + "limpet-listen-" + std::to_string(::getpid());
  const std::string name = "unix://" + path;
  {
    const auto listener = listen_on(name);
    EXPECT_EQ(address_of(listener), name);
    EXPECT_THAT(complaint_about(name), HasSubstr("in use"));
  }
  EXPECT_EQ(address_of(listen_on(name)), name) << "its file was left behind";
  ::unlink(path.c_str());
}

TEST(Listen, AnAddressInUseIsNamed) {
  const auto listener = listen_on("tcp://127.0.0.1:0");
  const std::string taken = address_of(listener);
  EXPECT_THAT(complaint_about(taken), HasSubstr("listen on " + taken));
  EXPECT_THAT(complaint_about(taken), HasSubstr("in use"));
}

TEST(Listen, AnAddressOfAnotherMachineIsNamed) {
  EXPECT_THAT(complaint_about("tcp://192.0.2.1:0"), HasSubstr("listen on tcp://192.0.2.1:0"));
}

TEST(Listen, WhatIsNoAddressIsRefusedWithTheRightForm) {
  EXPECT_THAT(complaint_about("127.0.0.1:80"),
              AllOf(HasSubstr("listen: '127.0.0.1:80'"), HasSubstr("tcp://ADDRESS:PORT")));
}

}  // namespace
}  // namespace limpet::client
