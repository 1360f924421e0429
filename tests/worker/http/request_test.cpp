#include "worker/http/request.h"

#include <gtest/gtest.h>

#include <string>

namespace limpet::http {
namespace {

constexpr std::size_t kLimit = 1000;

ParsedHead parse(std::string_view bytes) { return parse_head(bytes, kLimit); }

int status_of(std::string_view bytes) {
  const auto parsed = parse(bytes);
  return parsed.status == HeadStatus::Bad ? parsed.error : 0;
}

TEST(RequestHead, GivesMethodTargetPathAndQueryAsTheyCame) {
  const auto parsed = parse("GET /socket.io/?EIO=4&x=%41 HTTP/1.1\r\nHost: here\r\n\r\nrest");
  ASSERT_EQ(parsed.status, HeadStatus::Complete);
  EXPECT_EQ(parsed.head.method, "GET");
  EXPECT_EQ(parsed.head.target, "/socket.io/?EIO=4&x=%41");
  EXPECT_EQ(parsed.head.path, "/socket.io/");
  EXPECT_EQ(parsed.head.query, "EIO=4&x=%41");
  EXPECT_EQ(parsed.head.version, 11);
  EXPECT_TRUE(parsed.head.keep_alive);
  EXPECT_TRUE(parsed.head.raw.ends_with("here\r\n\r\n"));
  EXPECT_EQ(target_of(parsed.head.raw), parsed.head.target);
}

TEST(RequestHead, FindsHeadersWhateverTheirCase) {
  const auto parsed = parse("GET / HTTP/1.1\r\nhOsT: here \r\nX-A:\t1\r\nx-a: 2\r\n\r\n");
  ASSERT_EQ(parsed.status, HeadStatus::Complete);
  EXPECT_EQ(parsed.head.header("Host"), "here");
  EXPECT_EQ(parsed.head.header("x-A"), "1");
  EXPECT_EQ(parsed.head.header("X"), "");
}

TEST(RequestHead, IsIncompleteAtEveryByteBeforeItsEndAndCompleteThere) {
  const std::string bytes = "POST /a HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\n";
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(parse(bytes.substr(0, size)).status, HeadStatus::Incomplete) << size;
    EXPECT_EQ(parse_head(bytes, kLimit, size).status, HeadStatus::Complete) << "searched " << size;
  }
  EXPECT_EQ(parse(bytes).head.content_length, 3u);
}

TEST(RequestHead, OfExactlyTheLimitIsTakenAndOneByteMoreIsNot) {
  const std::string shell = "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n";
  std::string bytes = shell;
  bytes.insert(shell.size() - 4, kLimit - shell.size(), 'x');
  ASSERT_EQ(bytes.size(), kLimit);
  EXPECT_EQ(parse(bytes).status, HeadStatus::Complete);
  bytes.insert(shell.size() - 4, 1, 'x');
  EXPECT_EQ(status_of(bytes), 431);
  EXPECT_EQ(status_of(bytes.substr(0, kLimit)), 431) << "no end within the limit";
  EXPECT_EQ(parse(bytes.substr(0, kLimit - 1)).status, HeadStatus::Incomplete);
}

TEST(RequestHead, WithBadSyntaxIsRefusedWith400) {
  for (const std::string_view bytes :
       {"GET /\r\n\r\n", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nHost h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: \x01\r\n\r\n", "GET / HTTP/x.1\r\nHost: h\r\n\r\n", "\x16\x03\x01",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"}) {
    EXPECT_EQ(status_of(bytes), 400) << bytes;
  }
}

TEST(RequestHead, WithLengthAndEncodingIsRefusedWith400WhicheverComesFirst) {
  EXPECT_EQ(
      status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
      400);
  EXPECT_EQ(
      status_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
      400);
}

TEST(RequestHead, WithAnEncodingOtherThanChunkedIsRefusedWith501) {
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n"), 501);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), 501);
}

TEST(RequestHead, OfAnotherVersionIsRefusedWith505) {
  EXPECT_EQ(status_of("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 505);
  EXPECT_EQ(status_of("GET / HTTP/1.2\r\nHost: h\r\n\r\n"), 505);
}

TEST(RequestHead, NeedsExactlyOneHostInHttp11) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\n\r\n"), 0);
}

TEST(RequestHead, ExpectingAnythingButContinueIsRefusedWith417) {
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nExpect: magic\r\n\r\n"), 417);
  EXPECT_TRUE(parse("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n\r\n").head.expect_continue);
}

TEST(RequestHead, AsksForWebSocketOnlyWithBothHeaders) {
  const auto upgrade = [](std::string_view lines) {
    return parse("GET / HTTP/1.1\r\nHost: h\r\n" + std::string(lines) + "\r\n").head.upgrade;
  };
  EXPECT_TRUE(upgrade("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"));
  EXPECT_FALSE(upgrade("Upgrade: websocket\r\n"));
  EXPECT_FALSE(upgrade("Connection: Upgrade\r\n"));
  EXPECT_FALSE(upgrade("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"));
}

TEST(RequestHead, KeepsAliveByVersionAndByConnectionHeader) {
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\n\r\n").head.keep_alive);
  EXPECT_TRUE(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").head.keep_alive);
  EXPECT_FALSE(parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").head.keep_alive);
}

TEST(Query, GivesTheFirstValueOfAName) {
  EXPECT_EQ(query_value("a=1&b=2&a=3", "a"), "1");
  EXPECT_EQ(query_value("a=1&b", "b"), "");
  EXPECT_EQ(query_value("a=1", "c"), std::nullopt);
  EXPECT_EQ(query_value("__proto__=x&&a=1", "a"), "1");
  EXPECT_EQ(query_value("", "a"), std::nullopt);
}

TEST(Query, IsDecodedAndBrokenEscapesStayAsTheyAre) {
  EXPECT_EQ(decode_component("a%20b+c%2B%e2%82%AC"), "a b c+\xe2\x82\xac");
  EXPECT_EQ(decode_component("%"), "%");
  EXPECT_EQ(decode_component("%4"), "%4");
  EXPECT_EQ(decode_component("%zz%41"), "%zzA");
}

}  // namespace
}  // namespace limpet::http
