// What becomes of a request, as a table of cases; front_test.cpp has the same with real inboxes.
#include "worker/slot/router.h"
#include "base/limits.h"

#include <gmock/gmock.h>

#include <boost/asio/io_context.hpp>

#include "ipc/shared/slot_board.h"
#include "tests/worker/client/clients_kit.h"
#include "tests/worker/plenty.h"
#include "tests/worker/slot/placed_addresses.h"
#include "worker/loop/timer_queue.h"
#include "worker/slot/sid_source.h"
#include "worker/socketio/server.h"

namespace limpet::slot::test {

using namespace client::test;

namespace {

using client::ClientConnection;
using client::Destination;
using Verdict = Router::Verdict;

/// Slot 0 of two, with a session or without, and one connection that asks.
class RouterTest : public ClientsTest {
 protected:
  RouterTest() {
    auto [ours, theirs] = socket_pair();
    client_ = clients_.adopt(std::move(ours), client::PeerAddress::from_text(address_of(0), 1), 0);
    client_->set_receiver(&recorder_);
    peer_.emplace(std::move(theirs));
  }
  ~RouterTest() override { clients_.close_all(); }

  static std::vector<base::Descriptor> sending_ends() {
    std::vector<base::Descriptor> ends;
    for (int slot = 0; slot < 2; ++slot) ends.push_back(ipc::make_inbox().sending);
    return ends;
  }
  /// A sid whose bucket `slot` owns.
  std::string sid_of(std::uint16_t slot) {
    std::string sid(20, 'A');
    SidSource(&table_, slot).fill(std::span<char, base::kIdBytes>(sid.data(), 20));
    return sid;
  }
  Router::Decision decide(const std::string& request) {
    const http::ParsedHead parsed = http::parse_head(request, 16384);
    EXPECT_EQ(parsed.status, http::HeadStatus::Complete) << request;
    return router_.decide(*client_, parsed.head);
  }
  void expect(const Router::Decision& decision, Verdict verdict, Destination to = {}) {
    EXPECT_EQ(decision.verdict, verdict);
    EXPECT_EQ(decision.to, to);
  }

  ipc::BucketTable table_ = ipc::BucketTable::create(2);
  ipc::SlotBoard board_ = ipc::SlotBoard::create(2);
  boost::asio::io_context context_;
  SidSource sids_{&table_, 0};
  loop::TimerQueue timers_;
  socketio::Server socketio_{clock_, timers_, socketio::Options{},
                             [this](std::span<char, base::kIdBytes> id) { sids_.fill(id); }};
  engineio::Server engine_{{},
                           clock_,
                           socketio_,
                           {.new_sid = [this](std::span<char, base::kIdBytes> sid) { sids_.fill(sid); },
                            .wall_clock_ms = {},
                            .refuse = {}}};
  Handovers handovers_{context_,
                       table_,
                       0,
                       ipc::make_inbox().receiving,
                       sending_ends(),
                       counters_,
                       [](const ipc::ReceivedHandover&) {}};
  Placement placement_{&board_, 0, 2, 0};
  client::Listeners listeners_{client::Limits{}, {}};
  Router router_{clients_, listeners_, engine_, &handovers_, &placement_};
  ClientConnection* client_ = nullptr;
  std::optional<Peer> peer_;
};

const std::string kHandshake = get("/socket.io/?EIO=4&transport=polling");

TEST_F(RouterTest, ARequestForAnotherSlotsSessionLeavesForThatSlot) {
  expect(decide(poll_of(sid_of(1))), Verdict::Leaves, Destination::of_slot(1));
}

TEST_F(RouterTest, ARequestForASessionOfOursIsServedHereAlsoIfItIsUnknown) {
  expect(decide(poll_of(sid_of(0))), Verdict::Here);
}

TEST_F(RouterTest, WhatIsNotEngineIosIsServedHere) { expect(decide(get("/")), Verdict::Here); }

TEST_F(RouterTest, AHandshakeStaysWhereTheKernelHasPutItsClient) {
  client_->set_asked(0);
  expect(decide(kHandshake), Verdict::Here);
}

TEST_F(RouterTest, AHandshakeOfAClientThatAProxyNamesGoesToTheSlotOfItsAddress) {
  for (const std::uint16_t slot : {0, 1}) {
    client_->set_peer_by_proxy(client::PeerAddress::from_text(address_of(slot), 1));
    if (slot == 0) {
      expect(decide(kHandshake), Verdict::Here);
    } else {
      expect(decide(kHandshake), Verdict::Leaves, Destination::of_slot(1, true));
    }
  }
}

TEST_F(RouterTest, WhoWasPlacedHereIsNotPlacedAnew) {
  client_->set_peer_by_proxy(client::PeerAddress::from_text(address_of(1), 1));
  client_->set_placed();
  expect(decide(kHandshake), Verdict::Here);
}

TEST_F(RouterTest, ASlotWithoutABucketSendsHandshakesToAnother) {
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket) table_.assign(bucket, 1);
  expect(decide(kHandshake), Verdict::Leaves, Destination::of_slot(1, true));
}

TEST_F(RouterTest, ASlotThatDoesNotTakePartGetsNothing) {
  board_.set_takes_part(1, false);
  expect(decide(poll_of(sid_of(1))), Verdict::Here);
}

TEST_F(RouterTest, WhileSessionsComeEachGiverIsAskedOnce) {
  router_.expect_sessions(2);
  const std::string request = poll_of(sid_of(0));
  expect(decide(request), Verdict::Leaves, Destination::giver());
  client_->set_asked(1);
  expect(decide(request), Verdict::Leaves, Destination::giver());
  client_->set_asked(2);
  expect(decide(request), Verdict::Here);
  EXPECT_EQ(client_->asked(), 0u) << "the next request on it asks anew";
}

TEST_F(RouterTest, ARequestForABucketThatIsNewHereWaitsOnceForTheSupervisor) {
  const std::string request = poll_of(sid_of(1));
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket) table_.assign(bucket, 0);
  expect(decide(request), Verdict::Later);
  EXPECT_TRUE(router_.waits_for_supervisor());
  router_.heard_supervisor();
  EXPECT_FALSE(router_.waits_for_supervisor());
  expect(decide(request), Verdict::Here);
}

TEST_F(RouterTest, WhileItGivesEverythingAwayOnlyWhatIsHereIsServed) {
  router_.set_giving(true);
  expect(decide(get("/")), Verdict::Later);
  expect(decide(kHandshake), Verdict::Later);
  expect(decide(poll_of(sid_of(0))), Verdict::Later);
  expect(decide(poll_of(sid_of(1))), Verdict::Leaves, Destination::of_slot(1));
  router_.set_giving(false);
  expect(decide(get("/")), Verdict::Here);
}

TEST_F(RouterTest, AnApplicationAloneServesEverything) {
  Router alone(clients_, listeners_, engine_, nullptr, nullptr);
  const std::string request = poll_of(sid_of(1));
  const http::ParsedHead parsed = http::parse_head(request, 16384);
  expect(alone.decide(*client_, parsed.head), Verdict::Here);
  EXPECT_FALSE(alone.is_lost(parsed.head));
}

TEST_F(RouterTest, ASessionIsExpectedIfItIsOnItsWayHere) {
  const std::string ours = sid_of(0);
  EXPECT_FALSE(router_.expects(ours));
  router_.expect_sessions(1);
  EXPECT_TRUE(router_.expects(ours));
  EXPECT_FALSE(router_.expects(sid_of(1)));
}

}  // namespace
}  // namespace limpet::slot::test
