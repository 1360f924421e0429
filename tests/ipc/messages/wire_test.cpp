// Whatever stands on the wire: a whole message is read, anything else is refused with a reason.
#include "ipc/messages/wire.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <random>

#include "ipc/messages/control.h"
#include "ipc/messages/ctl.h"
#include "ipc/messages/handover.h"
#include "tests/ipc/messages/codec_kit.h"

namespace limpet::ipc {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

TEST(Wire, AMessageWithTheWrongNumberOfDescriptorsIsRefused) {
  EXPECT_EQ(refusal(datagram_of(encode(WorkerMessage(Hello{})), 3), decode_worker_message),
            "Hello: wants 4 descriptors, got 3");
  EXPECT_EQ(refusal(datagram_of(encode(WorkerMessage(Hello{})), 5), decode_worker_message),
            "Hello: wants 4 descriptors, got 5");
  EXPECT_EQ(refusal(datagram_of(encode(WorkerMessage(Ready{})), 1), decode_worker_message),
            "Ready: wants 0 descriptors, got 1");
  EXPECT_EQ(refusal(datagram_of(encode(SupervisorMessage(PeerJoined{}))), decode_supervisor_message),
            "PeerJoined: wants 3 descriptors, got 0");
  EXPECT_EQ(refusal(datagram_of(encode(Handover{})), decode_handover),
            "Handover: wants 1 descriptors, got 0");
  EXPECT_EQ(refusal(datagram_of(encode(CtlRequest(StopRequest{})), 1), decode_ctl_request),
            "StopRequest: wants 0 descriptors, got 1");
  EXPECT_EQ(refusal(datagram_of(encode(CtlReply(Done{})), 1), decode_ctl_reply),
            "Done: wants 0 descriptors, got 1");
}

TEST(Wire, AMessageThatNobodyKnowsIsRefusedByItsNumber) {
  EXPECT_EQ(refusal(with_first_number(17, 0), decode_worker_message), "unknown message 17");
  EXPECT_EQ(refusal(with_first_number(99, 0), decode_supervisor_message), "unknown message 99");
  EXPECT_EQ(refusal(with_first_number(99, 0), decode_ctl_request), "unknown message 99");
  EXPECT_EQ(refusal(with_first_number(65'535, 0), decode_ctl_reply), "unknown message 65535");
}

TEST(Wire, AnEnvelopeWithoutItsBodyIsRefused) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<wire::WorkerMessage>();
  EXPECT_EQ(refusal(datagram_of(bytes_of(builder), 4), decode_worker_message), "Hello: has no body");
  EXPECT_EQ(refusal(datagram_of(bytes_of(builder)), decode_ctl_request), "CtlHello: has no body");
}

TEST(Wire, NothingIsNoMessage) {
  EXPECT_EQ(refusal(datagram_of(std::vector<std::byte>{}), decode_worker_message),
            "malformed: 0 bytes are not a whole number of words");
}

TEST(Wire, HalfAWordIsNoMessage) {
  auto bytes = encode(WorkerMessage(Ready{}));
  bytes.pop_back();
  EXPECT_THAT(refusal(datagram_of(bytes), decode_worker_message),
              HasSubstr("are not a whole number of words"));
}

TEST(Wire, AMessageThatWasCutOffIsRefused) {
  const auto whole = encode(WorkerMessage(Failed{.reason = "a reason that takes some words of its own"}));
  for (std::size_t size = 8; size < whole.size(); size += 8) {
    const std::vector<std::byte> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THAT(refusal(datagram_of(part), decode_worker_message), HasSubstr("malformed: "))
        << size << " bytes";
  }
}

TEST(Wire, BytesBehindAMessageAreRefused) {
  auto bytes = encode(WorkerMessage(Ready{}));
  bytes.resize(bytes.size() + 8);
  EXPECT_EQ(refusal(datagram_of(bytes), decode_worker_message), "malformed: bytes behind the message");
}

TEST(Wire, ATextWithoutItsEndIsRefused) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<wire::WorkerMessage>().initFailed().initReason(7);
  Datagram datagram = datagram_of(bytes_of(builder));
  datagram.bytes.back() = std::byte{'x'};  // the text's last word is the message's, its NUL the last byte
  EXPECT_THAT(refusal(datagram, decode_worker_message), HasSubstr("malformed: "));
}

TEST(Wire, AMessageThatNamesTheSameBytesOverAndOverIsRefused) {
  // 1,000 listeners, all of them pointing to one text of 60,000 bytes: 60 MB out of a datagram of 70 KB.
  capnp::MallocMessageBuilder builder(64'000);
  auto listeners = builder.initRoot<wire::CtlReply>().initStatus().initListeners(1000);
  listeners.init(0, 60'000);
  Datagram datagram = datagram_of(bytes_of(builder));
  std::vector<std::uint64_t> words(datagram.bytes.size() / 8);
  std::memcpy(words.data(), datagram.bytes.data(), datagram.bytes.size());
  // A list pointer: 2 bits of kind, 30 of offset in words, 3 of element size (2: bytes), 29 of elements.
  const auto is_text = [](std::uint64_t word) { return word >> 35 == 60'001 && (word >> 32 & 7) == 2; };
  const auto first = std::ranges::find_if(words, is_text);
  ASSERT_NE(first, words.end());
  for (std::uint64_t i = 1; i < 1000; ++i) *(first + static_cast<std::ptrdiff_t>(i)) = *first - (i << 2);
  std::memcpy(datagram.bytes.data(), words.data(), datagram.bytes.size());
  EXPECT_THAT(refusal(datagram, decode_ctl_reply), HasSubstr("malformed: "));
}

// ---- whatever comes ---------------------------------------------------------------------------------------

std::vector<std::vector<std::byte>> one_of_each() {
  const SlotStatus slot{.slot = 1,
                        .state = "back-off",
                        .deaths = kMost64,
                        .next_start = milliseconds(30'000),
                        .last_obituary = "slot 1 gen 7: killed by signal 9",
                        .workers = {WorkerStatus{.state = "serving", .age = kLongest}, WorkerStatus{}}};
  return {encode(WorkerMessage(Hello{.build = "0.1.0", .who = kHighest})),
          encode(WorkerMessage(Ready{})),
          encode(WorkerMessage(Failed{.reason = "it does not start"})),
          encode(WorkerMessage(DrainProgress{.sessions_left = 12})),
          encode(WorkerMessage(Leaving{})),
          encode(SupervisorMessage(Welcome{})),
          encode(SupervisorMessage(PeerJoined{.who = kHighest})),
          encode(SupervisorMessage(PeerLeft{.who = kHighest})),
          encode(SupervisorMessage(TakeSeat{})),
          encode(SupervisorMessage(GiveUpSeat{})),
          encode(SupervisorMessage(Drain{.window = milliseconds(1000), .deadline = milliseconds(2000)})),
          encode(Handover{.client_address = "127.0.0.1", .bytes = "GET /socket.io/?EIO=4 HTTP/1.1\r\n"}),
          encode(CtlRequest(CtlHello{})),
          encode(CtlRequest(StatusRequest{})),
          encode(CtlRequest(StatsRequest{})),
          encode(CtlRequest(ReloadRequest{})),
          encode(CtlRequest(StopRequest{.at_once = true})),
          encode(CtlReply(StatusReply{.listeners = {"a", "b"}, .slots = {slot, slot}})),
          encode(CtlReply(StatsReply{.counters = {{.name = "x", .by_slot = {1, 2, 3}}, {.name = "y"}}})),
          encode(CtlReply(Progress{.line = "slot 0: ready"})),
          encode(CtlReply(Done{.exit_code = 1, .line = "no"}))};
}

/// Bits, bytes and whole words (as pointers are), and sometimes the size.
void mutate(std::vector<std::byte>& bytes, std::mt19937_64& random) {
  for (std::uint64_t changes = 1 + random() % 4; changes > 0; --changes) {
    std::byte& one = bytes[random() % bytes.size()];
    if (random() % 3 == 0) {
      one ^= static_cast<std::byte>(1 << random() % 8);
    } else if (random() % 2 == 0) {
      one = static_cast<std::byte>(random());
    } else {
      const std::uint64_t word = random() % 2 == 0 ? random() : kMost64 >> random() % 64;
      std::memcpy(bytes.data() + random() % (bytes.size() / 8) * 8, &word, sizeof word);
    }
  }
  if (random() % 16 == 0) bytes.resize(std::max<std::size_t>(8, random() % (bytes.size() + 16)));
}

TEST(Wire, NoMutationOfAMessageHarmsTheReader) {
  const auto originals = one_of_each();
  std::mt19937_64 random(20'240'611);
  std::size_t admitted = 0;
  std::size_t refused = 0;
  const auto count = [&](const auto& message, const std::string& why) {
    ++(message.has_value() ? admitted : refused);
    EXPECT_EQ(message.has_value(), why.empty());
  };
  for (int round = 0; round < 100'000; ++round) {
    auto bytes = originals[random() % originals.size()];
    mutate(bytes, random);
    Datagram datagram = datagram_of(std::move(bytes));
    datagram.descriptors.resize(std::array{0, 0, 0, 1, 3, 4}[random() % 6]);
    std::string why[5];
    count(decode_worker_message(datagram, &why[0]), why[0]);
    count(decode_supervisor_message(datagram, &why[1]), why[1]);
    count(decode_handover(datagram, &why[2]), why[2]);
    count(decode_ctl_request(datagram, &why[3]), why[3]);
    count(decode_ctl_reply(datagram, &why[4]), why[4]);
  }
  // Both happen, or the mutations would be too tame or too wild to say anything.
  EXPECT_GT(admitted, 1000u);
  EXPECT_GT(refused, 100'000u);
}

}  // namespace
}  // namespace limpet::ipc
