#include "worker/client/acceptor.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <vector>

#include "base/descriptor_limit.h"
#include "base/log.h"
#include "tests/worker/client/clients_kit.h"
#include "tests/worker/plenty.h"

namespace limpet::client::test {
namespace {

/// No descriptor is free while it lives. UBSan needs one when it first meets a type: whatever works during
/// that time has to have worked before.
class NoDescriptorsLeft {
 public:
  NoDescriptorsLeft() {
    base::log(base::LogLevel::Warning,
              fmt::format("accept: {}; the {} warnings that follow are meant", "test", 3L));
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit low = before_;
    low.rlim_cur = 128;
    ::setrlimit(RLIMIT_NOFILE, &low);
    for (;;) {
      base::Descriptor filler(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!filler) break;
      fillers_.push_back(std::move(filler));
    }
    EXPECT_EQ(errno, EMFILE);
  }
  ~NoDescriptorsLeft() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  void free_one() { fillers_.pop_back(); }

 private:
  rlimit before_{};
  std::vector<base::Descriptor> fillers_;
};

struct Accepted {
  base::Descriptor socket;
  std::string address;
  std::uint16_t listener;
};

class AcceptorTest : public testing::Test {
 protected:
  AcceptorTest() { acceptor_.add(listen_on("tcp://127.0.0.1:0")); }

