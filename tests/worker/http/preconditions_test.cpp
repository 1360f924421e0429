#include "worker/http/preconditions.h"

#include <gtest/gtest.h>

#include <string>

namespace limpet::http {
namespace {

constexpr std::string_view kBefore = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr std::string_view kSame = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr Validators kCurrent{"\"x\"", 784'111'777, 1'795'667'452};

Conditions ask(const std::string& lines, std::string_view method = "GET") {
  const std::string raw = std::string(method) + " / HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n";
  RequestHead head;
  head.raw = raw;
  head.method = method;
  Conditions found = evaluate(head, kCurrent);
  found.range = found.range.empty() ? std::string_view() : std::string_view("some");  // raw is gone
  return found;
}
Precondition outcome(const std::string& lines) { return ask(lines).outcome; }
std::string line(std::string_view name, std::string_view value) {
  return std::string(name) + ": " + std::string(value) + "\r\n";
}

TEST(Preconditions, IfNoneMatchComparesWeaklyAndLooksAtEveryOneOfItsLists) {
  for (const std::string_view value :
       {"\"x\"", "W/\"x\"", "*", "\"a\", \"x\"", "\"a,b\",\"x\"", ",, \"x\" ,", "W/\"a\",W/\"x\""})
    EXPECT_EQ(outcome(line("if-none-match", value)), Precondition::NotModified) << value;
  for (const std::string_view value : {"\"y\"", "x", "\"x", "w/\"x\"", "\"a,\"x\"", ""})
    EXPECT_EQ(outcome(line("If-None-Match", value)), Precondition::Holds) << value;
  EXPECT_EQ(outcome(line("If-None-Match", "\"a\"") + line("If-None-Match", "\"x\"")),
            Precondition::NotModified);
}

TEST(Preconditions, IfMatchComparesStrongly) {
  EXPECT_EQ(outcome(line("If-Match", "\"a\", \"x\"")), Precondition::Holds);
  EXPECT_EQ(outcome(line("If-Match", "*")), Precondition::Holds);
  EXPECT_EQ(outcome(line("If-Match", "W/\"x\"")), Precondition::Failed);
  EXPECT_EQ(outcome(line("If-Match", "\"a\"")), Precondition::Failed);
}

TEST(Preconditions, ByDateCompareSecondsAndAreIgnoredUnlessOneValidDate) {
  EXPECT_EQ(outcome(line("If-Modified-Since", kSame)), Precondition::NotModified);
  EXPECT_EQ(outcome(line("If-Modified-Since", kBefore)), Precondition::Holds);
  EXPECT_EQ(outcome(line("If-Modified-Since", "yesterday")), Precondition::Holds);
  EXPECT_EQ(outcome(line("If-Modified-Since", kSame) + line("If-Modified-Since", kSame)),
            Precondition::Holds);
  EXPECT_EQ(outcome(line("If-Unmodified-Since", kSame)), Precondition::Holds);
  EXPECT_EQ(outcome(line("If-Unmodified-Since", kBefore)), Precondition::Failed);
  EXPECT_EQ(outcome(line("If-Unmodified-Since", "yesterday")), Precondition::Holds);
}

TEST(Preconditions, GoBeforeEachOtherAsTheyShould) {
  EXPECT_EQ(outcome(line("If-None-Match", "\"y\"") + line("If-Modified-Since", kSame)), Precondition::Holds);
  EXPECT_EQ(outcome(line("If-Match", "\"x\"") + line("If-Unmodified-Since", kBefore)), Precondition::Holds);
  EXPECT_EQ(outcome(line("If-None-Match", "\"x\"") + line("If-Match", "\"y\"")), Precondition::Failed);
}

TEST(Preconditions, ARangeCountsForGetAndOnlyOfTheStateThatTheClientHasAPartOf) {
  const std::string range = line("Range", "bytes=0-1");
  EXPECT_EQ(ask(range).range, "some");
  EXPECT_EQ(ask(range, "HEAD").range, "");
  EXPECT_EQ(ask(range + range).range, "");
  EXPECT_EQ(ask(range + line("If-Range", "\"x\"")).range, "some");
  for (const std::string_view other : {"W/\"x\"", "\"y\"", "Sun, 06 Nov 1994 08:49:37 GMT"})
    EXPECT_EQ(ask(range + line("If-Range", other)).range, "") << other;
}

std::string found(std::string_view value, std::uint64_t size) {
  const ByteRange range = find_range(value, size);
  if (range.kind == ByteRange::Kind::Whole) return "whole";
  if (range.kind == ByteRange::Kind::Unsatisfiable) return "none";
  return std::to_string(range.offset) + "+" + std::to_string(range.length);
}

TEST(ByteRange, IsOneOfThreeFormsAndClippedToTheEnd) {
  EXPECT_EQ(found("bytes=0-0", 10), "0+1");
  EXPECT_EQ(found("Bytes=2-5", 10), "2+4");
  EXPECT_EQ(found("bytes=2-99999999999999999999999", 10), "2+8");
  EXPECT_EQ(found("bytes=9-", 10), "9+1");
  EXPECT_EQ(found("bytes=-3", 10), "7+3");
  EXPECT_EQ(found("bytes=-30", 10), "0+10");
}

TEST(ByteRange, BehindTheEndIsUnsatisfiableAndWhatIsNoneOrSeveralIsIgnored) {
  for (const std::string_view value : {"bytes=10-", "bytes=10-11", "bytes=-0", "bytes=99999999999999999999-"})
    EXPECT_EQ(found(value, 10), "none") << value;
  EXPECT_EQ(found("bytes=0-", 0), "none");
  EXPECT_EQ(found("bytes=-1", 0), "whole");
  for (const std::string_view value :
       {"", "bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes 0-1",
        "bytes=0", "bytes= 0-1", "bytes=+0-1", "bytes=--1"})
    EXPECT_EQ(found(value, 10), "whole") << value;
}

}  // namespace
}  // namespace limpet::http
