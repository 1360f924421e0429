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

/// A request with these header lines behind its Host.
std::string with(std::string_view lines) {
  return "POST /a HTTP/1.1\r\nHost: h\r\n" + std::string(lines) + "\r\n\r\n";
}
/// One for this target.
std::string to(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n\r\n";
}

TEST(RequestHead, WithALineFeedAloneIsRefusedAsSoonAsThatIsThere) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\n\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\nA: b\nC: d\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n"), 400) << "a carriage return alone";
  const std::string bytes = "GET / HTTP/1.1\r\nHost: h\r\nA: b\nC";
  EXPECT_EQ(parse_head(bytes, kLimit, bytes.size() - 3).error, 400) << "searched before";
  EXPECT_EQ(status_of(with("A: b") + "\n\n"), 0) << "behind the head it is the body's";
}

TEST(RequestHead, WithALineFeedAloneBehindTheLimitIsTooLongAndNothingElse) {
  const std::string bytes = "GET / HTTP/1.1\r\nX: " + std::string(kLimit, 'x') + "\n\r\n";
  EXPECT_EQ(status_of(bytes), 431);
  EXPECT_EQ(status_of(bytes.substr(0, kLimit)), 431);
  const std::string before = "GET / HTTP/1.1\r\nX: \n" + std::string(kLimit, 'x');
  EXPECT_EQ(status_of(before), 400);
  EXPECT_EQ(status_of(before.substr(0, 30)), 400);
}

TEST(RequestHead, WithABlankInTheTargetOrAnyOtherLineThanThreePartsIsRefusedWith400) {
  for (const std::string_view line :
       {"GET /a b HTTP/1.1", "GET /a  HTTP/1.1", "GET /a\tHTTP/1.1", "GET /a HTTP/1.1 ", " GET /a HTTP/1.1",
        "GET /a http/1.1", "GET /a HTTP/1.10", "GET /a HTTP/11", "GET HTTP/1.1", "G@T / HTTP/1.1",
        "GET / HTTP"})
    EXPECT_EQ(status_of(std::string(line) + "\r\nHost: h\r\n\r\n"), 400) << line;
}

