// What supervisor and worker say to each other comes out as it went in, or not at all and with a reason.
#include "ipc/messages/control.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>
#include <utility>

#include "ipc/messages/wire.h"
#include "tests/ipc/messages/codec_kit.h"

namespace limpet::ipc {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

template <class Body>
Body through_worker(const Body& body, std::size_t descriptors = 0) {
  return arrived<Body>(WorkerMessage(body), descriptors, decode_worker_message);
}
template <class Body>
Body through_supervisor(const Body& body, std::size_t descriptors = 0) {
  return arrived<Body>(SupervisorMessage(body), descriptors, decode_supervisor_message);
}

TEST(ControlCodec, WhatAnotherNumberOfWorkersNeedsArrives) {
  EXPECT_EQ(through_supervisor(ExpectSessions{.from_slot = 4095}, 1).from_slot, 4095);
  const auto move = through_supervisor(
      MoveBuckets{.to_slot = 4095, .window = milliseconds(2), .deadline = milliseconds(3)}, 1);
  EXPECT_EQ(move.to_slot, 4095);
  EXPECT_EQ(move.window, milliseconds(2));
  EXPECT_EQ(move.deadline, milliseconds(3));
  for (const std::size_t descriptors : {2U, 16U})
    EXPECT_EQ(through_supervisor(BorrowSlot{.slot = 7}, descriptors).slot, 7);
  EXPECT_EQ(through_supervisor(ReturnSlot{.slot = 7}).slot, 7);
  const auto moved = through_worker(BucketsMoved{.to_slot = 1, .moved = kMost64, .drained = 2});
  EXPECT_EQ(moved.to_slot, 1);
  EXPECT_EQ(moved.moved, kMost64);
  EXPECT_EQ(moved.drained, 2U);
}

TEST(ControlCodec, WhatAnotherNumberOfWorkersNeedsHasItsDescriptors) {
  EXPECT_EQ(refusal(datagram_of(encode(SupervisorMessage(Succeed{}))), decode_supervisor_message),
            "Succeed: wants 1 descriptors, got 0");
  EXPECT_EQ(refusal(datagram_of(encode(SupervisorMessage(MoveBuckets{}))), decode_supervisor_message),
            "MoveBuckets: wants 1 descriptors, got 0");
  EXPECT_EQ(refusal(datagram_of(encode(SupervisorMessage(BorrowSlot{})), 1), decode_supervisor_message),
            "BorrowSlot: wants 2 descriptors, got 1");
  EXPECT_EQ(refusal(datagram_of(encode(SupervisorMessage(ExpectSessions{.from_slot = 4096})), 1),
                    decode_supervisor_message),
            "ExpectSessions: slot is 4096, must be below 4096");
}

TEST(ControlCodec, AMessageWhoseDescriptorsWereLostOnTheWayIsStillKnown) {
  Datagram datagram = datagram_of(encode(SupervisorMessage(PeerJoined{.who = kHighest})));
  std::string why;
  EXPECT_FALSE(decode_supervisor_message(datagram, &why)) << "not sent at all: nonsense";
  datagram.descriptors_lost = true;
  const auto message = decode_supervisor_message(datagram, &why);
  ASSERT_TRUE(message) << why;
  EXPECT_EQ(std::get<PeerJoined>(*message).who, kHighest);
}

TEST(ControlCodec, HelloArrivesWithTheHighestNumbers) {
  const Hello hello = through_worker(
      Hello{.protocol_version = kMost32, .build = "0.1.0 – ümläut", .who = kHighest, .level = kMost32}, 4);
  EXPECT_EQ(hello.level, kMost32);
  EXPECT_EQ(hello.protocol_version, kMost32);
  EXPECT_EQ(hello.build, "0.1.0 – ümläut");
  EXPECT_EQ(hello.who, kHighest);
}

TEST(ControlCodec, HelloArrivesWithTheLowestNumbers) {
  const Hello hello = through_worker(Hello{.protocol_version = 0, .build = "", .who = {}}, 4);
  EXPECT_EQ(hello.protocol_version, 0u);
  EXPECT_EQ(hello.build, "");
  EXPECT_EQ(hello.who, Incarnation{});
}

TEST(ControlCodec, TheOtherMessagesOfAWorkerArrive) {
  (void)through_worker(Ready{});
  const Leaving leaving = through_worker(Leaving{.moved = kMost64, .drained = 7});
  EXPECT_EQ(leaving.moved, kMost64);
  EXPECT_EQ(leaving.drained, 7u);
  EXPECT_EQ(through_worker(Failed{.reason = "cannot open \"x\""}).reason, "cannot open \"x\"");
  const DrainProgress progress =
      through_worker(DrainProgress{.sessions_left = kMost64, .moved = 5, .drained = 6});
  EXPECT_EQ(progress.sessions_left, kMost64);
  EXPECT_EQ(progress.moved, 5u);
  EXPECT_EQ(progress.drained, 6u);
  EXPECT_EQ(through_worker(DrainProgress{}).sessions_left, 0u);
}

TEST(ControlCodec, TheMessagesOfTheSupervisorArrive) {
  EXPECT_EQ(through_supervisor(Welcome{.protocol_version = 7}).protocol_version, 7u);
  EXPECT_EQ(through_supervisor(Welcome{.level = 8}).level, 8u);
  EXPECT_EQ(through_supervisor(Knows{.level = 9}).level, 9u);
  EXPECT_EQ(through_supervisor(PeerJoined{.who = kHighest}, 3).who, kHighest);
  EXPECT_EQ(through_supervisor(PeerLeft{.who = kHighest}).who, kHighest);
  (void)through_supervisor(TakeSeat{});
  (void)through_supervisor(GiveUpSeat{});
  const Drain drain = through_supervisor(Drain{.window = milliseconds(0), .deadline = kLongest});
  EXPECT_EQ(drain.window, milliseconds(0));
  EXPECT_EQ(drain.deadline, kLongest);
  (void)through_supervisor(Succeed{}, 1);
  const Migrate migrate =
      through_supervisor(Migrate{.window = milliseconds(3), .deadline = milliseconds(9)}, 1);
  EXPECT_EQ(migrate.window, milliseconds(3));
  EXPECT_EQ(migrate.deadline, milliseconds(9));
}

// ---- limits, below, at and above --------------------------------------------------------------------------

TEST(ControlCodec, ALongTextIsCutByTheWriterAndNotRefused) {
  EXPECT_EQ(through_worker(Failed{.reason = std::string(65'535, 'x')}).reason.size(), 65'535u);
  EXPECT_EQ(through_worker(Failed{.reason = std::string(65'536, 'x')}).reason.size(), 65'536u);
  EXPECT_EQ(through_worker(Failed{.reason = std::string(65'537, 'x')}).reason.size(), 65'536u);
}

TEST(ControlCodec, ATextOverTheLimitIsRefused) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<wire::WorkerMessage>().initFailed().initReason(65'537);
  EXPECT_EQ(refusal(datagram_of(bytes_of(builder)), decode_worker_message),
            "Failed: reason has 65537 bytes, the limit is 65536");
}

std::string refusal_of_drain(std::int64_t window, std::int64_t deadline) {
  capnp::MallocMessageBuilder builder;
  auto drain = builder.initRoot<wire::SupervisorMessage>().initDrain();
  drain.setWindow(window);
  drain.setDeadline(deadline);
  return refusal(datagram_of(bytes_of(builder)), decode_supervisor_message);
}

TEST(ControlCodec, ANegativeDurationIsRefused) {
  EXPECT_EQ(refusal_of_drain(-1, 0), "Drain: window is negative: -1 ms");
  EXPECT_THAT(refusal_of_drain(0, std::numeric_limits<std::int64_t>::min()),
              HasSubstr("Drain: deadline is negative"));
}

TEST(ControlCodec, ADurationThatNoClockCanTakeIsRefused) {
  EXPECT_EQ(refusal_of_drain(0, kLongest.count() + 1), "Drain: deadline is over 100 years: 3162240000001 ms");
}

std::string refusal_of_peer(std::uint16_t slot, std::uint16_t lane) {
  return refusal(datagram_of(encode(SupervisorMessage(PeerLeft{.who = {.slot = slot, .lane = lane}}))),
                 decode_supervisor_message);
}

TEST(ControlCodec, ASlotOrALaneThatCannotBeIsRefused) {
  EXPECT_EQ(refusal_of_peer(4096, 0), "PeerLeft: slot is 4096, must be below 4096");
  EXPECT_EQ(refusal_of_peer(0, 8193), "PeerLeft: lane is 8193, must be below 8193");
}

TEST(ControlCodec, AFieldOfANewerPeerIsPassedOver) {
  std::string why;
  // Ready is an empty struct here; the peer's build has put a word and a pointer into it.
  const std::uint64_t words[] = {
      std::uint64_t{5} << 32, 0x0001'0001'0000'0000u, 1, 0x0001'0001'0000'0000u, 42, 0};
  std::vector<std::byte> bytes(sizeof words);
  std::memcpy(bytes.data(), words, sizeof words);
  const auto message = decode_worker_message(datagram_of(std::move(bytes)), &why);
  ASSERT_TRUE(message) << why;
  EXPECT_TRUE(std::holds_alternative<Ready>(*message));
}

// ---- the table
// ----------------------------------------------------------------------------------------------

template <class Message, class Row>
void for_each_row(Row&& row) {
  [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
    (row(std::variant_alternative_t<kIndex, Message>{}), ...);
  }
  (std::make_index_sequence<std::variant_size_v<Message>>());
}

/// Each message goes through with the fewest and the most descriptors of its row, and is refused by the name
/// of its row with one less or one more.
template <class Envelope, class Decode>
void expect_descriptors_of_rows(Decode decode) {
  for_each_row<Envelope>([&]<class Body>(const Body& body) {
    const ControlRow<Body>& row = control_row<Body>();
    const auto bytes = encode(Envelope(body));
    std::string why;
    for (const std::size_t right : {row.least_descriptors, row.most_descriptors}) {
      const auto message = decode(datagram_of(bytes, right), &why);
      ASSERT_TRUE(message.has_value()) << row.name << ": " << why;
      EXPECT_TRUE(std::holds_alternative<Body>(*message)) << row.name;
    }
    const auto refused = [&](std::size_t wants, std::size_t got) {
      EXPECT_EQ(refusal(datagram_of(bytes, got), decode), std::string(row.name) + ": wants " +
                                                              std::to_string(wants) + " descriptors, got " +
                                                              std::to_string(got));
    };
    if (row.least_descriptors > 0) refused(row.least_descriptors, row.least_descriptors - 1);
    refused(row.most_descriptors, row.most_descriptors + 1);
  });
}

TEST(ControlTable, SaysHowManyDescriptorsGoWithEachMessage) {
  expect_descriptors_of_rows<WorkerMessage>(decode_worker_message);
  expect_descriptors_of_rows<SupervisorMessage>(decode_supervisor_message);
}

TEST(ControlTable, NamesNoMessageTwice) {
  std::set<std::string_view> names;
  std::apply([&](const auto&... row) { (names.insert(row.name), ...); }, kControlRows);
  EXPECT_EQ(names.size(), std::tuple_size_v<decltype(kControlRows)>);
  EXPECT_EQ(names.size(), std::variant_size_v<WorkerMessage> + std::variant_size_v<SupervisorMessage>);
}

TEST(ControlTable, ThisBuildKnowsEveryMessageAndAnOlderOneDoesNot) {
  std::apply([](const auto&... row) { EXPECT_LE(std::max({row.level...}), kLevel); }, kControlRows);
  EXPECT_TRUE(is_known_at<Hello>(0));
  EXPECT_TRUE(is_known_at<Drain>(0));
  EXPECT_FALSE(is_known_at<Knows>(0));
  EXPECT_TRUE(is_known_at<Knows>(1));
  for (const std::uint32_t older : {0u, 1u}) {
    EXPECT_FALSE(is_known_at<Signalled>(older));
    EXPECT_FALSE(is_known_at<GoOn>(older));
    EXPECT_FALSE(is_known_at<Leave>(older));
  }
  EXPECT_TRUE(is_known_at<Signalled>(2));
  EXPECT_TRUE(is_known_at<GoOn>(2));
  EXPECT_TRUE(is_known_at<Leave>(3));
}

}  // namespace
}  // namespace limpet::ipc
