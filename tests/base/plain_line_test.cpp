#include "base/plain_line.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace limpet::base::test {
namespace {

using namespace std::string_literals;

TEST(PlainLine, KeepsWhatMayStandInALine) {
  for (const std::string& text :
       {""s, "slot 3 gen 7: ready -> draining"s, "Zoë, Ω, 日本, 🐚"s, "\u00A0"s, "\u00FF"s,
        "\uD7FF\uE000\uFFFD"s, "\U00010000\U0010FFFF"s, "back\\slash ~"s})
    EXPECT_EQ(plain_line(text, 4096), text);
}

TEST(PlainLine, WritesControlCharactersAsNumbers) {
  const struct {
    std::string text;
    std::string line;
  } rows[] = {
      {"a\nb", "a\\x0ab"},
      {"a\r\nb", "a\\x0d\\x0ab"},
      {"\0"s, "\\x00"},
      {"\t", "\\x09"},
      {"\x1b[2J", "\\x1b[2J"},
      {"\x1f ", "\\x1f "},
      {"\x7f", "\\x7f"},
      {"\u0080\u009B\u009F", "\\xc2\\x80\\xc2\\x9b\\xc2\\x9f"},
      {"\u2027\u2028\u2029\u202A", "\u2027\\xe2\\x80\\xa8\\xe2\\x80\\xa9\u202A"},
  };
  for (const auto& row : rows) EXPECT_EQ(plain_line(row.text, 4096), row.line);
}

TEST(PlainLine, LeavesNoControlCharacterOfOneByteOrOfC1) {
  for (int code = 0; code < 0xA0; ++code) {
    const std::string text = code < 0x80 ? std::string(1, static_cast<char>(code))
                                         : "\xC2" + std::string(1, static_cast<char>(code));
    const bool is_control = code < 0x20 || code >= 0x7F;
    EXPECT_EQ(plain_line(text, 4096) != text, is_control) << code;
  }
}

TEST(PlainLine, WritesBytesThatAreNotUtf8AsNumbers) {
  const struct {
    std::string text;
    std::string line;
  } rows[] = {
      {"\x9b", "\\x9b"},                             // a C1 control on its own, of Latin-1
      {"\xff\xfe", "\\xff\\xfe"},                    // never in UTF-8
      {"\xc0\x8a", "\\xc0\\x8a"},                    // an overlong line feed
      {"\xe0\x80\x8a", "\\xe0\\x80\\x8a"},           // and in three bytes
      {"\xf0\x80\x80\x8a", "\\xf0\\x80\\x80\\x8a"},  // and in four
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // a surrogate
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},  // above U+10FFFF
      {"\xe2\x82", "\\xe2\\x82"},                    // cut in the middle
      {"\xc3(", "\\xc3("},                           // not continued
      {"\xe2\x82\xac\xe2\x82", "\u20AC\\xe2\\x82"},  // good, then cut
  };
  for (const auto& row : rows) EXPECT_EQ(plain_line(row.text, 4096), row.line);
}

TEST(PlainLine, CutsWhatIsTooLongAndTellsHowMuchThatWas) {
  EXPECT_EQ(plain_line(std::string(99, 'a'), 100), std::string(99, 'a'));
  EXPECT_EQ(plain_line(std::string(100, 'a'), 100), std::string(100, 'a'));
  EXPECT_EQ(plain_line(std::string(101, 'a'), 100), std::string(60, 'a') + " ... (41 bytes more)");
}

TEST(PlainLine, CutsBetweenCharactersAndBetweenNumbers) {
  std::string euros;
  for (int i = 0; i < 100; ++i) euros += "\u20AC";
  std::string twenty;
  for (int i = 0; i < 20; ++i) twenty += "\u20AC";
  EXPECT_EQ(plain_line("x" + euros, 100), "x" + twenty.substr(0, 57) + " ... (243 bytes more)");
  const std::string line = plain_line(std::string(1000, '\n'), 100);
  EXPECT_EQ(line.substr(0, 64),
            "\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a\\x0a ...");
}

TEST(PlainLine, IsNeverLongerThanItsLimit) {
  for (std::size_t size = 0; size < 300; ++size)
    for (const char byte : {'a', '\n', '\xff'})
      EXPECT_LE(plain_line(std::string(size, byte), 128).size(), 128u) << size;
}

}  // namespace
}  // namespace limpet::base::test