  /// A listener that the test can connect to.
  std::string add(const char* address) {
    base::Descriptor listener = listen_on(address);
    std::string bound = address_of(listener);
    acceptor_.add(std::move(listener));
    return bound;
  }
  static base::Descriptor connect_to(const std::string& address) {
    const std::uint16_t port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    base::Descriptor client(base::require(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket"));
    base::require(::connect(client.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), "connect");
    return client;
  }
  bool ready() const {
    pollfd ready{poller_.descriptor(), POLLIN, 0};
    return ::poll(&ready, 1, 5000) == 1;
  }
  bool idle() const {
    pollfd ready{poller_.descriptor(), POLLIN, 0};
    return ::poll(&ready, 1, 0) == 0;
  }

  loop::Poller poller_;
  loop::Clock clock_{loop::TimePoint(1000s)};
  ipc::CounterBlock counters_ = ipc::CounterBlock::create({0, 0, 1});
  std::vector<Accepted> accepted_;
  Acceptor acceptor_{poller_, clock_, counters_,
                     [this](base::Descriptor socket, const PeerAddress& peer, std::uint16_t listener) {
                       accepted_.push_back({std::move(socket), peer.text(), listener});
                     }};
};

TEST_F(AcceptorTest, SaysWhoConnectedToWhichListener) {
  const std::string address = add("tcp://127.0.0.1:0");
  acceptor_.start();
  const auto client = connect_to(address);
  ASSERT_TRUE(ready());
  (void)poller_.dispatch(limpet::test::plenty());
  ASSERT_EQ(accepted_.size(), 1u);
  EXPECT_EQ(accepted_[0].address, "127.0.0.1");
  EXPECT_EQ(accepted_[0].listener, 1);
  EXPECT_EQ(counters_.get(ipc::Counter::ConnectionsAccepted), 1u);
  char byte = 0;
  EXPECT_EQ(::recv(accepted_[0].socket.get(), &byte, 1, 0), -1) << "it does not block";
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(AcceptorTest, LeavesConnectionsInTheQueueWhileItIsNotSeated) {
  const std::string address = add("tcp://127.0.0.1:0");
  const auto client = connect_to(address);
  EXPECT_TRUE(idle()) << "never started";
  acceptor_.start();
  acceptor_.stop();
  EXPECT_TRUE(idle()) << "stopped";
  acceptor_.start();
  ASSERT_TRUE(ready());
  (void)poller_.dispatch(limpet::test::plenty());
  EXPECT_EQ(accepted_.size(), 1u) << "and gets them when it is";
}

TEST_F(AcceptorTest, TakesABoundedNumberInATurn) {
  const std::string address = add("tcp://127.0.0.1:0");
  std::vector<base::Descriptor> clients;
  for (int i = 0; i < 17; ++i) clients.push_back(connect_to(address));
  acceptor_.start();
  ASSERT_TRUE(ready());
  (void)poller_.dispatch(limpet::test::plenty());
  EXPECT_EQ(accepted_.size(), 16u);
  ASSERT_TRUE(ready());
  (void)poller_.dispatch(limpet::test::plenty());
  EXPECT_EQ(accepted_.size(), 17u);
}

TEST_F(AcceptorTest, PausesWithoutDescriptorsAndGoesOn) {
  const std::string address = add("tcp://127.0.0.1:0");
  acceptor_.start();
  const auto earlier = connect_to(address);
  ASSERT_TRUE(ready());
  (void)poller_.dispatch(limpet::test::plenty());
  ASSERT_EQ(accepted_.size(), 1u);
  accepted_.clear();
  const auto client = connect_to(address);
  ASSERT_TRUE(ready());
  {
    NoDescriptorsLeft none;
    (void)poller_.dispatch(limpet::test::plenty());
    EXPECT_TRUE(accepted_.empty());
    EXPECT_TRUE(idle()) << "it would spin otherwise";
    EXPECT_EQ(acceptor_.next_deadline(), clock_.now() + 100ms);
    clock_.advance_to(clock_.now() + 99ms);
    acceptor_.tick();
    EXPECT_TRUE(idle());
    clock_.advance_to(clock_.now() + 1ms);
    acceptor_.tick();
    ASSERT_TRUE(ready());
    (void)poller_.dispatch(limpet::test::plenty());
    EXPECT_TRUE(accepted_.empty()) << "still none free: it pauses again";
    none.free_one();
    clock_.advance_to(clock_.now() + 100ms);
    acceptor_.tick();
    ASSERT_TRUE(ready());
    (void)poller_.dispatch(limpet::test::plenty());
  }
  EXPECT_EQ(accepted_.size(), 1u) << "the connection waited in the queue";
  EXPECT_EQ(counters_.get(ipc::Counter::AcceptPauses), 3u) << "it has the number that was free";
}

TEST_F(AcceptorTest, LeavesTheDescriptorsThatAreKeptFreeAndGoesOnWhenTheyAreNot) {
  const std::string address = add("tcp://127.0.0.1:0");
  std::vector<base::Descriptor> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(connect_to(address));
  acceptor_.start();
  acceptor_.keep_free(base::descriptor_limit());
  ASSERT_TRUE(ready());
  (void)poller_.dispatch(limpet::test::plenty());
  EXPECT_EQ(accepted_.size(), 1u) << "before the first, nobody knows how many are in use";
  clock_.advance_to(clock_.now() + 100ms);
  acceptor_.tick();
  EXPECT_TRUE(idle()) << "not one more in each pause";
  acceptor_.keep_free(0);
  clock_.advance_to(clock_.now() + 100ms);
  acceptor_.tick();
  ASSERT_TRUE(ready());
  (void)poller_.dispatch(limpet::test::plenty());
  EXPECT_EQ(accepted_.size(), 3u);
}

TEST_F(AcceptorTest, APauseEndsWithTheSeat) {
  const std::string address = add("tcp://127.0.0.1:0");
  acceptor_.start();
  const auto earlier = connect_to(address);
  ASSERT_TRUE(ready());
  (void)poller_.dispatch(limpet::test::plenty());
  ASSERT_EQ(accepted_.size(), 1u);
  accepted_.clear();
  const auto client = connect_to(address);
  ASSERT_TRUE(ready());
  {
    const NoDescriptorsLeft none;
    (void)poller_.dispatch(limpet::test::plenty());
  }
  acceptor_.stop();
  EXPECT_EQ(acceptor_.next_deadline(), loop::TimePoint::max());
  clock_.advance_to(clock_.now() + 1s);
  acceptor_.tick();
  EXPECT_TRUE(idle()) << "a worker without its seat must not begin to accept again";
}

TEST_F(AcceptorTest, ServesTheSocketsOfAClosedSlotUntilTheyGoBackOrItsOwnSeatDoes) {
  std::vector<std::string> addresses;
  const auto borrow = [&](std::uint16_t slot) {
    std::vector<base::Descriptor> listeners;
    for (int i = 0; i < 2; ++i) {
      listeners.push_back(listen_on("tcp://127.0.0.1:0"));
      addresses.push_back(address_of(listeners.back()));
    }
    acceptor_.borrow(slot, std::move(listeners));
  };
  const auto accepted_from = [&](const std::string& address) {
    accepted_.clear();
    const auto client = connect_to(address);
    while (poller_.dispatch(limpet::test::plenty())) {
    }
    return accepted_.size() == 1 ? accepted_[0].listener : -1;
  };
  borrow(7);
  EXPECT_TRUE(idle()) << "not seated yet";
  acceptor_.start();
  borrow(8);
  EXPECT_EQ(accepted_from(addresses[0]), 0);
  EXPECT_EQ(accepted_from(addresses[1]), 1);
  EXPECT_EQ(accepted_from(addresses[3]), 1);
  borrow(7);
  EXPECT_THROW((void)accepted_from(addresses[0]), std::system_error) << "the old ones of 7 are closed";
  EXPECT_EQ(accepted_from(addresses[5]), 1) << "the new ones are served";
  acceptor_.give_back(8);
  EXPECT_THROW((void)accepted_from(addresses[3]), std::system_error);
  acceptor_.stop();
  acceptor_.start();
  EXPECT_THROW((void)accepted_from(addresses[5]), std::system_error) << "forgotten with the seat";
}

TEST_F(AcceptorTest, GivesItsDescriptorsBack) {
  base::Descriptor listener = listen_on("tcp://127.0.0.1:0");
  const std::string address = address_of(listener);
  acceptor_.add(std::move(listener));
  acceptor_.start();
  acceptor_.close();
  EXPECT_THROW((void)connect_to(address), std::system_error) << "nobody else holds this socket";
  EXPECT_TRUE(idle());
}

}  // namespace
}  // namespace limpet::client::test