TEST(RequestHead, TakesTheFourFormsOfATargetWhereTheyBelong) {
  const auto split = [](const std::string& bytes) {
    const auto parsed = parse(bytes);
    EXPECT_EQ(parsed.status, HeadStatus::Complete) << bytes;
    return std::string(parsed.head.target) + " " + std::string(parsed.head.path) + " " +
           std::string(parsed.head.query);
  };
  EXPECT_EQ(split(to("http://other:81/a/b?c=d")), "/a/b?c=d /a/b c=d");
  EXPECT_EQ(split(to("HTTPS://[::1]:81/a")), "/a /a ");
  EXPECT_EQ(split(to("http://other")), "/ / ");
  EXPECT_EQ(split(to("http://other?c")), "/ / c");
  EXPECT_EQ(target_of(to("http://other/a?b")), "/a?b");
  EXPECT_EQ(split("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), "* * ");
  for (const std::string_view target :
       {"*", "a", "other:80", "ftp://other/a", "http:///a", "http://:80/a", "http://me@other/a", "http:/a",
        "http://o ther/a", "http://o[t/a", "/a#b"})
    EXPECT_EQ(status_of(to(target)), 400) << target;
}

TEST(RequestHead, SaysWhetherItsMethodIsImplemented) {
  const auto implemented = [](std::string_view method, std::string_view target = "/") {
    const std::string bytes =
        std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n\r\n";
    const auto parsed = parse(bytes);
    EXPECT_EQ(parsed.status, HeadStatus::Complete) << bytes;
    return parsed.head.implemented;
  };
  for (const std::string_view method : {"TRACE", "PROPFIND", "BREW", "get"})
    EXPECT_FALSE(implemented(method)) << method;
  for (const std::string_view method : {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
    EXPECT_TRUE(implemented(method)) << method;
  EXPECT_FALSE(implemented("CONNECT", "other:80"));
  EXPECT_EQ(status_of("CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505) << "what an HTTP/2 client says first";
}

TEST(RequestHead, TakesAHostThatIsOneAndRefusesOthersWith400) {
  const auto host = [](std::string_view value) {
    return status_of("GET / HTTP/1.1\r\nHost:" + std::string(value) + "\r\n\r\n");
  };
  for (const std::string_view good : {" a", "a.example:80", " a_b-c~", " [::1]:3000", " [v1.x]",
                                      " [::ffff:1.2.3.4]", " 127.0.0.1", " a:", " %41", ""})
    EXPECT_EQ(host(good), 0) << good;
  for (const std::string_view bad :
       {" a b",       " a/b",   " me@a",     " a:b",    " a:80:80", " ::1",   " [::1", " [::g]",
        " [1.2.3.4]", " [v.x]", " [v1]",     " [::1]x", " []",      " a,b\\", " a\tb", " \xc3\xa4",
        " %4",        " %zz",   " http://a", " a?b",    " a#b",     " <a>"})
    EXPECT_EQ(host(bad), 400) << bad;
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
}

TEST(RequestHead, WithASecondContentLengthIsRefusedEvenIfItIsEqual) {
  EXPECT_EQ(status_of(with("Content-Length: 5\r\nContent-Length: 5")), 400);
  for (const std::string_view value : {"5, 5", "+5", "0x5", "5 5", "", "5;", "99999999999999999999"})
    EXPECT_EQ(status_of(with("Content-Length: " + std::string(value))), 400) << value;
  EXPECT_EQ(parse(with("Content-Length: 005 ")).head.content_length, 5u);
}

TEST(RequestHead, WithABodyWhoseLastCodingIsNotChunkedIsRefusedWith400) {
  for (const std::string_view value : {"gzip", "chunked, gzip", "chunked, chunked", "chunked;q=1", "identity",
                                       "", "xchunked", "chunked,", "chunked\r\nTransfer-Encoding: chunked"})
    EXPECT_EQ(status_of(with("Transfer-Encoding: " + std::string(value))), 400) << value;
  EXPECT_TRUE(parse(with("Transfer-Encoding: Chunked")).head.chunked);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

TEST(RequestHead, WithAHeaderLineThatIsNoneIsRefusedWith400) {
  for (const std::string_view line : {"A : b", ": b", "A", "A b: c", " A: b", "A: b\r\n c: d", "A: b\r\n c",
                                      "A: b\r\n\tc", "A: \x7f", "A: \x0b", "(A): b"})
    EXPECT_EQ(status_of(with(line)), 400) << line;
  EXPECT_EQ(status_of(with(std::string_view("A: b\0c", 6))), 400) << "NUL";
  EXPECT_EQ(status_of(with(std::string_view("A\0: b", 5))), 400) << "NUL";
  EXPECT_EQ(status_of(with("A: \x80\xff\t\"quoted\"")), 0) << "opaque bytes are allowed";
}

TEST(RequestHead, WithLengthAndEncodingIsRefusedWith400WhicheverComesFirst) {
  EXPECT_EQ(
      status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
      400);
  EXPECT_EQ(
      status_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
      400);
}

TEST(RequestHead, WithAnotherCodingBeforeChunkedIsRefusedWith501) {
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
  EXPECT_EQ(status_of(with("Expect: 100-continue, magic")), 417);
  EXPECT_FALSE(parse("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").head.expect_continue);
}

TEST(RequestHead, ExpectingContinueTwiceOrWithEmptyElementsExpectsIt) {
  for (const std::string_view value :
       {"100-continue, 100-continue", ",100-continue", "100-continue,", ", ,\t,100-Continue , ,",
        "100-continue\r\nExpect: 100-continue", "100-continue\r\nExpect:"})
    EXPECT_TRUE(parse(with("Expect: " + std::string(value))).head.expect_continue) << value;
  for (const std::string_view value : {"", ",", " , ,"}) {
    EXPECT_EQ(status_of(with("Expect: " + std::string(value))), 0) << value;
    EXPECT_FALSE(parse(with("Expect: " + std::string(value))).head.expect_continue) << value;
  }
  EXPECT_EQ(status_of(with("Expect: ,100-continue,,magic")), 417);
  EXPECT_EQ(status_of(with("Expect: 100-continue 100-continue")), 417);
}

TEST(RequestHead, WithAnEmptyElementAmongItsCodingsIsRefused) {
  for (const std::string_view value : {"chunked,", "chunked, ,", ",chunked,"})
    EXPECT_EQ(status_of(with("Transfer-Encoding: " + std::string(value))), 400) << value;
  for (const std::string_view value : {",chunked", ", , chunked", "gzip,,chunked"})
    EXPECT_EQ(status_of(with("Transfer-Encoding: " + std::string(value))), 501) << value;
}

TEST(RequestHead, AsksForWebSocketOnlyWithBothHeaders) {
  const auto upgrade = [](std::string_view lines) {
    return parse("GET / HTTP/1.1\r\nHost: h\r\n" + std::string(lines) + "\r\n").head.upgrade;
  };
  EXPECT_TRUE(upgrade("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"));
  EXPECT_FALSE(upgrade("Upgrade: websocket\r\n"));
  EXPECT_FALSE(upgrade("Connection: Upgrade\r\n"));
  EXPECT_FALSE(upgrade("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"));
  EXPECT_TRUE(upgrade("Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: h2c, websocket\r\n"));
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").head.upgrade);
}

TEST(RequestHead, KeepsAliveByVersionAndByConnectionHeader) {
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\n\r\n").head.keep_alive);
  EXPECT_TRUE(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").head.keep_alive);
  EXPECT_FALSE(parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").head.keep_alive);
  EXPECT_FALSE(parse(with("Connection: x, CLOSE ,y")).head.keep_alive);
  EXPECT_FALSE(parse(with("Connection: keep-alive\r\nConnection: close")).head.keep_alive);
  EXPECT_TRUE(parse(with("Connection: closed")).head.keep_alive);
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").head.keep_alive);
  // For the proxy before us (RFC 9112 appendix C.2.2).
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n").head.keep_alive);
  EXPECT_TRUE(parse(with("Proxy-Connection: close")).head.keep_alive);
  EXPECT_FALSE(parse(with("Proxy-Connection: upgrade\r\nUpgrade: websocket")).head.upgrade);
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
