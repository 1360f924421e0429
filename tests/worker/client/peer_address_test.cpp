#include "worker/client/peer_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace limpet::client {
namespace {

sockaddr_storage v4(const char* text, std::uint16_t port) {
  sockaddr_storage storage{};
  auto& address = reinterpret_cast<sockaddr_in&>(storage);
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, text, &address.sin_addr);
  return storage;
}

sockaddr_storage v6(const char* text, std::uint16_t port) {
  sockaddr_storage storage{};
  auto& address = reinterpret_cast<sockaddr_in6&>(storage);
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  ::inet_pton(AF_INET6, text, &address.sin6_addr);
  return storage;
}

TEST(PeerAddress, SaysAnIpv4Address) {
  const auto peer = PeerAddress::from(v4("127.0.0.5", 4711));
  EXPECT_EQ(peer.text(), "127.0.0.5");
  EXPECT_EQ(peer.port(), 4711);
}

TEST(PeerAddress, SaysAnIpv6Address) {
  const auto peer = PeerAddress::from(v6("2001:db8::7", 65535));
  EXPECT_EQ(peer.text(), "2001:db8::7");
  EXPECT_EQ(peer.port(), 65535);
}

TEST(PeerAddress, SaysAMappedAddressAsIpv4) {
  EXPECT_EQ(PeerAddress::from(v6("::ffff:127.0.0.5", 1)).text(), "127.0.0.5");
  EXPECT_EQ(PeerAddress::from(v6("::1", 1)).text(), "::1") << "which is not mapped";
}

TEST(PeerAddress, OfAUnixSocketIsEmpty) {
  sockaddr_storage storage{};
  storage.ss_family = AF_UNIX;
  EXPECT_EQ(PeerAddress::from(storage).text(), "");
  EXPECT_EQ(PeerAddress::from(storage).port(), 0);
  EXPECT_EQ(PeerAddress().text(), "");
}

TEST(PeerAddress, ComesBackFromItsText) {
  for (const char* text : {"127.0.0.5", "::1", "2001:db8::7", "0.0.0.0", "255.255.255.255"}) {
    const auto peer = PeerAddress::from_text(text, 80);
    EXPECT_EQ(peer.text(), text);
    EXPECT_EQ(peer.port(), 80);
  }
}

TEST(PeerAddress, OfTextThatGoesOnBehindANulIsNone) {
  EXPECT_EQ(PeerAddress::from_text(std::string_view("127.0.0.5\0x", 11), 80).text(), "");
}

TEST(PeerAddress, OfWhatIsNoAddressIsNone) {
  for (const char* text : {"", "localhost", "127.0.0.256", "127.0.0.1:80", "[::1]", "::1%lo"}) {
    EXPECT_EQ(PeerAddress::from_text(text, 80).text(), "") << text;
    EXPECT_EQ(PeerAddress::from_text(text, 80).port(), 0) << text;
  }
}

}  // namespace
}  // namespace limpet::client
