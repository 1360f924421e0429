#include "base/network.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace limpet::base {
namespace {

using testing::HasSubstr;

bool contains(const std::string& network, const std::string& address) {
  std::string why;
  const auto parsed = parse_network(network, &why);
  EXPECT_TRUE(parsed) << why;
  std::array<std::uint8_t, 16> bytes{};
  const int family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  EXPECT_EQ(::inet_pton(family, address.c_str(), bytes.data()), 1) << address;
  return parsed && parsed->contains(family, bytes);
}

std::string refusal(const std::string& text) {
  std::string why;
  EXPECT_FALSE(parse_network(text, &why)) << text;
  return why;
}

TEST(Network, ContainsWhatItsPrefixSays) {
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.0.1"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.1"));
  EXPECT_TRUE(contains("192.0.2.128/25", "192.0.2.128"));
  EXPECT_FALSE(contains("192.0.2.128/25", "192.0.2.127"));
  EXPECT_TRUE(contains("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(contains("2001:db8::/33", "2001:db8:8000::1"));
}

TEST(Network, OfNoBitsContainsEverythingOfItsFamily) {
  EXPECT_TRUE(contains("0.0.0.0/0", "203.0.113.9"));
  EXPECT_FALSE(contains("0.0.0.0/0", "::1"));
  EXPECT_TRUE(contains("::/0", "::1"));
  EXPECT_FALSE(contains("::/0", "127.0.0.1"));
}

TEST(Network, WithoutPrefixIsOneAddress) {
  EXPECT_TRUE(contains("192.0.2.7", "192.0.2.7"));
  EXPECT_FALSE(contains("192.0.2.7", "192.0.2.6"));
  EXPECT_TRUE(contains("::1", "::1"));
  EXPECT_FALSE(contains("::1", "::2"));
}

TEST(Network, OfUnixPeersContainsThoseWithoutAddress) {
  std::string why;
  const auto network = parse_network("unix", &why);
  ASSERT_TRUE(network);
  EXPECT_TRUE(network->contains(AF_UNSPEC, {}));
  EXPECT_FALSE(network->contains(AF_INET, std::array<std::uint8_t, 4>{}));
}

TEST(Network, WithAZeroByteIsNone) {
  using namespace std::string_literals;
  for (const std::string& text : {"10.0.0.0\0"s, "10.0.0.0\0x/8"s, "::1\0"s})
    EXPECT_THAT(refusal(text), HasSubstr("is no network"));
}

TEST(Network, MistakesAreToldWithWhatWouldBeRight) {
  for (const std::string text : {"", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x",
                                 "10.0.0/8", "::/129", "localhost", "10.0.0.0/255.0.0.0", " 10.0.0.0/8"})
    EXPECT_THAT(refusal(text), HasSubstr("'" + text + "' is no network; 10.0.0.0/8")) << text;
  EXPECT_THAT(refusal("10.0.0.1/8"), HasSubstr("bits set behind its prefix of 8 bits"));
  EXPECT_THAT(refusal("::ffff:10.0.0.0/104"), HasSubstr("IPv4 clients are seen as IPv4"));
}

}  // namespace
}  // namespace limpet::base
