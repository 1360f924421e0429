// A handover comes out as it went in, or not at all and with a reason.
#include "ipc/messages/handover.h"

#include "ipc/messages/wire.h"
#include "tests/ipc/messages/codec_kit.h"

namespace limpet::ipc {
namespace {

TEST(HandoverCodec, AHandoverArrivesWithAsManyBytesAsItMayHave) {
  std::string bytes(kHandoverLimitBytes, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  const Handover sent{.kind = HandoverKind::Request,
                      .client_address = "2001:db8::1",
                      .client_port = kMost16,
                      .listener = kMost16,
                      .bytes = bytes,
                      .placed = true};
  std::string why;
  const auto got = decode_handover(datagram_of(encode(sent), 1), &why);
  ASSERT_TRUE(got) << why;
  EXPECT_EQ(got->kind, HandoverKind::Request);
  EXPECT_EQ(got->client_address, "2001:db8::1");
  EXPECT_EQ(got->client_port, kMost16);
  EXPECT_EQ(got->listener, kMost16);
  EXPECT_EQ(got->bytes, bytes);
  EXPECT_TRUE(got->placed);
}

TEST(HandoverCodec, AHandoverArrivesWithoutBytes) {
  std::string why;
  const auto got = decode_handover(datagram_of(encode(Handover{}), 1), &why);
  ASSERT_TRUE(got) << why;
  EXPECT_EQ(got->kind, HandoverKind::Connection);
  EXPECT_EQ(got->bytes, "");
}

TEST(HandoverCodec, AHandoverOfTooManyBytesIsRefused) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<wire::Handover>().initBytes(kHandoverLimitBytes + 1);
  EXPECT_EQ(refusal(datagram_of(bytes_of(builder), 1), decode_handover),
            "Handover: bytes has 49153 bytes, the limit is 49152");
}

TEST(HandoverCodecDeathTest, EncodingAHandoverOfTooManyBytesIsOurOwnMistake) {
  EXPECT_DEATH((void)encode(Handover{.bytes = std::string(kHandoverLimitBytes + 1, 'x')}),
               "a handover of 49153 bytes, the limit is 49152");
}

TEST(HandoverCodec, AHandoverOfAKindThatNobodyKnowsIsRefused) {
  EXPECT_EQ(refusal(with_first_number(2, 1), decode_handover), "Handover: unknown kind 2");
}

}  // namespace
}  // namespace limpet::ipc
