#include "ipc/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace limpet::ipc {
namespace {

using testing::HasSubstr;

TEST(Address, WhatIsWrittenIsWhatIsShown) {
  for (const char* text : {"tcp://127.0.0.1:3000", "tcp://[::]:0", "tcp://[::1]:65535", "tcp://0.0.0.0:80"}) {
    std::string why;
    const auto address = parse_address(text, &why);
    ASSERT_TRUE(address) << why;
    EXPECT_EQ(to_text(*address), text);
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
}  // namespace limpet::ipc
