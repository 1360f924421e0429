#include "worker/client/clients.h"

#include <gmock/gmock.h>

#include "tests/worker/client/clients_kit.h"

namespace limpet::client::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Waiting = loop::Stream::Waiting;

// ---- writing

TEST(ClientsOfSeveralListeners, AreTimedOutByTheirOwnListenersLimits) {
  loop::Poller poller;
  loop::Clock clock{loop::TimePoint(1000s)};
  ipc::CounterBlock counters = ipc::CounterBlock::create({0, 0, 1});
  std::vector<ListenerSettings> listeners(2);
  listeners[0].header_timeout = 5s;
  listeners[1].header_timeout = 1s;
  Recorder recorder;
  loop::Allowance allowance = loop::Allowance::unlimited();
  loop::MemoryTotal memory;
  Clients clients(poller, clock, allowance, memory, counters, {}, listeners);
  std::vector<Peer> peers;
  for (const std::uint16_t listener : {0, 1, 9}) {  // 9: nobody's, so the common limit of 10 s
    auto [ours, theirs] = socket_pair();
    ClientConnection* connection = clients.adopt(std::move(ours), {}, listener);
    connection->set_receiver(&recorder);
    connection->set_waiting(loop::Stream::Waiting::Header);
    peers.emplace_back(std::move(theirs));
  }
  std::vector<std::size_t> open;
  for (const auto at : {1s, 5s, 10s}) {
    EXPECT_EQ(clients.next_deadline(), loop::TimePoint(1000s) + at);
    clock.advance_to(loop::TimePoint(1000s) + at);
    clients.check_deadlines();
    clients.bury();
    open.push_back(clients.open());
  }
  EXPECT_THAT(open, testing::ElementsAre(2u, 1u, 0u));
  EXPECT_EQ(counters.get(ipc::Counter::ConnectionsTimedOut), 3u);
}

TEST_F(ClientsTest, EverythingQueuedInATurnIsOneWrite) {
  // One write to a packet socket is one packet.
  auto [client, peer] = connect(recorder_, SOCK_SEQPACKET);
  for (const char* word : {"one ", "two ", "three"}) client->send(buffer(word));
  EXPECT_EQ(client->unsent_bytes(), 13u);
  turn();
  std::array<char, 100> packet{};
  EXPECT_EQ(::recv(peer.descriptor(), packet.data(), packet.size(), 0), 13);
  EXPECT_STREQ(packet.data(), "one two three");
  EXPECT_EQ(client->unsent_bytes(), 0u);
  EXPECT_EQ(count(ipc::Counter::BytesOut), 13u);
  EXPECT_EQ(recorder_.writable, 0) << "what was written at once needs no word";
}

TEST_F(ClientsTest, AOneBufferQueueIsOneWriteAsWell) {
  auto [client, peer] = connect(recorder_, SOCK_SEQPACKET);
  client->send(buffer("alone"));
  turn();
  EXPECT_EQ(peer.read(), "alone");
}

TEST_F(ClientsTest, ASharedBufferGoesToEverybody) {
  auto [first, first_peer] = connect(recorder_);
  auto [second, second_peer] = connect(recorder_);
  const loop::Buffer shared = buffer("to all");
  first->send(shared);
  second->send(shared);
  turn();
  EXPECT_EQ(first_peer.read(), "to all");
  EXPECT_EQ(second_peer.read(), "to all");
}

TEST_F(ClientsTest, QueuesThatAreAlikeAreNotMistakenForEachOther) {
  const loop::Buffer x = buffer("x1 ");
  const loop::Buffer y = buffer("y2 ");
  const loop::Buffer z = buffer("z3 ");
  const std::vector<std::vector<loop::Buffer>> queues{{x, y}, {x, y}, {x, z}, {x, y, z},
                                                      {x, y}, {y, x}, {x, x}};
  std::vector<Peer> peers;
  for (const auto& queue : queues) {
    auto [client, peer] = connect(recorder_);
    for (const auto& frame : queue) client->send(frame);
    peers.push_back(std::move(peer));
  }
  turn();
  for (std::size_t i = 0; i < queues.size(); ++i) {
    std::string wanted;
    for (const auto& frame : queues[i]) wanted += frame.view();
    EXPECT_EQ(peers[i].read(), wanted) << i;
  }
}

