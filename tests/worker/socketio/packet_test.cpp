#include "worker/socketio/packet.h"

#include <gtest/gtest.h>

#include <string>

namespace limpet::socketio {
namespace {

Packet decoded(std::string_view text) {
  Packet packet;
  EXPECT_TRUE(decode_packet(text, packet)) << text;
  return packet;
}

bool refused(std::string_view text) {
  Packet packet;
  return !decode_packet(text, packet);
}

std::string name_of(const Packet& packet) {
  std::string storage;
  return std::string(packet.event_name(storage));
}

TEST(Packet, ConnectHasAnObjectOrNothing) {
  EXPECT_EQ(decoded("0").nsp, "/");
  EXPECT_EQ(decoded("0/admin,").nsp, "/admin");
  EXPECT_EQ(decoded("0/admin").nsp, "/admin");
  EXPECT_EQ(decoded(R"(0{"token":"x"})").json, R"({"token":"x"})");
  EXPECT_EQ(decoded(R"(0/admin,{"token":"x"})").json, R"({"token":"x"})");
  EXPECT_TRUE(refused("0[]"));
  EXPECT_TRUE(refused("0\"x\""));
  EXPECT_TRUE(refused("0null"));
  EXPECT_TRUE(refused("0{"));
}

TEST(Packet, DisconnectHasNoPayload) {
  EXPECT_EQ(decoded("1").type, PacketType::Disconnect);
  EXPECT_EQ(decoded("1/admin,").nsp, "/admin");
  EXPECT_TRUE(refused("1{}"));
  EXPECT_TRUE(refused("1[]"));
}

TEST(Packet, EventIsAnArrayThatBeginsWithAName) {
  const Packet plain = decoded(R"(2["hello",1,{"a":2}])");
  EXPECT_EQ(name_of(plain), "hello");
  EXPECT_EQ(plain.elements.size(), 3u);
  EXPECT_FALSE(plain.id.has_value());
  EXPECT_EQ(decoded(R"(213["hello"])").id, 13u);
  const Packet admin = decoded(R"(2/admin,456["project:delete",123])");
  EXPECT_EQ(admin.nsp, "/admin");
  EXPECT_EQ(admin.id, 456u);
  EXPECT_EQ(name_of(decoded(R"(2[12])")), "12");
  EXPECT_EQ(name_of(decoded(R"(2["a\u0062c"])")), "abc");
}

TEST(Packet, EventWithoutANameIsRefused) {
  for (const char* text : {"2", "2[]", "2{}", "2[{\"toString\":\"foo\"}]", "2[null]", "2[true]", "2[[\"a\"]]",
                           "2[", "2[\"a\"", "2[\"a\",]", "2\"a\"", "2null", "25"})
    EXPECT_TRUE(refused(text)) << text;
}

TEST(Packet, ReservedNamesAreRefused) {
  for (const char* name :
       {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"})
    EXPECT_TRUE(refused("2[\"" + std::string(name) + "\"]")) << name;
  EXPECT_TRUE(refused(R"(2["conn\u0065ct"])"));
  EXPECT_EQ(name_of(decoded(R"(2["connection"])")), "connection");
  EXPECT_EQ(name_of(decoded(R"(2["Connect"])")), "Connect");
}

TEST(Packet, AckIsAnArrayWithAnId) {
  EXPECT_EQ(decoded("30[]").id, 0u);
  EXPECT_EQ(decoded(R"(3/admin,7["x",1])").elements.size(), 2u);
  EXPECT_TRUE(refused("3[]"));
  EXPECT_TRUE(refused("30"));
  EXPECT_TRUE(refused("30{}"));
}

TEST(Packet, AnIdIsAtMostWhatJavaScriptCountsTo) {
  EXPECT_EQ(decoded(R"(29007199254740991["e"])").id, kMaxAckId);
  EXPECT_TRUE(refused(R"(29007199254740992["e"])"));
  EXPECT_TRUE(refused(R"(299999999999999999999999999["e"])"));
}

TEST(Packet, BinaryEventSaysHowManyAttachmentsFollow) {
  const Packet packet =
      decoded(R"(52-/admin,9["f",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}])");
  EXPECT_EQ(packet.type, PacketType::BinaryEvent);
  EXPECT_EQ(packet.attachments, 2u);
  EXPECT_EQ(packet.nsp, "/admin");
  EXPECT_EQ(packet.id, 9u);
  EXPECT_EQ(decoded(R"(61-3[{"_placeholder":true,"num":0}])").attachments, 1u);
  EXPECT_EQ(decoded(R"(50-["f"])").attachments, 0u);
}

TEST(Packet, AttachmentsAreLimited) {
  EXPECT_EQ(decoded(R"(59-["f"])").attachments, 9u);
  EXPECT_EQ(decoded(R"(510-["f"])").attachments, kMaxAttachments);
  EXPECT_TRUE(refused(R"(511-["f"])"));
  for (const char* text : {R"(5["f"])", R"(5-["f"])", R"(51["f"])", R"(5-1-["f"])", R"(51.5-["f"])",
                           R"(5x-["f"])", "5", "51", "51-", R"(599999999999999999999-["f"])"})
    EXPECT_TRUE(refused(text)) << text;
}

TEST(Packet, PlaceholdersMustNameAnAttachment) {
  EXPECT_TRUE(refused(R"(51-["f",{"_placeholder":true,"num":1}])"));
  EXPECT_TRUE(refused(R"(50-["f",{"_placeholder":true,"num":0}])"));
  EXPECT_TRUE(refused(R"(51-["f",{"_placeholder":true,"num":"splice"}])"));
  EXPECT_TRUE(refused(R"(51-["f",{"_placeholder":true}])"));
  // In a packet without attachments it is an object like any other.
  EXPECT_EQ(decoded(R"(2["f",{"_placeholder":true,"num":7}])").elements.size(), 2u);
}

TEST(Packet, UnknownTypesAreRefused) {
  for (const char* text : {"", "7", "8[]", "9", "a", "-1", " 0", "/", "\x01"})
    EXPECT_TRUE(refused(text)) << text;
}

TEST(Packet, ConnectErrorIsDecodedOnlyToBeRefusedLater) {
  EXPECT_EQ(decoded(R"(4{"message":"no"})").type, PacketType::ConnectError);
  EXPECT_TRUE(refused("4"));
  EXPECT_TRUE(refused("4[]"));
}

}  // namespace
}  // namespace limpet::socketio
