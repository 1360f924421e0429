#include "worker/socketio/json_scan.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "worker/websocket/utf8.h"

namespace limpet::socketio {
namespace {

std::vector<std::string> elements_of(std::string_view text) {
  ElementList list;
  EXPECT_TRUE(scan_array(text, list)) << text;
  std::vector<std::string> out;
  for (const JsonElement& element : list.view())
    out.emplace_back(text.substr(element.begin, element.end - element.begin));
  return out;
}

bool is_array(std::string_view text) {
  ElementList list;
  return scan_array(text, list);
}

TEST(JsonScan, GivesTheExtentOfEachTopLevelElement) {
  EXPECT_EQ(elements_of(R"([])"), (std::vector<std::string>{}));
  EXPECT_EQ(elements_of(R"([ "a" , 1,[2,[3]] ,{"k":[4,{}]},null , true,false,-0.5e+3 ] )"),
            (std::vector<std::string>{R"("a")", "1", "[2,[3]]", R"({"k":[4,{}]})", "null", "true", "false",
                                      "-0.5e+3"}));
  EXPECT_EQ(elements_of(R"([[],{},[[]],""])"), (std::vector<std::string>{"[]", "{}", "[[]]", R"("")"}));
}

TEST(JsonScan, KeepsManyElementsInOrder) {
  std::string text = "[0";
  for (int i = 1; i < 100; ++i) text.append(",").append(std::to_string(i));
  const auto elements = elements_of(text + "]");
  ASSERT_EQ(elements.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(elements[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST(JsonScan, SeesWhichStringsHaveEscapes) {
  ElementList list;
  ASSERT_TRUE(scan_array(R"(["plain","a\nb",{"a":"\t"},"ünïcödé"])", list));
  const auto view = list.view();
  EXPECT_FALSE(view[0].escaped);
  EXPECT_TRUE(view[1].escaped);
  EXPECT_FALSE(view[2].escaped);
  EXPECT_FALSE(view[3].escaped);
}

TEST(JsonScan, RefusesWhatIsNoArray) {
  for (const char* text :
       {"",           " ",     "[",         "]",          "[1",           "[1,",     "[1,]",
        "[,1]",       "[1 2]", "[1]]",      "[1],",       "{}",           "1",       "null",
        "[\"a]",      "[{]",   "[{\"a\"}]", "[{\"a\":}]", "[{\"a\":1,}]", "[{a:1}]", "[{1:1}]",
        "[{\"a\":1]", "[[1}]"})
    EXPECT_FALSE(is_array(text)) << text;
}

TEST(JsonScan, RefusesBadNumbersAndLiterals) {
  for (const char* text : {"01", "-", "+1", "1.", ".5", "1e", "1e+", "--1", "0x1", "1a", "tru", "nul", "True",
                           "NaN", "Infinity"})
    EXPECT_FALSE(scan_value(text)) << text;
  for (const char* text : {"0", "-0", "0.0", "1e5", "1E-5", "-12.5e+07", "123456789012345678901234567890"})
    EXPECT_TRUE(scan_value(text)) << text;
}

TEST(JsonScan, RefusesBadStringsWhereverTheyStand) {
  for (std::size_t pad = 0; pad < 40; ++pad) {
    const std::string plain(pad, 'a');
    EXPECT_TRUE(scan_value(std::string("\"") + plain + "\""));
    EXPECT_TRUE(scan_value(std::string("\"") + plain + "\\u00e9\\\"\""));
    EXPECT_FALSE(scan_value(std::string("\"") + plain));
    EXPECT_FALSE(scan_value(std::string("\"") + plain + "\x01\""));
    const std::string padded = plain + "\"";
    EXPECT_FALSE(scan_value(std::string("\"") + plain + "\n" + padded));
    EXPECT_FALSE(scan_value(std::string("\"") + plain + "\\x" + padded));
    EXPECT_FALSE(scan_value(std::string("\"") + plain + "\\u12g4\""));
    EXPECT_FALSE(scan_value(std::string("\"") + plain + "\\"));
    EXPECT_FALSE(scan_value(std::string("\"") + plain + "\\\""));
    EXPECT_FALSE(scan_value(std::string("\"") + plain + "\\u12"));
    EXPECT_TRUE(scan_value(std::string("\"") + plain + "\x7f\xc3\xa9\""));
  }
}

TEST(JsonScan, AllowsDepthUpToItsLimit) {
  const auto nested = [](unsigned depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(scan_value(nested(kMaxJsonDepth - 1)));
  EXPECT_TRUE(scan_value(nested(kMaxJsonDepth)));
  EXPECT_FALSE(scan_value(nested(kMaxJsonDepth + 1)));
  EXPECT_FALSE(scan_value(nested(100'000)));
}

TEST(JsonScan, UnescapesAsJavaScriptDoes) {
  EXPECT_EQ(unescape(R"(a\"b\\c\/d\b\f\n\r\te)"), "a\"b\\c/d\b\f\n\r\te");
  EXPECT_EQ(unescape(R"(\u0041\u00e9\u20ac\ud83d\ude00)"), "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(unescape(R"(\ud800x\udc00\ud800\ud800\udc00)"),
            "\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd\xf0\x90\x80\x80");
  EXPECT_EQ(unescape(R"(\u0000)"), std::string(1, '\0'));
}

TEST(JsonScan, RewritesLoneSurrogatesOnly) {
  EXPECT_EQ(without_lone_surrogates(R"(["\ud800","\\ud800","\ud83d\ude00","\udfff\n"])"),
            R"(["\ufffd","\\ud800","\ud83d\ude00","\ufffd\n"])");
}

TEST(JsonScan, FindsPlaceholders) {
  std::vector<Placeholder> found;
  const std::string_view text =
      R"(["e",{"_placeholder":true,"num":1},{"a":[{"num":0,"_placeholder":true}]},{"_placeholder":false}])";
  ASSERT_TRUE(find_placeholders(text, 2, found));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].number, 1u);
  EXPECT_EQ(text.substr(found[0].begin, found[0].end - found[0].begin), R"({"_placeholder":true,"num":1})");
  EXPECT_EQ(found[1].number, 0u);
  EXPECT_EQ(text.substr(found[1].begin, found[1].end - found[1].begin), R"({"num":0,"_placeholder":true})");
}

TEST(JsonScan, SeesThroughAnEscapedPlaceholder) {
  std::vector<Placeholder> found;
  ASSERT_TRUE(find_placeholders(R"([{"\u005fplaceholder":true,"num":0}])", 1, found));
  EXPECT_EQ(found.size(), 1u);
}

TEST(JsonScan, RefusesPlaceholdersOfNothing) {
  for (const char* num : {"2", "10", "-1", "0.5", "\"0\"", "null", "{}", "99999999999999999999"}) {
    std::vector<Placeholder> found;
    EXPECT_FALSE(find_placeholders(std::string(R"([{"_placeholder":true,"num":)") + num + "}]", 2, found))
        << num;
  }
  std::vector<Placeholder> found;
  EXPECT_FALSE(find_placeholders(R"([{"_placeholder":true}])", 2, found));
}

/// Random edits of valid texts: boost::json is the judge.
class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  std::string next() {
    std::string text(kSeeds[pick(std::size(kSeeds))]);
    for (std::size_t edits = pick(4); edits > 0; --edits) edit(text);
    return text;
  }

 private:
  static constexpr std::string_view kSeeds[] = {
      R"(["b","xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"])",
      R"(["e",{"a":[1,2.5,-3e10,{"b":null}],"c":"d\n\u00e9\ud83d\ude00"},true,false,[[],{}]])",
      R"([ "x" , 0 , -0.0 , 1E+2 , [ ] , { } , "" , "\"\\\/" ])",
      R"([[[[[[[["deep",{"k":{"k":{"k":[]}}}]]]]]]]])",
      R"(["ünïcödé 😀 text that is longer than sixteen bytes","\b\f\n\r\t"])",
      R"([12345678901234567890,0.1e-5,1e308,-9223372036854775808])",
  };
  static constexpr std::string_view kBits[] = {
      "\"",   "\\",  "[",    "]",       "{",    "}",  ",", ":",       " ",        "\t",
      "0",    "1",   "-",    "+",       ".",    "e",  "E", "t",       "true",     "false",
      "null", "\\u", "d800", "\\ud800", "\x01", "\n", "a", "{\"a\":", "\xc3\xa9", "/"};
  std::size_t pick(std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_);
  }
  void edit(std::string& text) {
    const std::size_t at = pick(text.size() + 1);
    switch (pick(4)) {
      case 0:
        text.insert(at, kBits[pick(std::size(kBits))]);
        break;
      case 1:
        if (at < text.size()) text.erase(at, 1 + pick(3));
        break;
      case 2:
        if (at < text.size()) text[at] = kBits[pick(std::size(kBits))][0];
        break;
      default:
        text = text.substr(0, at) + text.substr(pick(text.size() + 1));
    }
    if (text.empty()) text.push_back('[');
  }
  std::mt19937 random_;
};

TEST(JsonScan, AgreesWithBoostJsonOnMutatedTexts) {
  boost::json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  Mutator mutator(20260730);
  unsigned valid = 0;
  unsigned invalid = 0;
  for (int round = 0; round < 300'000; ++round) {
    const std::string text = mutator.next();
    if (!websocket::is_valid_utf8(text)) continue;  // the caller's promise
    boost::json::error_code problem;
    const boost::json::value value = boost::json::parse(text, problem, {}, options);
    JsonKind kind{};
    const bool ours = scan_value(text, &kind);
    if (ours == !problem) {
      (ours ? valid : invalid)++;
      ASSERT_TRUE(problem || (kind == JsonKind::Array) == value.is_array()) << text;
      if (!ours || !value.is_array()) continue;
      // The extents: each element parses to the value that boost found there.
      ElementList list;
      ASSERT_TRUE(scan_array(text.substr(text.find('[')), list)) << text;
      ASSERT_EQ(list.size(), value.as_array().size()) << text;
      for (std::size_t i = 0; i < list.size(); ++i) {
        const JsonElement& element = list.view()[i];
        const std::string part = text.substr(text.find('[') + element.begin, element.end - element.begin);
        const boost::json::value alone = boost::json::parse(part, {}, options);
        ASSERT_EQ(alone.kind(), value.as_array()[i].kind()) << text;
        // boost::json 1.81 rounds a double now this way and now that.
        if (part.find_first_of(".eE") == std::string::npos) {
          ASSERT_EQ(alone, value.as_array()[i]) << text;
        }
      }
      continue;
    }
    // The two differences that json_scan.h names.
    ASSERT_TRUE(ours) << text;
    if (problem == boost::json::error::exponent_overflow) continue;
    boost::json::error_code repaired;
    (void)boost::json::parse(without_lone_surrogates(text), repaired, {}, options);
    ASSERT_FALSE(repaired) << text << ": " << problem.message();
  }
  EXPECT_GT(valid, 30'000u);
  EXPECT_GT(invalid, 30'000u);
}

TEST(JsonScan, AnArrayHasAsManyElementsAsTheLimitAndNotMore) {
  const auto zeros = [](std::size_t count) {
    std::string text = "[0";
    for (std::size_t i = 1; i < count; ++i) text += ",0";
    return text + "]";
  };
  for (const std::size_t count : {kMaxElements - 1, kMaxElements, kMaxElements + 1}) {
    ElementList elements;
    EXPECT_EQ(scan_array(zeros(count), elements), count <= kMaxElements) << count;
  }
  ElementList outer;
  EXPECT_TRUE(scan_array("[" + zeros(kMaxElements + 1) + "]", outer))
      << "inside an argument there is no limit";
}

}  // namespace
}  // namespace limpet::socketio
