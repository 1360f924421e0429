#include "worker/websocket/handshake.h"

#include <gtest/gtest.h>

#include <string>

namespace limpet::websocket {
namespace {

/// The answer to a handshake with these lines beside what it needs; of the protocols it takes the first.
http::Response answer(std::string_view lines,
                      std::string_view key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                      std::string_view version = "Sec-WebSocket-Version: 13\r\n") {
  std::string raw = "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";
  raw.append(key).append(version).append(lines).append("\r\n");
  const http::ParsedHead parsed = http::parse_head(raw, 4096);
  EXPECT_EQ(parsed.status, http::HeadStatus::Complete) << raw;
  const HandshakeCheck check = check_handshake(parsed.head);
  if (check.error != 0) return refuse_handshake(check);
  return accept_handshake(parsed.head,
                          check.protocols.empty() ? std::string_view() : check.protocols.front());
}
std::string protocol(std::string_view lines) {
  return std::string(http::find_header("x\r\n" + answer(lines).header_lines(), "Sec-WebSocket-Protocol"));
}

TEST(Handshake, AnswersASubprotocolOfThoseThatAreOfferedAndNoneIfNoneIs) {
  EXPECT_EQ(protocol(""), "");
  EXPECT_EQ(protocol("Sec-WebSocket-Protocol: one\r\n"), "one");
  EXPECT_EQ(protocol("sec-websocket-protocol: one ,two\r\nSec-WebSocket-Protocol: three\r\n"), "one");
}

TEST(Handshake, RefusesAListOfSubprotocolsThatIsNone) {
  for (const char* value :
       {"", ",", "a,", ",a", "a,,b", "a b", "a;b", "\"a\"", "a,a", "a/b", "a\r\nSec-WebSocket-Protocol: a"})
    EXPECT_EQ(answer("Sec-WebSocket-Protocol: " + std::string(value) + "\r\n").status, 400) << value;
  std::string many = "Sec-WebSocket-Protocol: p0";
  for (int i = 1; i < 64; ++i) many += ",p" + std::to_string(i);
  EXPECT_EQ(answer(many + "\r\n").status, 101);
  EXPECT_EQ(answer(many + ",p64\r\n").status, 400);
}

TEST(Handshake, RefusesAKeyOrAVersionThatComesTwice) {
  EXPECT_EQ(answer("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n").status, 400);
  EXPECT_EQ(answer("Sec-WebSocket-Version: 13\r\n").status, 426);
}

TEST(Handshake, SaysWhatToUpgradeToInA426) {
  const std::string lines = answer("", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "").header_lines();
  EXPECT_NE(lines.find("Upgrade: websocket\r\n"), std::string::npos);
  EXPECT_NE(lines.find("Connection: Upgrade\r\n"), std::string::npos);
  EXPECT_NE(lines.find("Sec-WebSocket-Version: 13\r\n"), std::string::npos);
}

}  // namespace
}  // namespace limpet::websocket
