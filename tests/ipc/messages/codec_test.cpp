// What crosses a socket comes out as it went in, or not at all and with a reason.
#include "ipc/messages/codec.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <random>

#include "limpet.capnp.h"

namespace limpet::ipc {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr auto kMost16 = std::numeric_limits<std::uint16_t>::max();
constexpr auto kMost32 = std::numeric_limits<std::uint32_t>::max();
constexpr auto kMost64 = std::numeric_limits<std::uint64_t>::max();
constexpr milliseconds kLongest{std::int64_t{100} * 366 * 24 * 3600 * 1000};
constexpr Incarnation kHighest{.slot = 4095, .lane = 8192, .generation = kMost64};

Datagram datagram_of(std::vector<std::byte> bytes, std::size_t descriptors = 0) {
  Datagram datagram{.bytes = std::move(bytes), .descriptors = {}};
  while (datagram.descriptors.size() < descriptors) datagram.descriptors.emplace_back(::dup(0));
  return datagram;
}

Datagram datagram_of(capnp::MessageBuilder& builder, std::size_t descriptors = 0) {
  const auto words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asBytes();
  std::vector<std::byte> copy(bytes.size());
  std::memcpy(copy.data(), bytes.begin(), bytes.size());
  return datagram_of(std::move(copy), descriptors);
}

/// The body that arrives when `sent` was sent in its envelope; fails the test if none does.
template <class Body, class Decode>
Body arrived(const auto& envelope, std::size_t descriptors, Decode decode) {
  std::string why;
  const auto message = decode(datagram_of(encode(envelope), descriptors), &why);
  if (!message || !std::holds_alternative<Body>(*message)) {
    ADD_FAILURE() << "did not arrive as what it was: " << why;
    return Body{};
  }
  return std::get<Body>(*message);
}

template <class Body>
Body through_worker(const Body& body, std::size_t descriptors = 0) {
  return arrived<Body>(WorkerMessage(body), descriptors, decode_worker_message);
}
template <class Body>
Body through_supervisor(const Body& body, std::size_t descriptors = 0) {
  return arrived<Body>(SupervisorMessage(body), descriptors, decode_supervisor_message);
}
template <class Body>
Body through_request(const Body& body) {
  return arrived<Body>(CtlRequest(body), 0, decode_ctl_request);
}
template <class Body>
Body through_reply(const Body& body) {
  return arrived<Body>(CtlReply(body), 0, decode_ctl_reply);
}

template <class Decode>
std::string refusal(const Datagram& datagram, Decode decode) {
  std::string why;
  EXPECT_FALSE(decode(datagram, &why).has_value());
  return why;
}

// ---- round trips ------------------------------------------------------------------------------------------

TEST(Codec, WhatAnotherNumberOfWorkersNeedsArrives) {
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
  EXPECT_EQ(through_request(ScaleRequest{.workers = kMost16}).workers, kMost16);
}

TEST(Codec, WhatAnotherNumberOfWorkersNeedsHasItsDescriptors) {
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

TEST(Codec, TheStateOfASupervisorArrives) {
  SupervisorState state;
  state.build = "0.9";
  state.binary = "/bin/limpet";
  state.runtime_dir = "/run/limpet";
  state.started = kLongest;
  state.announced = true;
  state.reload_again = true;
  state.last_generation = kMost64;
  state.free_lanes = {8192, 0};
  state.bucket_owners.assign(4096, 4095);
  state.descriptor_limit = kMost64;
  state.placement_seed = kMost64 - 1;
  state.start_directory = "/srv/app/current";
  state.image = {kMost64, 1, 2, 3};
  state.lock = 3;
  state.control_socket = 4;
  state.clients = {5, 6};
  state.programs = {{.options = {{"reload.move", {"true"}}},
                     .application = {"./app", "x"},
                     .executable = "/app",
                     .arguments = {"x"},
                     .image = -1,
                     .settings = 7,
                     .directory = 31,
                     .mark = {1, kMost64, 3, -4}}};
  state.listeners = {{.address = "tcp://127.0.0.1:1", .sockets = {8, 9}}};
  state.slots = {{.inbox_receiving = 10,
                  .inbox_sending = 11,
                  .deaths_in_a_row = 12,
                  .next_start = milliseconds(13),
                  .vacant_since = milliseconds(14),
                  .deaths = 15,
                  .last_obituary = "died",
                  .starts = 16,
                  .ends = {{"deaths_exit", 17}},
                  .retired = {{"http_requests", kMost64}}}};
  WorkerState worker;
  worker.who = kHighest;
  worker.pid = kMost32;
  worker.state = "draining";
  worker.program = 1;
  worker.pidfd = 18;
  worker.control = 19;
  worker.ring = 20;
  worker.reader_page = 21;
  worker.counters = 22;
  worker.doorbell = 23;
  worker.giver_end = 24;
  worker.born = milliseconds(25);
  worker.ready_since = milliseconds(26);
  worker.drained_by = milliseconds(27);
  worker.is_moving = true;
  worker.has_progress = true;
  worker.progress = {28, 29, 30};
  worker.cause = "deaths_hung";
  worker.cause_text = "hung";
  worker.ended_while = "serving";
  worker.last_words = "no";
  state.workers = {worker, WorkerState{}};
  std::string why;
  const auto arrived_state = decode_supervisor_state(datagram_of(encode(state)), &why);
  ASSERT_TRUE(arrived_state) << why;
  // Every field, by the bytes that it becomes again.
  EXPECT_EQ(encode(*arrived_state), encode(state));
  EXPECT_EQ(arrived_state->programs[0].mark.modified_ns, -4);
  EXPECT_EQ(arrived_state->start_directory, "/srv/app/current");
  EXPECT_EQ(arrived_state->workers[0].progress.drained, 30U);
  EXPECT_EQ(arrived_state->slots[0].retired[0].number, kMost64);
  EXPECT_EQ(arrived_state->programs[0].options[0].values[0], "true");
}

TEST(Codec, AStateOfAnotherVersionIsRefused) {
  SupervisorState state;
  state.version = kStateVersion + 1;
  EXPECT_THAT(refusal(datagram_of(encode(state)), decode_supervisor_state),
              HasSubstr("SupervisorState: version 2, this build reads 1"));
  state.version = kStateVersion;
  state.lock = -2;
  EXPECT_THAT(refusal(datagram_of(encode(state)), decode_supervisor_state), HasSubstr("-2 is no descriptor"));
}

TEST(Codec, AMessageWhoseDescriptorsWereLostOnTheWayIsStillKnown) {
  Datagram datagram = datagram_of(encode(SupervisorMessage(PeerJoined{.who = kHighest})));
  std::string why;
  EXPECT_FALSE(decode_supervisor_message(datagram, &why)) << "not sent at all: nonsense";
  datagram.descriptors_lost = true;
  const auto message = decode_supervisor_message(datagram, &why);
  ASSERT_TRUE(message) << why;
  EXPECT_EQ(std::get<PeerJoined>(*message).who, kHighest);
}

TEST(Codec, HelloArrivesWithTheHighestNumbers) {
  const Hello hello = through_worker(
      Hello{.protocol_version = kMost32, .build = "0.1.0 – ümläut", .who = kHighest, .level = kMost32}, 4);
  EXPECT_EQ(hello.level, kMost32);
  EXPECT_EQ(hello.protocol_version, kMost32);
  EXPECT_EQ(hello.build, "0.1.0 – ümläut");
  EXPECT_EQ(hello.who, kHighest);
}

TEST(Codec, HelloArrivesWithTheLowestNumbers) {
  const Hello hello = through_worker(Hello{.protocol_version = 0, .build = "", .who = {}}, 4);
  EXPECT_EQ(hello.protocol_version, 0u);
  EXPECT_EQ(hello.build, "");
  EXPECT_EQ(hello.who, Incarnation{});
}

TEST(Codec, TheOtherMessagesOfAWorkerArrive) {
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

TEST(Codec, TheMessagesOfTheSupervisorArrive) {
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

TEST(Codec, AHandoverArrivesWithAsManyBytesAsItMayHave) {
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

TEST(Codec, AHandoverArrivesWithoutBytes) {
  std::string why;
  const auto got = decode_handover(datagram_of(encode(Handover{}), 1), &why);
  ASSERT_TRUE(got) << why;
  EXPECT_EQ(got->kind, HandoverKind::Connection);
  EXPECT_EQ(got->bytes, "");
}

TEST(Codec, RequestsOfCtlArrive) {
  EXPECT_EQ(through_request(CtlHello{.protocol_version = 3}).protocol_version, 3u);
  (void)through_request(StatusRequest{});
  (void)through_request(StatsRequest{});
  (void)through_request(ReloadRequest{});
  EXPECT_TRUE(through_request(StopRequest{.at_once = true}).at_once);
  EXPECT_FALSE(through_request(StopRequest{.at_once = false}).at_once);
  (void)through_request(UpgradeRequest{});
}

WorkerStatus some_worker() {
  return {.slot = 4095,
          .lane = 8192,
          .generation = kMost64,
          .pid = kMost32,
          .state = "serving",
          .seated = true,
          .age = kLongest,
          .since_beat = milliseconds(1),
          .sessions = kMost64};
}

SlotStatus some_slot() {
  return {.slot = 1,
          .state = "back-off",
          .deaths = kMost64,
          .next_start = milliseconds(30'000),
          .last_obituary = "slot 1 gen 7: killed by signal 9",
          .workers = {some_worker(), WorkerStatus{}}};
}

TEST(Codec, AStatusArrives) {
  const StatusReply got = through_reply(StatusReply{.version = "0.1.0",
                                                    .pid = 1,
                                                    .uptime = kLongest,
                                                    .application = "./chat",
                                                    .runtime_dir = "/run/limpet",
                                                    .operation = "reload since 12.3 s",
                                                    .listeners = {"tcp://0.0.0.0:3000", ""},
                                                    .slots = {SlotStatus{}, some_slot()}});
  EXPECT_EQ(got.version, "0.1.0");
  EXPECT_EQ(got.pid, 1u);
  EXPECT_EQ(got.uptime, kLongest);
  EXPECT_EQ(got.application, "./chat");
  EXPECT_EQ(got.runtime_dir, "/run/limpet");
  EXPECT_EQ(got.operation, "reload since 12.3 s");
  EXPECT_THAT(got.listeners, testing::ElementsAre("tcp://0.0.0.0:3000", ""));
  ASSERT_EQ(got.slots.size(), 2u);
  EXPECT_TRUE(got.slots[0].workers.empty());
}

TEST(Codec, ASlotOfAStatusArrives) {
  const StatusReply got = through_reply(StatusReply{.slots = {some_slot()}});
  ASSERT_EQ(got.slots.size(), 1u);
  const SlotStatus& slot = got.slots[0];
  EXPECT_EQ(slot.slot, 1);
  EXPECT_EQ(slot.state, "back-off");
  EXPECT_EQ(slot.deaths, kMost64);
  EXPECT_EQ(slot.next_start, milliseconds(30'000));
  EXPECT_EQ(slot.last_obituary, "slot 1 gen 7: killed by signal 9");
  ASSERT_EQ(slot.workers.size(), 2u);
  EXPECT_FALSE(slot.workers[1].seated);
}

TEST(Codec, AWorkerOfAStatusArrives) {
  const StatusReply got = through_reply(StatusReply{.slots = {some_slot()}});
  ASSERT_EQ(got.slots.size(), 1u);
  ASSERT_FALSE(got.slots[0].workers.empty());
  const WorkerStatus& worker = got.slots[0].workers[0];
  EXPECT_EQ(worker.slot, 4095);
  EXPECT_EQ(worker.lane, 8192);
  EXPECT_EQ(worker.generation, kMost64);
  EXPECT_EQ(worker.pid, kMost32);
  EXPECT_EQ(worker.state, "serving");
  EXPECT_TRUE(worker.seated);
  EXPECT_EQ(worker.age, kLongest);
  EXPECT_EQ(worker.since_beat, milliseconds(1));
  EXPECT_EQ(worker.sessions, kMost64);
}

TEST(Codec, CountersArrive) {
  const StatsReply got = through_reply(StatsReply{.counters = {{.name = "bytes_in",
                                                                .unit = "bytes",
                                                                .help = "read from clients",
                                                                .is_gauge = true,
                                                                .total = kMost64,
                                                                .by_slot = {0, 1, kMost64}},
                                                               CounterReport{}}});
  ASSERT_EQ(got.counters.size(), 2u);
  EXPECT_EQ(got.counters[0].name, "bytes_in");
  EXPECT_EQ(got.counters[0].unit, "bytes");
  EXPECT_EQ(got.counters[0].help, "read from clients");
  EXPECT_TRUE(got.counters[0].is_gauge);
  EXPECT_EQ(got.counters[0].total, kMost64);
  EXPECT_THAT(got.counters[0].by_slot, testing::ElementsAre(0u, 1u, kMost64));
  EXPECT_FALSE(got.counters[1].is_gauge);
  EXPECT_TRUE(got.counters[1].by_slot.empty());
}

TEST(Codec, TheOtherRepliesToCtlArrive) {
  EXPECT_EQ(through_reply(CtlHello{.protocol_version = 3}).protocol_version, 3u);
  EXPECT_EQ(through_reply(Progress{.line = "slot 0: ready"}).line, "slot 0: ready");
  const Done done = through_reply(Done{.exit_code = 255, .line = "no"});
  EXPECT_EQ(done.exit_code, 255);
  EXPECT_EQ(done.line, "no");
}

// ---- limits, below, at and above --------------------------------------------------------------------------

TEST(Codec, ALongTextIsCutByTheWriterAndNotRefused) {
  EXPECT_EQ(through_worker(Failed{.reason = std::string(65'535, 'x')}).reason.size(), 65'535u);
  EXPECT_EQ(through_worker(Failed{.reason = std::string(65'536, 'x')}).reason.size(), 65'536u);
  EXPECT_EQ(through_worker(Failed{.reason = std::string(65'537, 'x')}).reason.size(), 65'536u);
}

TEST(Codec, ATextOverTheLimitIsRefused) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<wire::WorkerMessage>().initFailed().initReason(65'537);
  EXPECT_EQ(refusal(datagram_of(builder), decode_worker_message),
            "Failed: reason has 65537 bytes, the limit is 65536");
}

TEST(Codec, AHandoverOfTooManyBytesIsRefused) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<wire::Handover>().initBytes(kHandoverLimitBytes + 1);
  EXPECT_EQ(refusal(datagram_of(builder, 1), decode_handover),
            "Handover: bytes has 49153 bytes, the limit is 49152");
}

TEST(CodecDeathTest, EncodingAHandoverOfTooManyBytesIsOurOwnMistake) {
  EXPECT_DEATH((void)encode(Handover{.bytes = std::string(kHandoverLimitBytes + 1, 'x')}),
               "a handover of 49153 bytes, the limit is 49152");
}

std::string refusal_of_drain(std::int64_t window, std::int64_t deadline) {
  capnp::MallocMessageBuilder builder;
  auto drain = builder.initRoot<wire::SupervisorMessage>().initDrain();
  drain.setWindow(window);
  drain.setDeadline(deadline);
  return refusal(datagram_of(builder), decode_supervisor_message);
}

TEST(Codec, ANegativeDurationIsRefused) {
  EXPECT_EQ(refusal_of_drain(-1, 0), "Drain: window is negative: -1 ms");
  EXPECT_THAT(refusal_of_drain(0, std::numeric_limits<std::int64_t>::min()),
              HasSubstr("Drain: deadline is negative"));
}

TEST(Codec, ADurationThatNoClockCanTakeIsRefused) {
  EXPECT_EQ(refusal_of_drain(0, kLongest.count() + 1), "Drain: deadline is over 100 years: 3162240000001 ms");
}

std::string refusal_of_peer(std::uint16_t slot, std::uint16_t lane) {
  return refusal(datagram_of(encode(SupervisorMessage(PeerLeft{.who = {.slot = slot, .lane = lane}}))),
                 decode_supervisor_message);
}

TEST(Codec, ASlotOrALaneThatCannotBeIsRefused) {
  EXPECT_EQ(refusal_of_peer(4096, 0), "PeerLeft: slot is 4096, must be below 4096");
  EXPECT_EQ(refusal_of_peer(0, 8193), "PeerLeft: lane is 8193, must be below 8193");
}

TEST(Codec, AListOverItsLimitIsRefused) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<wire::CtlReply>().initStatus().initListeners(1025);
  EXPECT_EQ(refusal(datagram_of(builder), decode_ctl_reply),
            "StatusReply: listeners has 1025 items, the limit is 1024");
}

// ---- malformed --------------------------------------------------------------------------------------------

TEST(Codec, AMessageWithTheWrongNumberOfDescriptorsIsRefused) {
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

/// A message of one data word, whose first 16 bits are `number`, and one pointer: an envelope, or a
/// handover's head.
Datagram with_first_number(std::uint16_t number, std::size_t descriptors) {
  const std::uint64_t words[] = {
      std::uint64_t{3} << 32,          // one segment of 3 words
      0x0001'0001'0000'0000u,          // a struct: 1 word of data, 1 pointer
      number, 0x0000'0000'ffff'fffcu,  // the pointer: an empty struct
  };
  std::vector<std::byte> bytes(sizeof words);
  std::memcpy(bytes.data(), words, sizeof words);
  return datagram_of(std::move(bytes), descriptors);
}

TEST(Codec, AMessageThatNobodyKnowsIsRefusedByItsNumber) {
  EXPECT_EQ(refusal(with_first_number(17, 0), decode_worker_message), "unknown message 17");
  EXPECT_EQ(refusal(with_first_number(99, 0), decode_supervisor_message), "unknown message 99");
  EXPECT_EQ(refusal(with_first_number(99, 0), decode_ctl_request), "unknown message 99");
  EXPECT_EQ(refusal(with_first_number(65'535, 0), decode_ctl_reply), "unknown message 65535");
}

TEST(Codec, AHandoverOfAKindThatNobodyKnowsIsRefused) {
  EXPECT_EQ(refusal(with_first_number(2, 1), decode_handover), "Handover: unknown kind 2");
}

TEST(Codec, AFieldOfANewerPeerIsPassedOver) {
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

TEST(Codec, AnEnvelopeWithoutItsBodyIsRefused) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<wire::WorkerMessage>();
  EXPECT_EQ(refusal(datagram_of(builder, 4), decode_worker_message), "Hello: has no body");
  EXPECT_EQ(refusal(datagram_of(builder), decode_ctl_request), "CtlHello: has no body");
}

TEST(Codec, NothingIsNoMessage) {
  EXPECT_EQ(refusal(datagram_of(std::vector<std::byte>{}), decode_worker_message),
            "malformed: 0 bytes are not a whole number of words");
}

TEST(Codec, HalfAWordIsNoMessage) {
  auto bytes = encode(WorkerMessage(Ready{}));
  bytes.pop_back();
  EXPECT_THAT(refusal(datagram_of(bytes), decode_worker_message),
              HasSubstr("are not a whole number of words"));
}

TEST(Codec, AMessageThatWasCutOffIsRefused) {
  const auto whole = encode(WorkerMessage(Failed{.reason = "a reason that takes some words of its own"}));
  for (std::size_t size = 8; size < whole.size(); size += 8) {
    const std::vector<std::byte> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THAT(refusal(datagram_of(part), decode_worker_message), HasSubstr("malformed: "))
        << size << " bytes";
  }
}

TEST(Codec, BytesBehindAMessageAreRefused) {
  auto bytes = encode(WorkerMessage(Ready{}));
  bytes.resize(bytes.size() + 8);
  EXPECT_EQ(refusal(datagram_of(bytes), decode_worker_message), "malformed: bytes behind the message");
}

TEST(Codec, ATextWithoutItsEndIsRefused) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<wire::WorkerMessage>().initFailed().initReason(7);
  Datagram datagram = datagram_of(builder);
  datagram.bytes.back() = std::byte{'x'};  // the text's last word is the message's, its NUL the last byte
  EXPECT_THAT(refusal(datagram, decode_worker_message), HasSubstr("malformed: "));
}

TEST(Codec, AMessageThatNamesTheSameBytesOverAndOverIsRefused) {
  // 1,000 listeners, all of them pointing to one text of 60,000 bytes: 60 MB out of a datagram of 70 KB.
  capnp::MallocMessageBuilder builder(64'000);
  auto listeners = builder.initRoot<wire::CtlReply>().initStatus().initListeners(1000);
  listeners.init(0, 60'000);
  Datagram datagram = datagram_of(builder);
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
          encode(CtlReply(StatusReply{.listeners = {"a", "b"}, .slots = {some_slot(), some_slot()}})),
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

TEST(Codec, NoMutationOfAMessageHarmsTheReader) {
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
