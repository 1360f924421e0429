#include "worker/loop/date.h"

#include <gtest/gtest.h>

#include "worker/http/response.h"
#include "worker/loop/clock.h"

namespace limpet::http {
namespace {

constexpr std::int64_t kThen = 784'111'777;
constexpr std::int64_t kNow = 1'795'667'452;  // 2026

TEST(Date, IsWrittenInTheOneFormAndReadInThree) {
  EXPECT_EQ(loop::date_of(kThen), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(loop::date_of(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(loop::date_of(951'782'400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(loop::date_of(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
  for (const char* text :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"})
    EXPECT_EQ(loop::parse_date(text, kNow), kThen) << text;
  EXPECT_EQ(loop::parse_date(loop::date_of(kNow), kNow), kNow);
}

TEST(Date, OfTwoDigitsIsNeverMoreThan50YearsAhead) {
  EXPECT_EQ(loop::date_of(*loop::parse_date("Sunday, 06-Nov-76 08:49:37 GMT", kNow)).substr(12, 4), "2076");
  EXPECT_EQ(loop::date_of(*loop::parse_date("Sunday, 06-Nov-77 08:49:37 GMT", kNow)).substr(12, 4), "1977");
}

TEST(Date, ThatIsNoneIsNotRead) {
  for (const char* text :
       {"", "0", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ", "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 199\x80 08:49:37 GMT"})
    EXPECT_EQ(loop::parse_date(text, kNow), std::nullopt) << text;
}

TEST(Date, OfTheClockIsThatOfItsSecondAndNoneBeforeAnybodyHasSaid) {
  loop::Clock clock;
  EXPECT_EQ(clock.date(), "");
  clock.set_wall_time(kThen);
  EXPECT_EQ(clock.date(), "Sun, 06 Nov 1994 08:49:37 GMT");
  clock.set_wall_time(kThen + 1);
  EXPECT_EQ(clock.date(), "Sun, 06 Nov 1994 08:49:38 GMT");
}

std::string rendered(const Response& response) {
  return std::string(render(response, {.date = "Sun, 06 Nov 1994 08:49:37 GMT"}).view());
}

TEST(Date, IsInEveryAnswerButTheInterim) {
  for (const int status : {200, 204, 206, 301, 304, 400, 404, 500, 503})
    EXPECT_NE(rendered(Response(status)).find("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
              std::string::npos)
        << status;
  EXPECT_EQ(rendered(Response(101)).find("Date"), std::string::npos);
  EXPECT_EQ(render(Response(200), {}).view().find("Date"), std::string::npos) << "no clock";
}

TEST(Date, OfAWholeAnswerIsReplacedAndNothingElse) {
  const std::string_view before = "Sun, 06 Nov 1994 08:49:37 GMT";
  loop::Buffer whole = room_for_body(Response(200), 3, before);
  std::copy_n("abc", 3, whole.data() + whole.payload_offset());
  EXPECT_EQ(with_date(whole, before).view().data(), whole.view().data()) << "no copy";
  const loop::Buffer later = with_date(whole, "Sun, 06 Nov 1994 08:49:38 GMT");
  EXPECT_EQ(later.payload(), "abc");
  EXPECT_EQ(later.view(),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_NE(whole.view().find("08:49:37"), std::string_view::npos) << "somebody may be sending it";
}

TEST(Response, HasALengthAndABodyOnlyWhereThereMayBeOne) {
  const auto of = [](int status) { return rendered(Response(status, "text/plain", "body")); };
  EXPECT_NE(of(200).find("Content-Length: 4\r\n"), std::string::npos);
  for (const int status : {204, 304}) {
    EXPECT_EQ(of(status).find("Content-Length"), std::string::npos) << status;
    EXPECT_TRUE(of(status).ends_with("\r\n\r\n")) << status;
  }
  EXPECT_NE(of(205).find("Content-Length: 0\r\n"), std::string::npos);
  EXPECT_TRUE(of(205).ends_with("\r\n\r\n"));
}

}  // namespace
}  // namespace limpet::http