TEST_F(ClientsTest, AClientInTheMiddleOfASharedFrameGetsItsOwnRest) {
  const loop::Buffer long_frame = buffer(pattern(200'000));
  const loop::Buffer short_frame = buffer("short");
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  ClientConnection* slow = adopt(std::move(ours), recorder_);
  Peer slow_peer(std::move(theirs));
  slow->send(long_frame);
  turn();
  std::string got;
  while (slow->unsent_bytes() > 10'000) {
    got += slow_peer.read(4096);
    turn();
  }
  auto [quick, quick_peer] = connect(recorder_);
  slow->send(short_frame);
  quick->send(long_frame);
  quick->send(short_frame);
  const std::string wanted = std::string(long_frame.view()) + "short";
  std::string quick_got;
  while (got.size() < wanted.size() || quick_got.size() < wanted.size()) {
    turn();
    const std::string some = slow_peer.read(4096);
    const std::string others = quick_peer.read();
    ASSERT_TRUE(!some.empty() || !others.empty());
    got += some;
    quick_got += others;
  }
  EXPECT_TRUE(got == wanted);
  EXPECT_TRUE(quick_got == wanted);
}

TEST_F(ClientsTest, ASlowReaderGetsEveryByteInOrder) {
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  ClientConnection* client = adopt(std::move(ours), recorder_);
  Peer peer(std::move(theirs));
  std::string wanted;
  for (std::uint32_t i = 0; i < 700; ++i) {  // more buffers than one system call takes
    const std::string bytes = pattern(1 + i * 7 % 900, i);
    wanted += bytes;
    client->send(buffer(bytes));
  }
  std::string got;
  while (got.size() < wanted.size()) {
    turn();
    ASSERT_EQ(recorder_.writable, client->unsent_bytes() > 0 ? 0 : 1) << "told once, when all is written";
    if (client->unsent_bytes() > 0) {  // queued behind what waits
      client->send(buffer("x"));
      wanted += "x";
    }
    const std::string some = peer.read(997);
    ASSERT_NE(some, "") << "after " << got.size();
    got += some;
  }
  EXPECT_TRUE(got == wanted);
  EXPECT_EQ(client->unsent_bytes(), 0u);
}

TEST_F(ClientsTest, AClientThatReadsNothingIsDroppedAboveFourTimesTheQueueLimit) {
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  ClientConnection* client = adopt(std::move(ours), recorder_);
  const Peer peer(std::move(theirs));
  const std::size_t limit = limits().send_queue_bytes;
  client->send(buffer("being written"));
  for (int i = 0; i < 5; ++i) client->send(buffer(std::string(limit, 'x')));
  EXPECT_FALSE(client->closing()) << "the one that crosses the limit is let in";
  client->send(buffer("x"));
  EXPECT_TRUE(client->closing()) << "above the limit";
  EXPECT_THAT(recorder_.closed, IsEmpty()) << "never from inside send";
  turn();
  EXPECT_THAT(recorder_.closed, ElementsAre(ENOBUFS));
  EXPECT_EQ(count(ipc::Counter::SessionsDropped), 1u);
  EXPECT_EQ(count(ipc::Counter::DroppedOverfull), 1u);
  EXPECT_EQ(clients_.open(), 0u);
}

TEST_F(ClientsTest, ASingleAnswerMayHaveAnySizeAndOthersMayFollow) {
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  ClientConnection* client = adopt(std::move(ours), recorder_);
  Peer peer(std::move(theirs));
  const std::string answer = pattern(6 * limits().send_queue_bytes);
  client->send(buffer(answer));
  client->send(buffer("and more"));
  const std::string got = everything_for(peer, [this] { turn(); });
  EXPECT_TRUE(got == answer + "and more");
  EXPECT_FALSE(client->closing());
}

TEST_F(ClientsTest, WhatTheKernelWasNotOfferedYetIsOfferedBeforeAnybodyIsDropped) {
  auto [client, peer] = connect(recorder_);
  const std::string emit(100'000, 'x');
  std::size_t sent = 0;
  // All in one turn. The socket has room for more than one of them, so that it is less than four times the
  // limit that the client has not taken.
  for (; sent <= 4 * limits().send_queue_bytes + emit.size(); sent += emit.size()) client->send(buffer(emit));
  client->send(buffer("x"));
  EXPECT_FALSE(client->closing());
  EXPECT_EQ(everything_for(peer, [this] { turn(); }).size(), sent + 1);
}

TEST_F(ClientsTest, AClientWithAFullQueueIsDroppedOnceItHasTakenNothingForTooLong) {
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  ClientConnection* client = adopt(std::move(ours), recorder_);
  Peer peer(std::move(theirs));
  for (int i = 0; i < 3; ++i) client->send(buffer(std::string(limits().send_queue_bytes, 'x')));
  turn();
  pass(4999ms);
  ASSERT_NE(peer.read(10'000), "");
  turn();
  EXPECT_EQ(clients_.next_deadline(), clock_.now() + 5s) << "it took something now";
  pass(4999ms);
  turn();
  EXPECT_THAT(recorder_.closed, IsEmpty());
  pass(1ms);
  turn();
  EXPECT_THAT(recorder_.closed, ElementsAre(ETIMEDOUT));
  EXPECT_EQ(count(ipc::Counter::DroppedStalled), 1u);
}

TEST_F(ClientsTest, AQueueBelowItsLimitMayStandStill) {
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  ClientConnection* client = adopt(std::move(ours), recorder_);
  Peer peer(std::move(theirs));
  client->send(buffer(std::string(limits().send_queue_bytes, 'x')));
  turn();
  pass(1h);
  turn();
  EXPECT_THAT(recorder_.closed, IsEmpty());
  clients_.close_all();
}

TEST_F(ClientsTest, TheLargestIsShedFirstAndMemoryIsWhereItWasWhenAllAreGone) {
  const std::uint64_t before = memory_.bytes();
  {
    Recorder small;
    std::vector<Peer> peers;
    std::vector<ClientConnection*> all;
    for (Recorder* recorder : {&small, &recorder_, &small}) {
      auto [ours, theirs] = socket_pair();
      shrink_send_buffer(ours);
      all.push_back(adopt(std::move(ours), *recorder));
      peers.emplace_back(std::move(theirs));
    }
    EXPECT_EQ(clients_.largest_bytes(), 0u);
    all[0]->send(buffer(std::string(400'000, 'x')));
    all[1]->send(buffer(std::string(900'000, 'x')));
    turn();
    EXPECT_GT(memory_.bytes(), before + 1'300'000);
    EXPECT_GT(clients_.largest_bytes(), 500'000u);
    clients_.shed_largest();
    turn();
    EXPECT_THAT(recorder_.closed, ElementsAre(ECONNABORTED));
    EXPECT_THAT(small.closed, IsEmpty());
    EXPECT_EQ(count(ipc::Counter::ShedForMemory), 1u);
    EXPECT_LT(clients_.largest_bytes(), 500'000u);
    clients_.close_all();
  }
  EXPECT_EQ(memory_.bytes(), before);
}

TEST_F(ClientsTest, WhatAReceiverHoldsIsAccountedToo) {
  auto [client, peer] = connect(recorder_);
  const std::uint64_t before = memory_.bytes();
  client->hold(100'000);
  EXPECT_GE(memory_.bytes(), before + 99'000);
  EXPECT_GT(clients_.largest_bytes(), 0u);
  client->hold(-100'000);
  EXPECT_EQ(memory_.bytes(), before);
  EXPECT_EQ(clients_.largest_bytes(), 0u);
}

TEST_F(ClientsTest, AnEmptyBufferIsNothing) {
  auto [client, peer] = connect(recorder_);
  client->send({});
  client->send(buffer(""));
  EXPECT_FALSE(clients_.has_work());
}

TEST_F(ClientsTest, APeerThatHasGoneIsToldAsAnError) {
  auto [client, peer] = connect(recorder_);
  peer.close();
  client->send(buffer("anybody?"));
  clients_.flush();
  clients_.bury();
  EXPECT_THAT(recorder_.closed, ElementsAre(EPIPE));
}

TEST_F(ClientsTest, AWritableReceiverMayQueueAtOnce) {
  struct Refill final : Recorder {
    void on_writable(loop::Stream& stream) override {
      if (writable++ == 0) stream.send(buffer("more"));
    }
  } refill;
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  ClientConnection* client = adopt(std::move(ours), refill);
  Peer peer(std::move(theirs));
  client->send(buffer(std::string(100'000, 'x')));
  std::string got;
  do {
    turn();
    got += peer.read();
  } while (refill.writable == 0);
  got += peer.read();
  EXPECT_EQ(got.size(), 100'004u);
  EXPECT_TRUE(got.ends_with("more")) << "in the same turn";
  clients_.close_all();
}

// ---- reading

TEST_F(ClientsTest, BytesReachTheReceiver) {
  auto [client, peer] = connect(recorder_);
  peer.write("hello");
  turn();
  EXPECT_EQ(recorder_.received, "hello");
  EXPECT_EQ(count(ipc::Counter::BytesIn), 5u);
}

TEST_F(ClientsTest, UnconsumedBytesComeAgainWithTheNext) {
  recorder_.act = [](loop::Stream&, std::span<char> bytes) { return bytes.size() < 6 ? 0u : 4u; };
  auto [client, peer] = connect(recorder_);
  peer.write("abc");
  turn();
  EXPECT_EQ(recorder_.seen, "abc");
  turn();
  EXPECT_EQ(recorder_.calls, 1) << "only together with something new";
  peer.write("defg");
  turn();
  EXPECT_EQ(recorder_.seen, "abcdefg");
  peer.write("h");
  turn();
  EXPECT_EQ(recorder_.seen, "efgh");
}

TEST_F(ClientsTest, BytesOfAnAdoptedConnectionComeBeforeWhatItStillReceives) {
  auto [client, peer] = connect(recorder_, SOCK_STREAM, "first ");
  peer.write("second");
  EXPECT_TRUE(clients_.has_work());
  turn();
  turn();
  EXPECT_EQ(recorder_.received, "first second");
}

TEST_F(ClientsTest, APausedReceiverGetsNothingUntilItGoesOn) {
  auto [client, peer] = connect(recorder_);
  client->pause_reading(true);
  peer.write("later");
  turn();
  turn();
  EXPECT_EQ(recorder_.calls, 0);
  EXPECT_FALSE(clients_.has_work()) << "and it costs no turns";
  client->pause_reading(false);
  turn();
  EXPECT_EQ(recorder_.received, "later");
}

TEST_F(ClientsTest, AReceiverThatPausesItselfGetsTheRestLater) {
  recorder_.act = [this](loop::Stream& stream, std::span<char> bytes) {
    recorder_.received.append(bytes.data(), 3);
    stream.pause_reading(true);
    return 3u;
  };
  auto [client, peer] = connect(recorder_);
  peer.write("abcdef");
  turn();
  turn();
  EXPECT_EQ(recorder_.received, "abc");
  client->pause_reading(false);
  turn();
  EXPECT_EQ(recorder_.received, "abcdef") << "without a new byte from the peer";
}

TEST_F(ClientsTest, TheEndIsToldAlsoToAPausedReceiver) {
  auto [client, peer] = connect(recorder_);
  client->pause_reading(true);
  peer.close();
  turn();
  EXPECT_THAT(recorder_.closed, ElementsAre(0));
}

TEST_F(ClientsTest, BytesInFrontOfTheEndAreDelivered) {
  auto [client, peer] = connect(recorder_);
  peer.write("last words");
  peer.close();
  ASSERT_TRUE(turn_until([&] { return !recorder_.closed.empty(); }));
  EXPECT_EQ(recorder_.received, "last words");
  EXPECT_THAT(recorder_.closed, ElementsAre(0));
}

TEST_F(ClientsTest, APeerThatHalfClosedGetsWhatIsQueued) {
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  ClientConnection* client = adopt(std::move(ours), recorder_);
  Peer peer(std::move(theirs));
  const std::string answer = pattern(300'000);
  client->send(buffer(answer));
  peer.half_close();
  std::string got;
  while (!peer.at_end()) {
    turn();
    const std::string some = peer.read();
    ASSERT_TRUE(!some.empty() || peer.at_end()) << got.size();
    got += some;
  }
  EXPECT_TRUE(got == answer);
  turn();
  EXPECT_THAT(recorder_.closed, ElementsAre(0));
}

TEST_F(ClientsTest, AReceiverSetDuringACallGetsTheRestAtOnce) {
  Recorder second;
  recorder_.act = [&second](loop::Stream& stream, std::span<char>) {
    stream.set_receiver(&second);
    return 4u;
  };
  auto [client, peer] = connect(recorder_);
  peer.write("GET frame");
  turn();
  EXPECT_EQ(recorder_.calls, 1);
  EXPECT_EQ(second.received, "frame");
  peer.close();
  turn();
  EXPECT_THAT(second.closed, ElementsAre(0));
  EXPECT_THAT(recorder_.closed, IsEmpty());
}

// ---- turns

/// Takes a byte at a time, as long as it may; answers each with `answer`.
struct ByteByByte final : Recorder {
  std::size_t on_bytes(loop::Stream& stream, std::span<char> bytes) override {
    ++calls;
    std::size_t taken = 0;
    while (taken < bytes.size() && stream.may_go_on()) {
      received.push_back(bytes[taken++]);
      if (!answer.empty()) stream.send(buffer(answer));
    }
    return taken;
  }
  std::string answer;
};

TEST_F(ClientsTest, MuchInputOfOneIsTakenOverSeveralTurnsAndOthersComeInBetween) {
  ByteByByte much;
  auto [flooding, flooding_peer] = connect(much);
  auto [other, other_peer] = connect(recorder_);
  const std::string flood = pattern(50'000);
  ASSERT_EQ(flooding_peer.write(flood), flood.size());
  turn();
  EXPECT_LT(much.received.size(), 2'000u);
  EXPECT_TRUE(clients_.has_work());
  other_peer.write("me too");
  turn();
  EXPECT_EQ(recorder_.received, "me too");
  EXPECT_LT(much.received.size(), 4'000u);
  while (clients_.has_work()) turn();
  EXPECT_TRUE(much.received == flood);
  clients_.close_all();
}

TEST_F(ClientsTest, OfWhatHasJustComeLittleIsTakenBeforeOthersHaveTheirs) {
  std::vector<ByteByByte> floods(30);
  std::vector<Peer> peers;
  for (ByteByByte& flood : floods) {
    peers.push_back(std::move(connect(flood).second));
    peers.back().write(std::string(5'000, 'x'));
  }
  auto [other, other_peer] = connect(recorder_);
  other_peer.write("me too");
  // Where a turn has room for this much, 30 times a whole visit would be ten turns.
  for (int turns = 0; turns < 2; ++turns) {
    allowance_.begin(1'500, 1h);
    (void)poller_.dispatch(allowance_);
  }
  EXPECT_EQ(recorder_.received, "me too");
  allowance_ = loop::Allowance::unlimited();
  clients_.close_all();
}

TEST_F(ClientsTest, AnAllowanceThatIsUsedUpEndsTheTurnAndNobodyIsForgotten) {
  std::vector<ByteByByte> receivers(40);
  std::vector<Peer> peers;
  for (ByteByByte& receiver : receivers) {
    auto [client, peer] = connect(receiver);
    peer.write(std::string(300, 'x'));
    peers.push_back(std::move(peer));
  }
  const auto taken = [&] {
    std::size_t all = 0;
    for (const ByteByByte& receiver : receivers) all += receiver.received.size();
    return all;
  };
  std::size_t before = 0;
  int turns = 0;
  while (taken() < 40 * 300 && turns++ < 1000) {
    allowance_.begin(100, 1h);
    (void)poller_.dispatch(allowance_);
    clients_.redeliver();
    ASSERT_LE(taken(), before + 100);
    ASSERT_GT(taken(), before) << "each turn does something";
    before = taken();
  }
  EXPECT_EQ(taken(), 40u * 300u);
  allowance_ = loop::Allowance::unlimited();
  clients_.close_all();
}

TEST_F(ClientsTest, WhoDoesNotTakeItsAnswersIsReadNoMoreUntilItDoes) {
  ByteByByte answering;
  answering.answer = std::string(1000, 'a');
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  ClientConnection* client = adopt(std::move(ours), answering);
  Peer peer(std::move(theirs));
  const std::string requests(5'000, 'r');
  ASSERT_EQ(peer.write(requests), requests.size());
  for (int i = 0; i < 100; ++i) turn();
  EXPECT_LT(client->unsent_bytes(), 300'000u);
  EXPECT_LT(answering.received.size(), 400u);
  EXPECT_FALSE(clients_.has_work()) << "and it costs no turns";
  const std::string got = everything_for(peer, [this] { turn(); });
  EXPECT_EQ(got.size(), 5'000u * 1'000u);
  EXPECT_EQ(answering.received, requests);
  clients_.close_all();
}

TEST_F(ClientsTest, WhatWasSentBeforeAHalfCloseIsAnsweredAlsoIfItTakesSeveralTurns) {
  ByteByByte answering;
  answering.answer = std::string(100, 'a');
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  (void)adopt(std::move(ours), answering);
  Peer peer(std::move(theirs));
  peer.write(std::string(4'000, 'r'));
  peer.half_close();
  EXPECT_EQ(everything_for(peer, [this] { turn(); }).size(), 400'000u);
  EXPECT_THAT(answering.closed, ElementsAre(0));
  clients_.close_all();
}

// ---- ends

TEST_F(ClientsTest, AnAbortedConnectionEndsWithTheTurn) {
  auto [client, peer] = connect(recorder_);
  client->send(buffer("never sent"));
  client->abort();
  EXPECT_THAT(recorder_.closed, IsEmpty()) << "never from inside abort";
  turn();
  EXPECT_THAT(recorder_.closed, ElementsAre(ECONNABORTED));
  EXPECT_EQ(peer.read(), "");
  EXPECT_TRUE(peer.at_end());
}

TEST_F(ClientsTest, AFinishedConnectionStillWritesWhatIsQueued) {
  auto [client, peer] = connect(recorder_);
  client->send(buffer("goodbye"));
  client->finish();
  client->send(buffer("too late"));
  EXPECT_TRUE(client->closing());
  turn();
  EXPECT_EQ(peer.read(), "goodbye");
  EXPECT_TRUE(peer.at_end());
  EXPECT_THAT(recorder_.closed, IsEmpty()) << "it lingers for the peer's end";
  peer.close();
  turn();
  EXPECT_THAT(recorder_.closed, ElementsAre(0));
}

TEST_F(ClientsTest, AClientThatIsStillSendingGetsTheAnswerAndNoReset) {
  auto [ours, theirs] = tcp_pair();
  recorder_.act = [](loop::Stream& stream, std::span<char> bytes) {
    stream.send(buffer("413"));
    stream.finish();
    return bytes.size();
  };
  adopt(std::move(ours), recorder_);
  Peer peer(std::move(theirs));
  const std::string upload(200'000, 'u');
  // More than our end reads in one turn: a close would answer the rest with a reset.
  std::size_t sent = peer.write(upload);
  ASSERT_GT(sent, 65'536u);
  ASSERT_TRUE(turn_until([&] { return recorder_.calls == 1; }));
  for (int burst = 0; burst < 5; ++burst) {
    ASSERT_TRUE(peer.wait_for(POLLOUT));
    sent += peer.write(upload);
    turn();
  }
  ASSERT_TRUE(peer.wait_for(POLLIN));
  EXPECT_EQ(peer.read(), "413");
  ASSERT_TRUE(peer.wait_for(POLLIN));
  (void)peer.read();
  EXPECT_TRUE(peer.at_end()) << "error " << peer.error();
  peer.close();
  ASSERT_TRUE(turn_until([&] { return !recorder_.closed.empty(); }));
  EXPECT_EQ(recorder_.calls, 1) << "what came behind finish() is dropped";
  EXPECT_THAT(recorder_.closed, ElementsAre(0));
}

TEST_F(ClientsTest, LingeringEndsAfterTwoSeconds) {
  auto [client, peer] = connect(recorder_);
  client->finish();
  turn();
  EXPECT_EQ(clients_.next_deadline(), clock_.now() + 2s);
  pass(1999ms);
  peer.write("and another thing");
  turn();
  EXPECT_THAT(recorder_.closed, IsEmpty());
  pass(1ms);
  turn();
  EXPECT_THAT(recorder_.closed, ElementsAre(ETIMEDOUT));
  EXPECT_EQ(count(ipc::Counter::ConnectionsTimedOut), 0u) << "it was at its end anyway";
}

TEST_F(ClientsTest, AFinishedConnectionWhosePeerReadsTooSlowlyTimesOut) {
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  ClientConnection* client = adopt(std::move(ours), recorder_);
  Peer peer(std::move(theirs));
  client->send(buffer(std::string(500'000, 'x')));
  turn();
  client->finish();
  std::size_t taken = 0;
  while (taken < 20'000) {  // 40 s at 500 bytes a second
    turn();
    taken += peer.read(1'000).size();
  }
  turn();
  pass(30s);
  turn();
  for (int second = 0; second < 30; ++second) {
    ASSERT_THAT(recorder_.closed, IsEmpty()) << second;
    pass(1s);
    turn();
  }
  for (int second = 0; second < 30 && recorder_.closed.empty(); ++second) {
    pass(1s);
    turn();
  }
  EXPECT_THAT(recorder_.closed, ElementsAre(ETIMEDOUT));
  EXPECT_EQ(count(ipc::Counter::DroppedSlow), 1u);
}

TEST_F(ClientsTest, AllAreToldWhenAllAreClosed) {
  Recorder other;
  auto [first, first_peer] = connect(recorder_);
  auto [second, second_peer] = connect(other);
  second->finish();
  clients_.close_all();
  EXPECT_THAT(recorder_.closed, ElementsAre(0));
  EXPECT_THAT(other.closed, ElementsAre(0));
  EXPECT_EQ(clients_.open(), 0u);
  EXPECT_EQ(count(ipc::Counter::ConnectionsOpen), 0u);
}

TEST_F(ClientsTest, AReceiverThatLearnsOfAnEndMayEndOthers) {
  struct Chain final : Recorder {
    void on_closed(loop::Stream& stream, int error) override {
      Recorder::on_closed(stream, error);
      next->send(buffer("dropped with it"));
      next->abort();
    }
    loop::Stream* next = nullptr;
  } chain;
  auto [first, first_peer] = connect(chain);
  auto [second, second_peer] = connect(recorder_);
  chain.next = second;
  first->abort();
  turn();
  EXPECT_THAT(recorder_.closed, ElementsAre(ECONNABORTED)) << "in the same turn";
  turn();
  EXPECT_FALSE(clients_.has_work());
  EXPECT_EQ(clients_.open(), 0u);
  EXPECT_EQ(recorder_.closed.size(), 1u);
}

TEST_F(ClientsTest, ARelayedRequestIsOverWhenItsConnectionWouldWaitForTheNext) {
  auto [client, peer] = connect(recorder_);
  client->serve_one_request();
  client->set_waiting(Waiting::Header);
  EXPECT_FALSE(client->closing());
  client->send(buffer("answer"));
  client->set_waiting(Waiting::NextRequest);
  turn();
  EXPECT_EQ(peer.read(), "answer");
  EXPECT_TRUE(peer.at_end());
}

// ---- time-outs

class ClientsTimeOuts : public ClientsTest,
                        public testing::WithParamInterface<std::pair<Waiting, std::chrono::milliseconds>> {};

TEST_P(ClientsTimeOuts, EndAConnectionThatWaitsTooLong) {
  const auto [waiting, timeout] = GetParam();
  auto [client, peer] = connect(recorder_);
  client->set_waiting(waiting);
  EXPECT_EQ(clients_.next_deadline(), clock_.now() + timeout);
  pass(timeout - 1ms);
  turn();
  EXPECT_THAT(recorder_.closed, IsEmpty());
  pass(1ms);
  turn();
  EXPECT_THAT(recorder_.closed, ElementsAre(ETIMEDOUT));
  EXPECT_EQ(count(ipc::Counter::ConnectionsTimedOut), 1u);
  EXPECT_EQ(clients_.next_deadline(), loop::TimePoint::max());
}

TEST_P(ClientsTimeOuts, BeginAnewWhenTheWaitingIsToldAgain) {
  const auto [waiting, timeout] = GetParam();
  auto [client, peer] = connect(recorder_);
  client->set_waiting(waiting);
  pass(timeout - 1ms);
  client->set_waiting(waiting);
  pass(timeout - 1ms);
  turn();
  EXPECT_EQ(recorder_.closed.empty(), waiting != Waiting::Body) << "a body is told again as it comes";
}

TEST_F(ClientsTest, ABodyHasOneSecondMoreForEachFiveHundredBytesAndNoneForAByte) {
  Recorder steady;
  auto [dripping, dripping_peer] = connect(recorder_);
  auto [slow, slow_peer] = connect(steady);
  for (ClientConnection* client : {dripping, slow}) client->set_waiting(Waiting::Body);
  int lived = 0;
  for (; lived < 60 && recorder_.closed.empty(); ++lived) {
    dripping_peer.write("x");
    slow_peer.write(std::string(600, 'x'));
    turn();
    dripping->set_waiting(Waiting::Body);
    pass(1s);
    turn();
  }
  EXPECT_EQ(lived, 30) << "thirty bytes make no second";
  for (int second = 0; second < 200; ++second) {
    slow_peer.write(std::string(600, 'x'));
    turn();
    pass(1s);
    turn();
  }
  EXPECT_THAT(steady.closed, IsEmpty()) << "at that rate it may go on for as long as its size takes";
  for (int second = 0; second < 200 && steady.closed.empty(); ++second) {
    pass(1s);
    turn();
  }
  EXPECT_THAT(steady.closed, ElementsAre(ETIMEDOUT)) << "it has stopped";
  EXPECT_EQ(count(ipc::Counter::ConnectionsTimedOut), 2u);
  EXPECT_EQ(count(ipc::Counter::DroppedSlow), 2u);
  clients_.close_all();
}

TEST_F(ClientsTest, BytesThatAreNoneOfTheBodyBuyItNoTime) {
  auto [client, peer] = connect(recorder_);
  client->set_waiting(Waiting::Body);
  int lived = 0;
  for (; lived < 60 && recorder_.closed.empty(); ++lived) {
    peer.write(std::string(10'000, 'x'));
    turn();
    client->discount(9'990);
    pass(1s);
    turn();
  }
  EXPECT_EQ(lived, 30);
  EXPECT_EQ(count(ipc::Counter::DroppedSlow), 1u);
  clients_.close_all();
}

INSTANTIATE_TEST_SUITE_P(OfEachKind, ClientsTimeOuts,
                         testing::Values(std::pair{Waiting::Header, 10'000ms},
                                         std::pair{Waiting::Body, 30'000ms},
                                         std::pair{Waiting::NextRequest, 60'000ms}),
                         [](const auto& kind) {
                           return std::string(kind.param.first == Waiting::Header ? "Header"
                                              : kind.param.first == Waiting::Body ? "Body"
                                                                                  : "NextRequest");
                         });

TEST_F(ClientsTest, APeerThatStillDownloadsIsNotIdle) {
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  ClientConnection* client = adopt(std::move(ours), recorder_);
  Peer peer(std::move(theirs));
  client->send(buffer(std::string(900'000, 'x')));
  client->set_waiting(Waiting::NextRequest);
  std::size_t downloaded = 0;
  for (int seconds = 0; seconds < 300; ++seconds) {
    turn();
    downloaded += peer.read(2'000).size();
    pass(1s);
  }
  ASSERT_GT(client->unsent_bytes(), 0u) << "it is a slow one";
  EXPECT_GT(downloaded, 0u);
  EXPECT_THAT(recorder_.closed, IsEmpty());
  while (client->unsent_bytes() > 0) {
    turn();
    (void)peer.read();
  }
  turn();
  EXPECT_EQ(clients_.next_deadline(), clock_.now() + 60s) << "idle only since it has taken all";
}

TEST_F(ClientsTest, AParkedResponseAndAnOpenSessionHaveNoTimeOutHere) {
  Recorder other;
  auto [parked, parked_peer] = connect(recorder_);
  auto [session, session_peer] = connect(other);
  parked->set_waiting(Waiting::Response);
  session->set_waiting(Waiting::Nothing);
  EXPECT_EQ(clients_.next_deadline(), loop::TimePoint::max());
  pass(24h);
  turn();
  EXPECT_THAT(recorder_.closed, IsEmpty());
  EXPECT_THAT(other.closed, IsEmpty());
  clients_.close_all();
}

TEST_F(ClientsTest, TheOneThatWaitsLongestIsDueFirst) {
  Recorder early;
  auto [late_client, late_peer] = connect(recorder_);
  auto [early_client, early_peer] = connect(early);
  early_client->set_waiting(Waiting::Header);
  pass(1s);
  late_client->set_waiting(Waiting::Header);
  EXPECT_EQ(clients_.next_deadline(), clock_.now() + 9s);
  pass(9s);
  turn();
  EXPECT_THAT(early.closed, ElementsAre(ETIMEDOUT));
  EXPECT_THAT(recorder_.closed, IsEmpty());
  EXPECT_EQ(clients_.next_deadline(), clock_.now() + 1s);
}

// ---- moving

struct Moved {
  base::Descriptor socket;
  std::string address;
  std::uint16_t port;
  std::uint16_t listener;
  Destination to;
  std::string unread;
};

class MovingClients : public ClientsTest {
 protected:
  MovingClients() {
    clients_.set_mover([this](base::Descriptor socket, const ClientConnection& from, Destination to,
                              std::string_view unread) {
      moved_.emplace_back(Moved{std::move(socket), from.peer().text(), from.peer().port(), from.listener(),
                                to, std::string(unread)});
    });
  }
  /// Takes `answered` bytes, answers them with `answer`, and sends the rest to slot 3.
  void answer_then_leave(std::size_t answered, std::string answer = {}) {
    recorder_.act = [answered, answer = std::move(answer)](loop::Stream& stream, std::span<char> bytes) {
      stream.send(buffer(answer));
      static_cast<ClientConnection&>(stream).take_from(bytes.data() + answered, Destination::of_slot(3));
      return std::size_t{0};  // means nothing
    };
  }
  std::vector<Moved> moved_;
};

TEST_F(MovingClients, ASocketTravelsWithExactlyItsUnreadBytes) {
  answer_then_leave(4);
  auto [client, peer] = connect(recorder_);
  peer.write("one two");
  turn();
  ASSERT_EQ(moved_.size(), 1u);
  EXPECT_EQ(moved_[0].unread, "two");
  EXPECT_EQ(moved_[0].to, Destination::of_slot(3));
  EXPECT_EQ(moved_[0].address, "127.0.0.5");
  EXPECT_EQ(moved_[0].port, 4711);
  EXPECT_EQ(moved_[0].listener, 1);
  EXPECT_THAT(recorder_.closed, IsEmpty()) << "whoever gave it away is told nothing any more";
  EXPECT_EQ(clients_.open(), 0u);

  Peer taker(std::move(moved_[0].socket));
  taker.write("from the new owner");
  EXPECT_EQ(peer.read(), "from the new owner");
  peer.write("three");
  turn();
  EXPECT_EQ(recorder_.calls, 1) << "this worker reads it no more";
  EXPECT_EQ(taker.read(), "three");
}

TEST_F(MovingClients, BytesThatHadWaitedTravelToo) {
  int calls = 0;
  recorder_.act = [&calls](loop::Stream& stream, std::span<char> bytes) {
    if (++calls == 2) static_cast<ClientConnection&>(stream).take_from(bytes.data(), Destination::of_slot(0));
    return std::size_t{0};
  };
  auto [client, peer] = connect(recorder_);
  peer.write("half a ");
  turn();
  peer.write("request");
  turn();
  ASSERT_EQ(moved_.size(), 1u);
  EXPECT_EQ(moved_[0].unread, "half a request");
  EXPECT_EQ(moved_[0].to, Destination::of_slot(0));
}

TEST_F(MovingClients, AnAnswerQueuedBeforeIsWrittenBeforeTheSocketLeaves) {
  answer_then_leave(4, "first answer");
  auto [client, peer] = connect(recorder_);
  peer.write("one two");
  turn();
  ASSERT_EQ(moved_.size(), 1u);
  EXPECT_EQ(peer.read(), "first answer");
}

TEST_F(MovingClients, ASlowReaderGetsTheWholeAnswerBeforeTheSocketLeaves) {
  const std::string answer = pattern(200'000);
  answer_then_leave(4, answer);
  auto [ours, theirs] = socket_pair();
  shrink_send_buffer(ours);
  adopt(std::move(ours), recorder_);
  Peer peer(std::move(theirs));
  peer.write("one two");
  turn();
  peer.write(" three");  // stays in the kernel, for the new owner
  EXPECT_THAT(moved_, IsEmpty());
  std::string got;
  while (got.size() < answer.size()) {
    const std::string some = peer.read(50'000);
    ASSERT_NE(some, "");
    got += some;
    turn();
  }
  EXPECT_TRUE(got == answer);
  ASSERT_EQ(moved_.size(), 1u);
  EXPECT_EQ(moved_[0].unread, "two");
  EXPECT_EQ(Peer(std::move(moved_[0].socket)).read(), " three");
  EXPECT_EQ(recorder_.calls, 1);
  EXPECT_EQ(recorder_.writable, 0) << "it is nobody's any more";
}

TEST_F(MovingClients, AConnectionDroppedInTheSameCallDoesNotTravel) {
  answer_then_leave(4, "answer");
  auto [client, peer] = connect(recorder_);
  const auto answers = recorder_.act;
  recorder_.act = [&answers](loop::Stream& stream, std::span<char> bytes) {
    const std::size_t means_nothing = answers(stream, bytes);
    stream.abort();
    return means_nothing;
  };
  peer.write("one two");
  turn();
  EXPECT_THAT(moved_, IsEmpty());
  EXPECT_THAT(recorder_.closed, IsEmpty()) << "its receiver may be gone by now";
  EXPECT_EQ(clients_.open(), 0u);
}

TEST_F(MovingClients, BytesTakenFromAReceiverGoToTheNextOne) {
  Recorder next;
  recorder_.act = [&next](loop::Stream& stream, std::span<char> bytes) {
    static_cast<ClientConnection&>(stream).take_from(bytes.data() + 4);
    stream.set_receiver(&next);
    return std::size_t{1};  // means nothing
  };
  auto [client, peer] = connect(recorder_);
  peer.write("one two");
  turn();
  EXPECT_EQ(next.received, "two");
  EXPECT_THAT(moved_, IsEmpty());
  clients_.close_all();
}

}  // namespace
}  // namespace limpet::client::test
