#include "worker/http/request_end.h"

#include <gtest/gtest.h>

#include <string>

namespace limpet::http {
namespace {

constexpr std::size_t kOverhead = 1024;
using Status = RequestEnd::Status;

RequestHead head_of(const std::string& bytes) {
  const ParsedHead parsed = parse_head(bytes, 16384);
  EXPECT_EQ(parsed.status, HeadStatus::Complete);
  return parsed.head;
}

const std::string kChunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST(RequestEnd, IsBehindTheHeadOfARequestWithoutBody) {
  const std::string bytes = "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /";
  RequestEnd end(head_of(bytes), kOverhead);
  EXPECT_EQ(end.pass(bytes), bytes.size() - 5);
  EXPECT_EQ(end.status(), Status::Complete);
  EXPECT_EQ(end.pass("GET /"), 0u) << "nothing more is the request's";
}

TEST(RequestEnd, IsCountedAcrossAnyNumberOfPieces) {
  const std::string bytes = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n1234567next";
  RequestEnd end(head_of(bytes), kOverhead);
  std::size_t passed = 0;
  for (const char& byte : bytes) passed += end.pass({&byte, 1});
  EXPECT_EQ(passed, bytes.size() - 4);
  EXPECT_EQ(end.status(), Status::Complete);
}

TEST(RequestEnd, OfALengthNearTheLimitOfNumbersDoesNotWrap) {
  const std::string bytes = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\nx";
  RequestEnd end(head_of(bytes), kOverhead);
  EXPECT_EQ(end.pass(bytes), bytes.size());
  EXPECT_EQ(end.status(), Status::Incomplete);
}

TEST(RequestEnd, OfChunksIsFoundWhereverTheyAreCut) {
  const std::string request = kChunked + "3;a=\"b\"\r\nabc\r\n00c\r\n0\r\n\r\n1234567\r\n0\r\nT: x\r\n\r\n";
  const std::string bytes = request + "GET /";
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    RequestEnd end(head_of(bytes), kOverhead);
    std::size_t passed = end.pass(std::string_view(bytes).substr(0, cut));
    ASSERT_LE(passed, cut);
    passed += end.pass(std::string_view(bytes).substr(passed));
    ASSERT_EQ(passed, request.size()) << cut;
    ASSERT_EQ(end.status(), Status::Complete) << cut;
  }
}

TEST(RequestEnd, OfBadChunksIsNowhere) {
  for (const std::string bad : {"zz\r\n", "-1\r\n", "3\r\nabcd\r\n", "11111111111111111\r\n"}) {
    const std::string bytes = kChunked + bad + "GET / HTTP/1.1\r\n\r\n";
    RequestEnd end(head_of(bytes), kOverhead);
    EXPECT_EQ(end.pass(bytes), bytes.size()) << bad;
    EXPECT_EQ(end.status(), Status::Malformed) << bad;
    EXPECT_EQ(end.pass("more"), 4u);
  }
}

TEST(RequestEnd, OfALongBodyInChunksOfOneByteIsFound) {
  std::string bytes = kChunked;
  for (int i = 0; i < 10'000; ++i) bytes += "1\r\nx\r\n";
  RequestEnd end(head_of(bytes), kOverhead);
  EXPECT_EQ(end.pass(bytes), bytes.size() - 2) << "the end of a chunk goes with the next one";
  EXPECT_EQ(end.pass("\r\n0\r\n\r\n"), 7u);
  EXPECT_EQ(end.status(), Status::Complete);
}

TEST(RequestEnd, OfABodyWithMoreExtensionsThanABodyNeedsIsNowhere) {
  const std::string chunk = "1;" + std::string(94, 'x') + "\r\nx\r\n";  // 100 bytes around one
  RequestEnd end(head_of(kChunked), kOverhead);
  EXPECT_EQ(end.pass(kChunked), kChunked.size());
  int chunks = 0;
  for (std::string left; chunks < 1000 && end.status() == Status::Incomplete; ++chunks) {
    left += chunk;
    left.erase(0, end.pass(left));
  }
  EXPECT_EQ(chunks, 13) << "13 × 100 bytes are more than 1,024 + 13 × 16";
  EXPECT_EQ(end.status(), Status::Malformed);
}

TEST(RequestEnd, AnEndlessChunkHeaderIsMalformedBeyondItsLimit) {
  const std::string at_limit = kChunked + "1;" + std::string(kOverhead - 2, 'x');
  RequestEnd end(head_of(at_limit), kOverhead);
  EXPECT_EQ(end.pass(at_limit), kChunked.size());
  EXPECT_EQ(end.status(), Status::Incomplete);
  RequestEnd beyond(head_of(at_limit), kOverhead);
  EXPECT_EQ(beyond.pass(at_limit + "x"), at_limit.size() + 1);
  EXPECT_EQ(beyond.status(), Status::Malformed);
}

}  // namespace
}  // namespace limpet::http
