#include "worker/client/admission.h"

#include <gtest/gtest.h>

namespace limpet::client {
namespace {

using namespace std::chrono_literals;

class AdmissionTest : public testing::Test {
 protected:
  static PeerAddress address(std::string_view text) { return PeerAddress::from_text(text, 1); }
  [[nodiscard]] std::uint64_t counted(ipc::Counter counter) const { return counters_.get(counter); }

  Limits limits_;
  loop::Clock clock_{loop::TimePoint(1000s)};
  ipc::CounterBlock counters_ = ipc::CounterBlock::create({0, 0, 1});
  Admission admission_{limits_, clock_, counters_};
};

TEST_F(AdmissionTest, LetsInBelowTheCapsAndRefusesAtThem) {
  limits_.connections = 10;
  limits_.sessions = 5;
  EXPECT_TRUE(admission_.admits_connection(9));
  EXPECT_FALSE(admission_.admits_connection(10));
  EXPECT_TRUE(admission_.admits_handshake(4, address("127.0.0.1")));
  EXPECT_FALSE(admission_.admits_handshake(5, address("127.0.0.1")));
  EXPECT_EQ(counted(ipc::Counter::RefusedConnections), 1u);
  EXPECT_EQ(counted(ipc::Counter::RefusedSessions), 1u);
}

TEST_F(AdmissionTest, RefusesWhatIsNewWhileMemoryIsShort) {
  EXPECT_TRUE(admission_.admits_connection(0));
  admission_.set_short_of_memory(true);
  EXPECT_FALSE(admission_.admits_connection(0));
  EXPECT_FALSE(admission_.admits_handshake(0, address("127.0.0.1")));
  EXPECT_EQ(counted(ipc::Counter::RefusedForMemory), 2u);
  admission_.set_short_of_memory(false);
  EXPECT_TRUE(admission_.admits_connection(0));
}

TEST_F(AdmissionTest, CountsTheConnectionsOfAnAddressUntilTheyLeave) {
  limits_.connections_per_address = 2;
  const PeerAddress one = address("10.1.2.3");
  EXPECT_TRUE(admission_.admits_one_more_of(one));
  EXPECT_TRUE(admission_.admits_one_more_of(one));
  EXPECT_FALSE(admission_.admits_one_more_of(one));
  EXPECT_TRUE(admission_.admits_one_more_of(address("10.1.2.4"))) << "another address";
  admission_.leave(one);
  EXPECT_TRUE(admission_.admits_one_more_of(one));
  EXPECT_EQ(counted(ipc::Counter::RefusedAddresses), 1u);
  for (int i = 0; i < 2; ++i) admission_.leave(one);
  admission_.leave(address("10.1.2.4"));
  EXPECT_EQ(admission_.addresses(), 0u) << "nothing is kept of those that left";
}

TEST_F(AdmissionTest, CountsThoseThatHaveMovedHereWithoutRefusingThem) {
  limits_.connections_per_address = 1;
  const PeerAddress one = address("10.1.2.3");
  admission_.count(one);
  admission_.count(one);
  EXPECT_FALSE(admission_.admits_one_more_of(one));
  admission_.leave(one);
  EXPECT_FALSE(admission_.admits_one_more_of(one)) << "as many as it may have are left";
  admission_.leave(one);
  EXPECT_TRUE(admission_.admits_one_more_of(one));
}

TEST_F(AdmissionTest, TakesAnIPv6NetworkOf64BitsForOneAddress) {
  limits_.connections_per_address = 1;
  EXPECT_TRUE(admission_.admits_one_more_of(address("2001:db8:1:2::1")));
  EXPECT_FALSE(admission_.admits_one_more_of(address("2001:db8:1:2:ffff::7")));
  EXPECT_TRUE(admission_.admits_one_more_of(address("2001:db8:1:3::1")));
}

TEST_F(AdmissionTest, CountsNothingWithoutSuchACap) {
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(admission_.admits_one_more_of(address("10.1.2.3")));
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(admission_.admits_handshake(0, address("10.1.2.3")));
  EXPECT_EQ(admission_.addresses(), 0u);
}

TEST_F(AdmissionTest, GivesAnAddressItsHandshakesBackOverTheSecond) {
  limits_.handshakes_per_second = 10;
  const auto made = [this](std::string_view from) {
    int count = 0;
    while (count < 100 && admission_.admits_handshake(0, address(from))) ++count;
    return count;
  };
  EXPECT_EQ(made("10.0.0.1"), 10);
  EXPECT_EQ(made("10.0.0.2"), 10) << "each address has its own";
  clock_.advance_to(clock_.now() + 500ms);
  EXPECT_EQ(made("10.0.0.1"), 5);
  clock_.advance_to(clock_.now() + 1h);
  EXPECT_EQ(made("10.0.0.1"), 10) << "no more are saved up";
}

TEST_F(AdmissionTest, ForgetsTheRatesOfThoseWhoHaveAllOfThemBack) {
  limits_.handshakes_per_second = 10;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(admission_.admits_handshake(
        0, address("10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250))));
    clock_.advance_to(clock_.now() + 10ms);
  }
  EXPECT_LT(admission_.addresses(), 300u) << "a second has a hundred of them";
}

}  // namespace
}  // namespace limpet::client
