// Text of an application, and JSON with lone surrogates, become what every client accepts.
#include "worker/socketio/utf8_repair.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "worker/socketio/json_value.h"

namespace limpet::socketio {
namespace {

TEST(Utf8Repair, LeavesWhatIsValidAlone) {
  for (const std::string text : {"", "plain", "longer than eight bytes", "caf\xc3\xa9", "\xf0\x9f\x98\x80"}) {
    EXPECT_FALSE(needs_repair(text)) << text;
    EXPECT_EQ(with_valid_utf8(text), text);
  }
}

TEST(Utf8Repair, WritesEachByteThatBelongsToNoSequenceAsAReplacement) {
  const std::string replaced = "\xef\xbf\xbd";
  EXPECT_TRUE(needs_repair("12345678\xff"));
  EXPECT_EQ(repaired_utf8("a\xff"), "a" + replaced);
  EXPECT_EQ(repaired_utf8("\xc3\xa9\xc3"), "\xc3\xa9" + replaced) << "cut off";
  EXPECT_EQ(repaired_utf8("\xc0\xaf"), replaced + replaced) << "overlong";
  EXPECT_EQ(repaired_utf8("\xed\xa0\x80"), replaced + replaced + replaced) << "a surrogate";
  EXPECT_EQ(with_valid_utf8("12345678\xff"), "12345678" + replaced);
}

TEST(JsonValue, LoneSurrogatesBecomeReplacements) {
  EXPECT_EQ(json_value(R"(["\ud800"])").at(0), "\xef\xbf\xbd");
  EXPECT_EQ(json_value(R"({"a":[1,null]})").at("a").at(1), nullptr);
}

TEST(JsonValue, ANumberOutOfRangeIsNone) {
  EXPECT_FALSE(parse_json("1e999999999999").has_value());
  EXPECT_THROW((void)json_value("1e999999999999"), std::invalid_argument);
}

}  // namespace
}  // namespace limpet::socketio
