#include "worker/engineio/packet.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "worker/websocket/frame.h"

namespace limpet::engineio {
namespace {

/// Byte by byte, as it is written down in ECMA-262 and RFC 8259.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const std::string three = text.substr(i, 3);
    char code[8];
    std::snprintf(code, sizeof code, "\\u%04x", c);
    if (three == "\xe2\x80\xa8" || three == "\xe2\x80\xa9") {
      out += three[2] == '\xa8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else if (const auto at = std::string_view("\b\f\n\r\t\"\\").find(text[i]);
               at != std::string_view::npos) {
      out += std::string("\\") + "bfnrt\"\\"[at];
    } else {
      out += c < 0x20 ? std::string(code) : std::string(1, text[i]);
    }
  }
  return out + "\"";
}

TEST(EnginePackets, AreQuotedForJsonpWhateverTheyAre) {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  const std::string plain(5000, 'x');
  for (const std::string& text :
       {std::string("\xe2\x80\xa8"), std::string("\xe2\x80\xa9 \xe2\x82\xac"), std::string("\xe2"),
        std::string("\xe2\x80"), std::string("\"\\\x1f\x7f/"), all, plain, std::string(5000, '\x01')}) {
    for (std::size_t before = 0; before < 20; ++before) {
      const std::string moved = plain.substr(0, before) + text + text + plain.substr(0, before);
      ASSERT_EQ(wrap_jsonp("0", moved), "___eio[0](" + quoted(moved) + ");") << before;
    }
  }
}

TEST(EnginePackets, AreTakenOutOfAJsonpForm) {
  EXPECT_EQ(unwrap_jsonp("d=a%5Cnb%5C%5Cnc%5Cd%5C%5Ce+%"), "a\nb\\nc\\d\\\\e %");
  EXPECT_EQ(unwrap_jsonp("x=1&d=%5C"), "\\");
  EXPECT_EQ(unwrap_jsonp("x=1"), "");
}

TEST(EnginePackets, DecodeBase64AsNodeDoes) {
  EXPECT_EQ(from_base64("AQIDBA=="), "\x01\x02\x03\x04");
  EXPECT_EQ(from_base64("AQIDBA"), "\x01\x02\x03\x04");
  EXPECT_EQ(from_base64("-_-_"), from_base64("+/+/"));
  EXPECT_EQ(from_base64("A Q\nI D"), "\x01\x02\x03");
  EXPECT_EQ(from_base64(""), "");
  for (std::size_t size = 0; size < 100; ++size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(i * 37 + size);
    const loop::Buffer frame = websocket::make_frame(websocket::Opcode::Binary, bytes);
    const loop::Buffer packet = render_binary_packet({&frame, 1});
    ASSERT_EQ(packet.view().front(), 'b');
    EXPECT_EQ(from_base64(packet.view().substr(1)), bytes);
  }
}

TEST(APayload, HasTextsAsTheyAreAndBytesInBase64) {
  const std::vector<loop::Buffer> frames = {
      websocket::make_frame(websocket::Opcode::Text, "451-[]"),
      websocket::make_frame(websocket::Opcode::Binary, "\x01\x02\x03\x04"),
      websocket::make_frame(websocket::Opcode::Binary, "")};
  EXPECT_EQ(make_payload(kEngineIo4, frames, "1"),
            "451-[]\x1e"
            "bAQIDBA==\x1e"
            "b\x1e"
            "1");
  EXPECT_EQ(make_payload(kEngineIo4, frames, ""),
            "451-[]\x1e"
            "bAQIDBA==\x1e"
            "b");
  EXPECT_EQ(make_payload(kEngineIo4, {}, "6"), "6");
}

TEST(APayload, SharesTheRenderingOfBytesWithAllThatHaveTheSameFrame) {
  const loop::Buffer frame = websocket::make_frame(websocket::Opcode::Binary, std::string(30'000, 'x'));
  EXPECT_EQ(frame.find_rendering(render_binary_packet), nullptr);
  const std::vector<loop::Buffer> of_one = {frame}, of_another = {frame};
  const std::string payload = make_payload(kEngineIo4, of_one, "");
  const loop::Buffer* const rendering = frame.find_rendering(render_binary_packet);
  ASSERT_NE(rendering, nullptr);
  const std::uint64_t held = loop::Buffer::live_bytes();
  EXPECT_EQ(make_payload(kEngineIo4, of_another, ""), payload);
  EXPECT_EQ(frame.find_rendering(render_binary_packet), rendering);
  EXPECT_EQ(loop::Buffer::live_bytes(), held);
}

}  // namespace
}  // namespace limpet::engineio
