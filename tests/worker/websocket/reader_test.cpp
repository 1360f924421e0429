#include "worker/websocket/reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/worker/websocket_client.h"
#include "worker/websocket/handshake.h"
#include "worker/websocket/utf8.h"

namespace limpet::websocket {
namespace {

using test::client_frame;
using test::close_payload;
using test::text_frame;
using Kind = Received::Kind;

constexpr std::size_t kLimit = 100'000;

struct Event {
  Kind kind;
  std::string payload;
  CloseCode code = CloseCode::Normal;
  bool operator==(const Event&) const = default;
};

/// A connection: keeps what is not consumed, as a stream does.
class Connection {
 public:
  std::vector<Event> receive(std::string_view bytes) {
    unread += bytes;
    std::vector<Event> events;
    for (;;) {
      const Received received = websocket::receive({unread.data(), unread.size()}, fragments, kLimit);
      if (received.kind == Kind::Incomplete) return events;
      if (received.kind != Kind::Skipped)
        events.push_back({received.kind, std::string(received.payload), received.code});
      unread.erase(0, received.consumed);
      if (received.kind == Kind::Failed || received.kind == Kind::Close) return events;
    }
  }
  std::string unread;
  std::unique_ptr<Fragments> fragments;
};

std::vector<Event> receive_all(std::string_view bytes) { return Connection().receive(bytes); }

std::vector<Event> failed(CloseCode code) { return {{Kind::Failed, "", code}}; }

TEST(WebSocketReader, UnmasksMessagesOfEveryLengthClass) {
  for (const std::size_t size : {0, 1, 3, 4, 7, 8, 9, 100, 125, 126, 127, 65535, 65536, 100000}) {
    const std::string payload(size, 'x');
    EXPECT_EQ(receive_all(text_frame(payload)), (std::vector<Event>{{Kind::Text, payload}})) << size;
    EXPECT_EQ(receive_all(client_frame(2, payload)), (std::vector<Event>{{Kind::Binary, payload}})) << size;
  }
}

TEST(WebSocketReader, TakesManySmallFramesFromOneRead) {
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += text_frame(std::to_string(i));
  const auto events = receive_all(bytes);
  ASSERT_EQ(events.size(), 1000u);
  EXPECT_EQ(events[999].payload, "999");
}

TEST(WebSocketReader, LeavesAFrameUntouchedUntilItIsWholeAtEveryByteBoundary) {
  const std::string first = text_frame(std::string(200, 'a'));
  const std::string bytes = first + client_frame(9, "ping") + client_frame(2, std::string("\0\xff", 2));
  const std::vector<Event> all = {
      {Kind::Text, std::string(200, 'a')}, {Kind::Ping, "ping"}, {Kind::Binary, std::string("\0\xff", 2)}};
  for (std::size_t split = 0; split <= bytes.size(); ++split) {
    Connection connection;
    auto events = connection.receive(bytes.substr(0, split));
    if (split < first.size()) {
      EXPECT_EQ(connection.unread, bytes.substr(0, split)) << split;
    }
    const auto rest = connection.receive(bytes.substr(split));
    events.insert(events.end(), rest.begin(), rest.end());
    EXPECT_EQ(events, all) << split;
  }
}

TEST(WebSocketReader, AssemblesFragmentsAndActsOnceOnControlFramesBetweenThem) {
  const std::string bytes = client_frame(1, "one ", {.fin = false}) + client_frame(9, "p") +
                            client_frame(0, "\xe2\x82", {.fin = false}) + client_frame(10, "q") +
                            client_frame(0, "\xac") + text_frame("next");
  const std::vector<Event> all = {
      {Kind::Ping, "p"}, {Kind::Pong, "q"}, {Kind::Text, "one \xe2\x82\xac"}, {Kind::Text, "next"}};
  for (std::size_t split = 0; split <= bytes.size(); ++split) {
    Connection connection;
    auto events = connection.receive(bytes.substr(0, split));
    const auto rest = connection.receive(bytes.substr(split));
    events.insert(events.end(), rest.begin(), rest.end());
    EXPECT_EQ(events, all) << split;
    EXPECT_EQ(connection.fragments, nullptr) << "nothing is kept while idle";
  }
}

TEST(WebSocketReader, AssemblesBinaryFragments) {
  EXPECT_EQ(receive_all(client_frame(2, "\xff", {.fin = false}) + client_frame(0, "") + text_frame("x")),
            (std::vector<Event>{{Kind::Binary, "\xff"}, {Kind::Text, "x"}}));
}

TEST(WebSocketReader, FailsWith1002OnWhatTheProtocolForbids) {
  const auto broken = failed(CloseCode::ProtocolError);
  EXPECT_EQ(receive_all(client_frame(1, "x", {.mask = false})), broken) << "unmasked";
  for (const int bit : {0x40, 0x20, 0x10})
    EXPECT_EQ(receive_all(client_frame(1, "x", {.reserved = bit})), broken) << bit;
  for (const int opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15})
    EXPECT_EQ(receive_all(client_frame(opcode, "x")), broken) << opcode;
  EXPECT_EQ(receive_all(client_frame(0, "x")), broken) << "continues nothing";
  EXPECT_EQ(receive_all(client_frame(1, "x", {.fin = false}) + text_frame("y")), broken)
      << "a message inside of another";
  for (const int opcode : {8, 9, 10}) {
    EXPECT_EQ(receive_all(client_frame(opcode, "", {.fin = false})), broken) << "fragmented control frame";
    EXPECT_EQ(receive_all(client_frame(opcode, std::string(126, 'x'))), broken) << "long control frame";
  }
}

TEST(WebSocketReader, FailsWith1002OnAControlFrameWhoseShortLengthIsWrittenLong) {
  EXPECT_EQ(receive_all(std::string("\x89\xfe\x00\x01....x", 9)), failed(CloseCode::ProtocolError));
}

TEST(WebSocketReader, TellsFromTheFirstTwoBytesThatAFrameIsForbidden) {
  EXPECT_EQ(receive_all(client_frame(1, "x", {.mask = false}).substr(0, 2)),
            failed(CloseCode::ProtocolError));
  EXPECT_EQ(receive_all(client_frame(1, "x").substr(0, 1)), std::vector<Event>{});
}

TEST(WebSocketReader, TakesAMessageOfExactlyTheLimitAndFailsWith1009AsSoonAsAHeaderTellsMore) {
  EXPECT_EQ(receive_all(text_frame(std::string(kLimit, 'x'))).size(), 1u);
  const std::string longer = text_frame(std::string(kLimit + 1, 'x'));
  EXPECT_EQ(receive_all(longer.substr(0, 14)), failed(CloseCode::MessageTooBig));
  EXPECT_EQ(receive_all(client_frame(1, std::string(kLimit, 'x'), {.fin = false}) +
                        client_frame(0, "x").substr(0, 6)),
            failed(CloseCode::MessageTooBig));
  EXPECT_EQ(receive_all(client_frame(1, std::string(kLimit - 1, 'x'), {.fin = false}) + client_frame(0, "x"))
                .size(),
            1u);
  EXPECT_EQ(receive_all(std::string("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff....", 14)),
            failed(CloseCode::MessageTooBig));
}

TEST(WebSocketReader, FailsWith1007OnTextThatIsNoUtf8) {
  const auto bad = failed(CloseCode::InvalidPayload);
  EXPECT_EQ(receive_all(text_frame("\xc0\x80")), bad);
  EXPECT_EQ(receive_all(text_frame("a long enough text \xed\xa0\x80")), bad);
  EXPECT_EQ(receive_all(client_frame(1, "\xe2\x82", {.fin = false}) + client_frame(0, "x")), bad);
  EXPECT_EQ(receive_all(client_frame(2, "\xc0\x80")).front().kind, Kind::Binary);
}

TEST(WebSocketReader, GivesTheClientsCloseCodeAndRefusesThoseThatMayNotBeSent) {
  EXPECT_EQ(receive_all(client_frame(8, "")), (std::vector<Event>{{Kind::Close, "", CloseCode::NoStatus}}));
  for (const int code : {1000, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 4999}) {
    EXPECT_EQ(receive_all(client_frame(8, close_payload(code, "why"))),
              (std::vector<Event>{{Kind::Close, "why", static_cast<CloseCode>(code)}}))
        << code;
  }
  for (const int code : {0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535}) {
    EXPECT_EQ(receive_all(client_frame(8, close_payload(code))), failed(CloseCode::ProtocolError)) << code;
  }
  EXPECT_EQ(receive_all(client_frame(8, "x")), failed(CloseCode::ProtocolError));
  EXPECT_EQ(receive_all(client_frame(8, close_payload(1000, "\xff"))), failed(CloseCode::InvalidPayload));
}

TEST(WebSocketReader, MakesCloseFrames) {
  EXPECT_EQ(test::server_frames(make_close_frame(CloseCode::ServiceRestart, "bye").view()),
            (std::vector<test::ServerFrame>{{8, close_payload(1012, "bye")}}));
  EXPECT_EQ(make_close_frame(CloseCode::NoStatus).view(), std::string_view("\x88\0", 2));
}

TEST(Utf8, TakesWhatRfc3629Allows) {
  for (const std::string_view text :
       {"", "plain", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "eight bytes and more \xe2\x82\xac and again eight bytes"}) {
    EXPECT_TRUE(is_valid_utf8(text)) << text;
  }
  EXPECT_TRUE(is_valid_utf8(std::string_view("\0", 1)));
}

TEST(Utf8, RefusesOverlongFormsSurrogatesWhatLiesBeyondAndWhatIsCutOff) {
  for (const std::string_view text :
       {"\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe2\x82",
        "\xe2\x41\x80", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff"}) {
    EXPECT_FALSE(is_valid_utf8(text)) << text;
    EXPECT_FALSE(is_valid_utf8("0123456789abcdef" + std::string(text))) << text;
    EXPECT_FALSE(is_valid_utf8(std::string(text) + "0123456789abcdef")) << text;
  }
}

TEST(Utf8, AgreesWithADecoderOnEveryCodePointAndEveryPairOfBytes) {
  for (unsigned point = 0; point < 0x110000; ++point) {
    std::string text;
    if (point < 0x80) {
      text = {static_cast<char>(point)};
    } else if (point < 0x800) {
      text = {static_cast<char>(0xc0 | point >> 6), static_cast<char>(0x80 | (point & 63))};
    } else if (point < 0x10000) {
      text = {static_cast<char>(0xe0 | point >> 12), static_cast<char>(0x80 | (point >> 6 & 63)),
              static_cast<char>(0x80 | (point & 63))};
    } else {
      text = {static_cast<char>(0xf0 | point >> 18), static_cast<char>(0x80 | (point >> 12 & 63)),
              static_cast<char>(0x80 | (point >> 6 & 63)), static_cast<char>(0x80 | (point & 63))};
    }
    const bool surrogate = point >= 0xd800 && point < 0xe000;
    ASSERT_EQ(is_valid_utf8(text), !surrogate) << point;
  }
  for (unsigned first = 0; first < 256; ++first) {
    for (unsigned second = 0; second < 256; ++second) {
      const std::string text = {static_cast<char>(first), static_cast<char>(second)};
      const bool two = first >= 0xc2 && first < 0xe0 && second >= 0x80 && second < 0xc0;
      ASSERT_EQ(is_valid_utf8(text), two || (first < 0x80 && second < 0x80)) << first << ' ' << second;
    }
  }
}

class WebSocketHandshake : public testing::Test {
 protected:
  static http::ParsedHead parse(const std::string& bytes) { return http::parse_head(bytes, 10'000); }
  static std::string request(std::string_view start = "GET / HTTP/1.1",
                             std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==",
                             std::string_view version = "13") {
    return std::string(start) +
           "\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " +
           std::string(key) + "\r\nSec-WebSocket-Version: " + std::string(version) + "\r\n\r\n";
  }
  static int error_of(const std::string& bytes) { return check_handshake(parse(bytes).head).error; }
};

TEST_F(WebSocketHandshake, IsAnsweredWithTheKeyOfRfc6455) {
  const std::string bytes = request();
  const auto parsed = parse(bytes);
  EXPECT_EQ(check_handshake(parsed.head).error, 0);
  const auto response = accept_handshake(parsed.head);
  EXPECT_EQ(response.status, 101);
  EXPECT_EQ(
      response.header_lines(),
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
}

TEST_F(WebSocketHandshake, IsRefusedIfAnyPartIsWrong) {
  EXPECT_EQ(error_of(request("POST / HTTP/1.1")), 400);
  EXPECT_EQ(error_of(request("GET / HTTP/1.0")), 400);
  EXPECT_EQ(error_of(request("GET / HTTP/1.1", "short")), 400);
  EXPECT_EQ(error_of(request("GET / HTTP/1.1", "dGhlIHNhbXBsZSBub25jZQ=!")), 400);
  EXPECT_EQ(error_of(request("GET / HTTP/1.1", "dGhlIHNhbXBsZSBub25jZQ==", "8")), 426);
  EXPECT_EQ(refuse_handshake({426, "version"}).header_lines(),
            "Content-Type: text/html\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
            "13\r\n");
  EXPECT_TRUE(refuse_handshake({426, "version"}).close);
}

}  // namespace
}  // namespace limpet::websocket
