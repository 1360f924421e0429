#include "worker/client/client_address.h"

#include <gtest/gtest.h>

#include <string>

namespace limpet::client {
namespace {

std::vector<base::Network> networks(const std::vector<std::string>& texts) {
  std::vector<base::Network> result;
  std::string why;
  for (const std::string& text : texts) result.push_back(base::parse_network(text, &why).value());
  return result;
}

const std::vector<base::Network> kTrusted = networks({"10.0.0.0/8", "fd00::/8"});

/// The client of a request of `peer` with these header lines; "-" if nobody is named.
std::string client(const std::string& lines, AddressHeader header = AddressHeader::XForwardedFor,
                   const std::string& peer = "10.0.0.1",
                   const std::vector<base::Network>& trusted = kTrusted) {
  const auto found = forwarded_client(PeerAddress::from_text(peer, 1), trusted, header,
                                      "GET / HTTP/1.1\r\nHost: x\r\n" + lines + "\r\n");
  return found ? found->text() : "-";
}

std::string forwarded(const std::string& value) {
  return client("Forwarded: " + value + "\r\n", AddressHeader::Forwarded);
}

TEST(ForwardedClient, IsTheRightmostAddressThatIsNotTrusted) {
  EXPECT_EQ(client("X-Forwarded-For: 192.0.2.7\r\n"), "192.0.2.7");
  EXPECT_EQ(client("X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.1.1.1\r\n"), "192.0.2.7")
      << "6.6.6.6 is what the client said";
  EXPECT_EQ(client("X-Forwarded-For: 2001:db8::1,fd00::1\r\n"), "2001:db8::1");
  EXPECT_EQ(client("X-Forwarded-For: 10.0.0.2, 10.0.0.3\r\n"), "10.0.0.2") << "all are trusted: the farthest";
}

TEST(ForwardedClient, OfSeveralLinesIsThatOfOneList) {
  EXPECT_EQ(client("X-Forwarded-For: 192.0.2.7\r\nA: b\r\nx-forwarded-for: 10.0.0.9\r\n"), "192.0.2.7");
}

TEST(ForwardedClient, IsNotAskedForAtAPeerThatIsNotTrusted) {
  EXPECT_EQ(client("X-Forwarded-For: 192.0.2.7\r\n", AddressHeader::XForwardedFor, "192.0.2.1"), "-");
  EXPECT_EQ(client("X-Forwarded-For: 192.0.2.7\r\n", AddressHeader::XForwardedFor, "", kTrusted), "-");
  EXPECT_EQ(client("X-Forwarded-For: 192.0.2.7\r\n", AddressHeader::XForwardedFor, "", networks({"unix"})),
            "192.0.2.7");
  EXPECT_EQ(client("X-Forwarded-For: 192.0.2.7\r\n", AddressHeader::XForwardedFor, "10.0.0.1", {}), "-");
}

TEST(ForwardedClient, IsTheLastOneKnownWhereTheListIsNoAddress) {
  EXPECT_EQ(client("X-Forwarded-For: 192.0.2.7, unknown, 10.0.0.2\r\n"), "10.0.0.2");
  EXPECT_EQ(client("X-Forwarded-For: 192.0.2.7, unknown\r\n"), "-");
  for (const std::string bad : {"", ",", " , ", "x", "300.1.1.1", "1.2.3.4:x", "1.2.3.4:", "[::1",
                                "[1.2.3.4]", "[::1]x", "1.2.3.4:_", "1.2.3.4:_x\"", "1.2.3.4 5.6.7.8"})
    EXPECT_EQ(client("X-Forwarded-For: " + bad + "\r\n"), "-") << bad;
}

TEST(ForwardedClient, IsNotHiddenByAQuoteThatTheClientOpens) {
  EXPECT_EQ(client("X-Forwarded-For: \", 192.0.2.7\r\n"), "192.0.2.7");
  EXPECT_EQ(client("X-Forwarded-For: \", 192.0.2.7, 10.0.0.2\r\n"), "192.0.2.7");
  EXPECT_EQ(forwarded("for=\", for=192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(forwarded("for=6.6.6.6;by=\"x, For=\"[2001:db8::17]:4711\";proto=http, for=10.0.0.2"),
            "2001:db8::17");
  EXPECT_EQ(forwarded(R"(for=6.6.6.6, for=192.0.2.7;ext="a\"b, \\", for=10.0.0.2)"), "192.0.2.7")
      << "escaped, a quote is text";
}

TEST(ForwardedClient, MayHaveAPort) {
  EXPECT_EQ(client("X-Forwarded-For: 192.0.2.7:4711\r\n"), "192.0.2.7");
  EXPECT_EQ(client("X-Forwarded-For: [2001:db8::1]:4711\r\n"), "2001:db8::1");
  EXPECT_EQ(client("X-Forwarded-For: [2001:db8::1]\r\n"), "2001:db8::1");
}

TEST(ForwardedClient, ComesFromTheOneHeaderThatTheProxiesWrite) {
  const std::string both = "X-Forwarded-For: 192.0.2.7\r\nForwarded: for=6.6.6.6\r\n";
  EXPECT_EQ(client(both), "192.0.2.7");
  EXPECT_EQ(client(both, AddressHeader::Forwarded), "6.6.6.6");
}

TEST(ForwardedClient, OfRfc7239IsReadAsItsExamplesAreWritten) {
  EXPECT_EQ(forwarded("For=\"[2001:db8:cafe::17]:4711\""), "2001:db8:cafe::17");
  EXPECT_EQ(forwarded("for=192.0.2.60;proto=http;by=203.0.113.43"), "192.0.2.60");
  EXPECT_EQ(forwarded("for=192.0.2.43, for=10.51.100.17"), "192.0.2.43");
  EXPECT_EQ(forwarded("for=\"_gazonk\""), "-");
  EXPECT_EQ(forwarded("for=unknown, for=10.0.0.7"), "10.0.0.7");
  EXPECT_EQ(forwarded("for=\"192.0.2.43:_hidden\""), "192.0.2.43");
  EXPECT_EQ(forwarded("for=192.0.2.43;host=\"a,b;for=6.6.6.6\", for=10.0.0.9"), "192.0.2.43")
      << "commas and semicolons in quotes are text";
  EXPECT_EQ(forwarded("for=192.0.2.43, by=10.0.0.1"), "-") << "the nearest proxy hides whom it got it from";
}

}  // namespace
}  // namespace limpet::client
