#include "worker/process/tenancy.h"

#include <boost/asio/io_context.hpp>
#include <csignal>

#include "ipc/messages/control.h"
#include "tests/worker/migration/tenants_kit.h"
#include "tests/worker/plenty.h"
#include "worker/client/acceptor.h"

namespace limpet::process {
namespace {

using namespace migration::test;
using testing::ElementsAre;
using testing::HasSubstr;

/// One tenant with everything but a loop; the test is its supervisor.
class TenancyTest : public testing::Test {
 protected:
  TenancyTest() : TenancyTest(ipc::Channel::pair()) {}
  ~TenancyTest() override {
    application_->socketio().set_elsewhere(nullptr);
    clients_.close_all();
    application_.reset();
  }

  void say(const ipc::SupervisorMessage& message, std::vector<int> descriptors = {}) {
    ASSERT_EQ(supervisor_.send(ipc::encode(message), descriptors), ipc::SendStatus::Sent);
    turn();
  }
  void turn() {
    tenancy_.before_wait();
    context_.restart();
    context_.poll();
    (void)poller_.dispatch(allowance_);
    clients_.redeliver();
    peers_.take_handovers();
    peers_.take_broadcasts(limpet::test::plenty());
    tenancy_.check();
    acceptor_.tick();
    application_->tick(limpet::test::plenty());
    engine_.tick(limpet::test::plenty());
    tenancy_.turn(limpet::test::plenty());
    shutdown_.turn();
    clients_.flush();
    peers_.flush(clock().now());
    clients_.bury();
    hear();
  }
  void hear() {
    ipc::Datagram datagram;
    while (supervisor_.receive(&datagram) == ipc::ReceiveStatus::Message) {
      std::string why;
      auto message = ipc::decode_worker_message(datagram, &why);
      ASSERT_TRUE(message) << why;
      heard_.push_back(*std::move(message));
    }
  }
  void wait(std::chrono::milliseconds time) {
    clock().advance_to(clock().now() + time);
    turn();
  }
  /// Of that kind, since the last look; the others are forgotten.
  template <class Message>
  std::vector<Message> heard() {
    std::vector<Message> result;
    for (const ipc::WorkerMessage& each : heard_)
      if (const auto* message = std::get_if<Message>(&each)) result.push_back(*message);
    heard_.clear();
    return result;
  }
  void serve(std::uint32_t level = ipc::kLevel) {
    say(ipc::Welcome{.level = level});
    say(ipc::TakeSeat{});
    heard_.clear();
  }
  Peer connect() {
    auto [ours, theirs] = socket_pair();
    front_.welcome(std::move(ours), client::PeerAddress::from_text("127.0.0.9", 99), 0);
    return Peer(std::move(theirs));
  }
  Peer open_session() {
    Peer peer = connect();
    peer.write("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string answer = everything_for(peer, [this] { turn(); });
    EXPECT_THAT(answer, HasSubstr("\"sid\""));
    return peer;
  }
  loop::Clock& clock() { return cluster_.clock; }

  Cluster cluster_{2, 2};
  ipc::SlotBoard board_ = ipc::SlotBoard::create(2);
  ipc::Heritage heritage_{.slot = 0, .slots = 2, .lane = 0, .lanes = 5, .listeners = 1, .generation = 7};
  std::string setup_fails_;
  int setups_ = 0;
  std::vector<int> ended_;
  std::vector<ipc::WorkerMessage> heard_;
  boost::asio::io_context context_;
  loop::Poller poller_;
  loop::Allowance allowance_ = loop::Allowance::unlimited();
  loop::MemoryTotal memory_;
  Settings settings_;
  ipc::CounterBlock counters_ = ipc::CounterBlock::create({0, 0, 7});
  Peers peers_;
  slot::SidSource sids_;
  std::optional<application::Application> application_;
  Io io_{*application_};
  engineio::Server engine_;
  client::Clients clients_;
  client::Admission admission_;
  client::Listeners listeners_;
  slot::Router router_;
  slot::Front front_;
  client::Acceptor acceptor_;
  Shutdown shutdown_;
  ipc::Channel supervisor_;
  Tenancy tenancy_;

 private:
  explicit TenancyTest(std::pair<base::Descriptor, base::Descriptor> channel)
      : peers_(context_, heritage_,
               {base::Descriptor(::fcntl(cluster_.table.descriptor(), F_DUPFD_CLOEXEC, 0)),
                base::Descriptor(::fcntl(board_.descriptor(), F_DUPFD_CLOEXEC, 0)),
                cluster_.inboxes[0].receiving.duplicate(), cluster_.senders()},
               settings_, counters_,
               {.deliver =
                    [this](const socketio::Broadcast& broadcast) {
                      application_->socketio().deliver(broadcast);
                    },
                .on_gap = [](const ipc::Gap&) {},
                .on_arrival = [this](ipc::ReceivedHandover arrival) { front_.take_in(std::move(arrival)); }}),
        sids_(&peers_.buckets(), 0),
        application_(std::in_place, clock(), application::Options{},
                     [this](std::span<char, base::kIdBytes> id) { sids_.fill(id); }),
        engine_({}, clock(), application_->socketio(),
                {.new_sid = [this](std::span<char, base::kIdBytes> sid) { sids_.fill(sid); },
                 .wall_clock_ms = {},
                 .refuse = {}}),
        clients_(poller_, clock(), allowance_, memory_, counters_, settings_.limits),
        admission_(settings_.limits, clock(), counters_),
        listeners_(settings_.limits, settings_.listeners),
        router_(clients_, listeners_, engine_, &peers_.handovers(), &peers_.placement()),
        front_(clients_, engine_, *application_, router_, admission_, settings_.limits, listeners_, clock(),
               counters_),
        acceptor_(poller_, clock(), counters_,
                  [this](base::Descriptor socket, const client::PeerAddress& peer, std::uint16_t listener) {
                    front_.welcome(std::move(socket), peer, listener);
                  }),
        shutdown_({clock(), allowance_, counters_, acceptor_, clients_, engine_, application_->socketio(),
                   front_.http()}),
        supervisor_(std::move(channel.first)),
        tenancy_({0, 0, 7}, std::move(channel.second),
                 {context_, clock(), counters_, acceptor_, clients_, engine_, *application_, router_, front_,
                  peers_, shutdown_},
                 {.set_up =
                      [this] {
                        ++setups_;
                        return setup_fails_;
                      },
                  .end = [this](int code) { ended_.push_back(code); }}) {
    acceptor_.add(client::listen_on("tcp://127.0.0.1:0"));
  }
};

TEST_F(TenancyTest, says_who_it_is_with_what_others_need_of_it) {
  tenancy_.say_hello();
  ipc::Datagram datagram;
  ASSERT_EQ(supervisor_.receive(&datagram), ipc::ReceiveStatus::Message);
  std::string why;
  const auto message = ipc::decode_worker_message(datagram, &why);
  ASSERT_TRUE(message && std::holds_alternative<ipc::Hello>(*message)) << why;
  EXPECT_EQ(std::get<ipc::Hello>(*message).who, (ipc::Incarnation{0, 0, 7}));
  EXPECT_EQ(datagram.descriptors.size(), 4u);
}

TEST_F(TenancyTest, is_ready_once_its_application_is_set_up) {
  turn();
  EXPECT_EQ(setups_, 0);
  say(ipc::Welcome{.level = ipc::kLevel});
  EXPECT_EQ(setups_, 1);
  EXPECT_EQ(heard<ipc::Ready>().size(), 1u);
  say(ipc::Welcome{.level = ipc::kLevel});
  EXPECT_EQ(setups_, 1) << "a second welcome is of no effect";
  EXPECT_TRUE(heard<ipc::Ready>().empty());
}

TEST_F(TenancyTest, an_application_that_cannot_be_set_up_is_told_with_its_reason) {
  setup_fails_ = "application: set up: no database";
  say(ipc::Welcome{.level = ipc::kLevel});
  const auto told = heard<ipc::Failed>();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told.front().reason, setup_fails_);
  EXPECT_THAT(ended_, ElementsAre(1));
}

TEST_F(TenancyTest, ends_when_it_is_told_to) {
  serve();
  say(ipc::Leave{});
  EXPECT_THAT(ended_, ElementsAre(0));
}

TEST_F(TenancyTest, drains_its_sessions_and_says_how_many) {
  serve();
  std::optional<Peer> client = open_session();
  say(ipc::Drain{0ms, 5000ms});
  EXPECT_TRUE(shutdown_.is_draining());
  EXPECT_FALSE(shutdown_.is_over()) << "the client has not been told yet";
  wait(1100ms);
  const auto progress = heard<ipc::DrainProgress>();
  ASSERT_EQ(progress.size(), 1u);
  EXPECT_EQ(progress.front().sessions_left, 0u);
  EXPECT_EQ(progress.front().drained, 1u);
  client.reset();
  turn();
  turn();
  ASSERT_TRUE(shutdown_.is_over());
  tenancy_.say_leaving();
  hear();
  const auto leaving = heard<ipc::Leaving>();
  ASSERT_EQ(leaving.size(), 1u);
  EXPECT_EQ(leaving.front().drained, 1u);
  EXPECT_EQ(leaving.front().moved, 0u);
}

TEST_F(TenancyTest, at_the_deadline_it_is_over_whoever_is_still_there) {
  serve();
  const Peer half = connect();
  half.write("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
  turn();
  say(ipc::Drain{4000ms, 5000ms});
  wait(4900ms);
  EXPECT_FALSE(shutdown_.is_over());
  wait(200ms);
  EXPECT_TRUE(shutdown_.is_over());
}

TEST_F(TenancyTest, who_leaves_takes_no_seat_no_buckets_and_no_slot_of_others) {
  serve();
  say(ipc::Drain{0ms, 60'000ms});
  const auto [ours, theirs] = socket_pair();
  const int lent = ours.get();
  say(ipc::TakeSeat{});
  say(ipc::ExpectSessions{1}, {lent});
  say(ipc::MoveBuckets{1, 0ms, 1000ms}, {lent});
  say(ipc::BorrowSlot{1}, {lent, lent});
  say(ipc::ReturnSlot{1});
  turn();
  EXPECT_TRUE(heard<ipc::BucketsMoved>().empty());
  EXPECT_FALSE(tenancy_.has_work());
  EXPECT_TRUE(ended_.empty());
}

TEST_F(TenancyTest, a_sigterm_is_told_and_it_serves_until_another_takes_its_place) {
  serve();
  EXPECT_TRUE(tenancy_.take_signal(SIGTERM));
  EXPECT_TRUE(tenancy_.take_signal(SIGTERM));
  turn();
  EXPECT_EQ(heard<ipc::Signalled>().size(), 1u);
  say(ipc::GoOn{});
  wait(1500ms);
  EXPECT_FALSE(shutdown_.has_begun());
}

TEST_F(TenancyTest, a_sigterm_that_nobody_answers_drains_after_a_second) {
  serve();
  EXPECT_TRUE(tenancy_.take_signal(SIGTERM));
  wait(900ms);
  EXPECT_FALSE(shutdown_.has_begun());
  wait(200ms);
  EXPECT_TRUE(shutdown_.is_draining());
  EXPECT_EQ(heard<ipc::DrainProgress>().size(), 1u);
}

TEST_F(TenancyTest, a_supervisor_that_does_not_know_the_message_yet_gets_it_when_it_does) {
  const std::uint32_t level = ipc::control_row<ipc::Signalled>().level;
  serve(level - 1);
  EXPECT_TRUE(tenancy_.take_signal(SIGTERM));
  turn();
  EXPECT_TRUE(heard<ipc::Signalled>().empty());
  say(ipc::Knows{level});
  EXPECT_EQ(heard<ipc::Signalled>().size(), 1u);
}

TEST_F(TenancyTest, without_a_supervisor_it_drains_and_the_signal_that_says_so_is_of_no_effect) {
  serve();
  supervisor_ = ipc::Channel(ipc::Channel::pair().first);  // its end of the old one is closed
  turn();
  EXPECT_TRUE(shutdown_.is_draining());
  EXPECT_TRUE(tenancy_.take_signal(SIGTERM)) << "the parent-death signal";
  EXPECT_FALSE(tenancy_.take_signal(SIGTERM)) << "somebody's who wants it to leave at once";
}

}  // namespace
}  // namespace limpet::process
