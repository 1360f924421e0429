#include "base/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace limpet::base {
namespace {

using testing::HasSubstr;

TEST(Address, WhatIsWrittenIsWhatIsShown) {
  for (const char* text : {"tcp://127.0.0.1:3000", "tcp://[::]:0", "tcp://[::1]:65535", "tcp://0.0.0.0:80",
                           "unix:///run/app/limpet.sock"}) {
    std::string why;
    const auto address = parse_address(text, &why);
    ASSERT_TRUE(address) << why;
    EXPECT_EQ(to_text(*address), text);
  }
}

TEST(Address, APathIsAbsoluteAndFitsAUnixSocket) {
  std::string why;
  for (const char* text : {"unix://", "unix://limpet.sock", "unix:///", "unix:///run/"}) {
    EXPECT_FALSE(parse_address(text, &why)) << text;
    EXPECT_THAT(why, HasSubstr("unix:///PATH is one"));
  }
  EXPECT_TRUE(parse_address("unix:///" + std::string(106, 'x'), &why));
  EXPECT_FALSE(parse_address("unix:///" + std::string(107, 'x'), &why));
  EXPECT_THAT(why, HasSubstr("has 108 bytes; 107 is the most"));
}

TEST(Address, AnyIsEveryAddressOfItsFamily) {
  std::string why;
  EXPECT_TRUE(parse_address("tcp://[::]:1", &why)->is_any());
  EXPECT_TRUE(parse_address("tcp://0.0.0.0:1", &why)->is_any());
  EXPECT_FALSE(parse_address("tcp://[::1]:1", &why)->is_any());
  EXPECT_FALSE(parse_address("tcp://127.0.0.1:1", &why)->is_any());
  EXPECT_FALSE(parse_address("unix:///x", &why)->is_any());
}

TEST(Address, WithAZeroByteIsNone) {
  std::string why;
  for (const std::string_view host : {"127.0.0.1", "[::1]"}) {
    std::string text = "tcp://" + std::string(host) + ":80";
    EXPECT_TRUE(parse_address(text, &why)) << text;
    text.insert(text.rfind(host.back() == ']' ? ']' : ':'), 1, '\0');
    EXPECT_FALSE(parse_address(text, &why)) << text;
  }
}

TEST(Address, WhatIsNoneIsToldWithWhatWouldBeRight) {
  for (const char* text : {"",
                           "3000",
                           "localhost:3000",
                           "tcp://",
                           "127.0.0.1:80",
                           "http://127.0.0.1:80",
                           "udp://127.0.0.1:1",
                           "tcp://localhost:3000",
                           "tcp://127.0.0.1",
                           "tcp://127.0.0.1:",
                           "tcp://127.0.0.1:x",
                           "tcp://127.0.0.1:80x",
                           "tcp://127.0.0.1:-1",
                           "tcp://127.0.0.1:65536",
                           "tcp://::1:80",
                           "tcp://::1:80:",
                           "tcp://[::1:80",
                           "tcp://[]:80",
                           "tcp://[127.0.0.1]:80",
                           "tcp://:80"}) {
    std::string why;
    EXPECT_FALSE(parse_address(text, &why)) << text;
    EXPECT_THAT(why, HasSubstr("tcp://ADDRESS:PORT"));
  }
}

}  // namespace
}  // namespace limpet::base
