// The cases of proxy-protocol.txt, section 2.
#include "worker/client/proxy_protocol.h"

#include <gmock/gmock.h>

#include <string>

namespace limpet::client {
namespace {

using Status = ProxyHeader::Status;
using namespace std::string_literals;

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
const std::string kBehind = "GET / HTTP/1.1\r\n";

std::string binary(char version_command, char family_transport, const std::string& rest) {
  const auto size = static_cast<unsigned>(rest.size());
  return kSignature + version_command + family_transport + static_cast<char>(size >> 8) +
         static_cast<char>(size & 255U) + rest;
}

const std::string kIpv4 =
    "\xc0\x00\x02\x07\x0a\x00\x00\x01\xdc\x04\x01\xbb"s;  // 192.0.2.7:56324, 10.0.0.1:443
const std::string kIpv6 =
    "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01" + std::string(16, '\x11') + "\x00\x50\x00\x51"s;

/// Whole at its last byte and at none before it, whatever stands behind.
ProxyHeader parse_whole(const std::string& header) {
  for (std::size_t size = 0; size < header.size(); ++size)
    EXPECT_EQ(parse_proxy_header(header.substr(0, size)).status, Status::Incomplete) << size;
  const ProxyHeader parsed = parse_proxy_header(header + kBehind);
  EXPECT_EQ(parsed.status, Status::Complete) << parsed.why;
  EXPECT_EQ(parsed.bytes, header.size());
  return parsed;
}

std::string client_of(const std::string& header) {
  const ProxyHeader parsed = parse_whole(header);
  return parsed.client ? parsed.client->text() + " " + std::to_string(parsed.client->port()) : "none";
}

std::string complaint(const std::string& bytes) {
  const ProxyHeader parsed = parse_proxy_header(bytes);
  EXPECT_EQ(parsed.status, Status::Bad) << bytes;
  return parsed.why;
}

TEST(ProxyHeader, OfVersion1NamesTheClient) {
  EXPECT_EQ(client_of("PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n"), "192.0.2.7 56324");
  EXPECT_EQ(client_of("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n"), "2001:db8::1 0");
  EXPECT_EQ(
      client_of("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                "65535 65535\r\n"),
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535");
}

TEST(ProxyHeader, OfVersion1WithoutClientIsTheProxysOwn) {
  EXPECT_EQ(client_of("PROXY UNKNOWN\r\n"), "none");
  EXPECT_EQ(client_of("PROXY UNKNOWN whatever stands here\r\n"), "none");
  EXPECT_EQ(client_of("PROXY UNKNOWN ffff:f::ffff ffff:f::ffff 65535 65535" + std::string(54, ' ') + "\r\n"),
            "none")
      << "107 bytes, the longest line";
}

TEST(ProxyHeader, OfVersion1MustBeExact) {
  for (const std::string& bad :
       {"PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n"s, "PROXY TCP4 192.0.2.7 10.0.0.1 56324 443 \r\n"s,
        "PROXY TCP4  192.0.2.7 10.0.0.1 56324 443\r\n"s, "PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n"s,
        "PROXY TCP4 192.0.2.7 10.0.0.1 -1 443\r\n"s, "PROXY TCP4 192.0.2.7 10.0.0.1 0443 443\r\n"s,
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"s, "PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n"s,
        "PROXY TCP4 client 10.0.0.1 1 2\r\n"s, "PROXY TCP4 192.0.2.7\0x 10.0.0.1 1 2\r\n"s, "PROXY TCP4\r\n"s,
        "PROXY \r\n"s, "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"s})
    EXPECT_NE(complaint(bad), "") << bad;
  EXPECT_STREQ(complaint("PROXY UNKNOWN " + std::string(93, 'x')).c_str(), "a line without end");
  EXPECT_EQ(complaint("GET / HTTP/1.1\r\n"), "no header");
  EXPECT_EQ(complaint("\x16\x03\x01"), "no header");
  EXPECT_EQ(complaint("PROXX"), "no header");
}

TEST(ProxyHeader, OfVersion2NamesTheClient) {
  EXPECT_EQ(client_of(binary('\x21', '\x11', kIpv4)), "192.0.2.7 56324");
  EXPECT_EQ(client_of(binary('\x21', '\x12', kIpv4)), "192.0.2.7 56324") << "UDP has the same addresses";
  EXPECT_EQ(client_of(binary('\x21', '\x21', kIpv6)), "2001:db8::1 80");
  const std::string mapped =
      std::string(10, '\0') + "\xff\xff\x7f\x00\x00\x09"s + std::string(16, '\0') + "\0\1\0\2"s;
  EXPECT_EQ(client_of(binary('\x21', '\x21', mapped)), "127.0.0.9 1");
}

TEST(ProxyHeader, OfVersion2WithTlvsIsSkippedAsAWhole) {
  EXPECT_EQ(client_of(binary('\x21', '\x11',
                             kIpv4 + "\x04\x00\x03"
                                     "abc"s)),
            "192.0.2.7 56324");
  const std::string longest = kIpv4 + std::string(kProxyHeaderLimitBytes - 16 - kIpv4.size(), '\x04');
  EXPECT_EQ(client_of(binary('\x21', '\x11', longest)), "192.0.2.7 56324");
  EXPECT_EQ(complaint(binary('\x21', '\x11', longest + "x")), "longer than 4096 bytes");
}

TEST(ProxyHeader, OfVersion2WithoutClientIsTheProxysOwn) {
  EXPECT_EQ(client_of(binary('\x20', '\0', "")), "none") << "LOCAL: a health check";
  EXPECT_EQ(client_of(binary('\x20', '\x11', kIpv4)), "none") << "LOCAL: the addresses mean nothing";
  EXPECT_EQ(client_of(binary('\x20', '\xff', "x")), "none") << "nor does the family";
  EXPECT_EQ(client_of(binary('\x21', '\0', "ignored")), "none") << "UNSPEC";
  EXPECT_EQ(client_of(binary('\x21', '\x10', kIpv4)), "none") << "a transport that is not specified";
  EXPECT_EQ(client_of(binary('\x21', '\x31', std::string(216, 'x'))), "none") << "a Unix socket";
}

TEST(ProxyHeader, OfVersion2MustBeOneThatIs) {
  EXPECT_EQ(complaint(binary('\x11', '\x11', kIpv4)), "another version than 1 and 2");
  EXPECT_EQ(complaint(binary('\x22', '\x11', kIpv4)), "an unknown command");
  EXPECT_EQ(complaint(binary('\x21', '\x41', kIpv4)), "an unknown family or transport");
  EXPECT_EQ(complaint(binary('\x21', '\x13', kIpv4)), "an unknown family or transport");
  EXPECT_EQ(complaint(binary('\x21', '\x11', kIpv4.substr(1))), "shorter than its addresses");
  EXPECT_EQ(complaint(binary('\x21', '\x21', kIpv6.substr(1))), "shorter than its addresses");
  EXPECT_EQ(complaint(binary('\x21', '\x31', std::string(215, 'x'))), "shorter than its addresses");
}

}  // namespace
}  // namespace limpet::client
