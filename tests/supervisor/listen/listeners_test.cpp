#include "supervisor/listen/listeners.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "tests/supervisor/running_server.h"

namespace limpet::supervisor {
namespace {

using base::Address;
using base::Descriptor;
using base::parse_address;
using testing::HasSubstr;

Address address(const std::string& text) {
  std::string why;
  const auto parsed = parse_address(text, &why);
  EXPECT_TRUE(parsed) << why;
  return parsed.value_or(Address{});
}

Listeners listen_on(const std::string& text, std::uint16_t slots) {
  return Listeners({ListenAddress{.address = address(text)}}, slots, {}, 0);
}

std::uint16_t port_of(const Listeners& listeners) { return address(listeners.names().at(0)).port(); }

/// A connected client whose own address is `from`.
Descriptor connect_from(const std::string& from, const std::string& to, std::uint16_t port) {
  Address source = address("tcp://" + from + ":0");
  Address target = address("tcp://" + to + ":0");
  target.set_port(port);
  Descriptor client(::socket(source.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::bind(client.get(), source.get(), source.length), 0) << from;
  EXPECT_EQ(::connect(client.get(), target.get(), target.length), 0) << from << " to " << to;
  return client;
}

/// Takes one connection from whichever slot has it; -1 if none has within 5 s.
int slot_that_accepts(const Listeners& listeners, std::uint16_t slots) {
  std::vector<pollfd> wait;
  for (std::uint16_t slot = 0; slot < slots; ++slot)
    wait.push_back({listeners.of_slot(slot).at(0), POLLIN, 0});
  if (::poll(wait.data(), wait.size(), 5000) < 1) return -1;
  const auto ready =
      std::find_if(wait.begin(), wait.end(), [](const pollfd& each) { return each.revents != 0; });
  const Descriptor accepted(::accept4(ready->fd, nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_TRUE(accepted);
  return static_cast<int>(ready - wait.begin());
}

std::string loopback(std::uint32_t index) {
  return "127." + std::to_string(1 + index / 62500) + "." + std::to_string(index / 250 % 250) + "." +
         std::to_string(1 + index % 250);
}

TEST(Listeners, one_address_always_reaches_one_slot) {
  const Listeners listeners = listen_on("tcp://127.0.0.1:0", 4);
  const int first = [&] {
    const Descriptor client = connect_from("127.9.8.7", "127.0.0.1", port_of(listeners));
    return slot_that_accepts(listeners, 4);
  }();
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const Descriptor client = connect_from("127.9.8.7", "127.0.0.1", port_of(listeners));
    ASSERT_EQ(slot_that_accepts(listeners, 4), first);
  }
}

TEST(Listeners, a_thousand_addresses_spread_within_a_factor_of_1_3_of_even) {
  const Listeners listeners = listen_on("tcp://127.0.0.1:0", 4);
  std::map<int, int> count;
  for (std::uint32_t index = 0; index < 1000; ++index) {
    const Descriptor client = connect_from(loopback(index), "127.0.0.1", port_of(listeners));
    ++count[slot_that_accepts(listeners, 4)];
  }
  for (int slot = 0; slot < 4; ++slot) {
    EXPECT_LE(count[slot], 325);
    EXPECT_GE(count[slot], 193);
  }
}

TEST(Listeners, an_ipv4_client_reaches_the_same_slot_through_a_dual_stack_socket) {
  const Listeners dual = listen_on("tcp://[::]:0", 8);
  const Listeners plain = listen_on("tcp://127.0.0.1:0", 8);
  for (std::uint32_t index = 0; index < 50; ++index) {
    const Descriptor one = connect_from(loopback(index), "127.0.0.1", port_of(dual));
    const Descriptor two = connect_from(loopback(index), "127.0.0.1", port_of(plain));
    EXPECT_EQ(slot_that_accepts(dual, 8), slot_that_accepts(plain, 8));
  }
}

TEST(Listeners, an_ipv6_client_reaches_the_same_slot_on_every_listener) {
  const Listeners dual = listen_on("tcp://[::]:0", 8);
  const Listeners loopback_only = listen_on("tcp://[::1]:0", 8);
  const Descriptor one = connect_from("[::1]", "[::1]", port_of(dual));
  const Descriptor two = connect_from("[::1]", "[::1]", port_of(loopback_only));
  const int slot = slot_that_accepts(dual, 8);
  EXPECT_NE(slot, -1);
  EXPECT_EQ(slot_that_accepts(loopback_only, 8), slot);
}

TEST(Listeners, a_slot_that_is_routed_around_gets_its_clients_back) {
  Listeners listeners = listen_on("tcp://127.0.0.1:0", 3);
  const auto slot_now = [&](std::uint32_t index) {
    const Descriptor client = connect_from(loopback(index), "127.0.0.1", port_of(listeners));
    return slot_that_accepts(listeners, 3);
  };
  std::vector<int> before;
  for (std::uint32_t index = 0; index < 60; ++index) before.push_back(slot_now(index));
  listeners.route({true, false, true});
  for (std::uint32_t index = 0; index < 60; ++index) {
    const int after = slot_now(index);
    EXPECT_NE(after, 1);
    EXPECT_TRUE(before[index] == 1 || after == before[index])
        << "client " << index << " moved from " << before[index];
  }
  listeners.route({true, true, true});
  for (std::uint32_t index = 0; index < 60; ++index) EXPECT_EQ(slot_now(index), before[index]);
}

TEST(Listeners, a_second_server_on_the_same_address_is_refused_in_words) {
  const Listeners first = listen_on("tcp://127.0.0.1:0", 2);
  try {
    const Listeners second = listen_on(first.names().at(0), 2);
    FAIL() << "two servers share " << first.names().at(0);
  } catch (const std::system_error& refusal) {
    EXPECT_THAT(refusal.what(), HasSubstr("bind " + first.names().at(0)));
    EXPECT_EQ(refusal.code().value(), EADDRINUSE);
  }
}

TEST(Listeners, beside_0_0_0_0_every_ipv6_address_takes_ipv6_clients_only) {
  std::uint16_t port = 0;
  {
    const Listeners any = listen_on("tcp://0.0.0.0:0", 1);
    port = port_of(any);
  }
  const std::string at = ":" + std::to_string(port);
  const Listeners both({{.address = address("tcp://[::]" + at)}, {.address = address("tcp://0.0.0.0" + at)}},
                       2, {}, 0);
  const Descriptor client = connect_from("127.0.0.1", "127.0.0.1", port);
  std::vector<pollfd> wait;
  for (std::uint16_t slot = 0; slot < 2; ++slot) wait.push_back({both.of_slot(slot).at(1), POLLIN, 0});
  EXPECT_EQ(::poll(wait.data(), wait.size(), 5000), 1) << "the IPv4 socket has the IPv4 client";
  const Descriptor six = connect_from("[::1]", "[::1]", port);
  EXPECT_NE(slot_that_accepts(both, 2), -1) << "and the IPv6 socket the other";
}

class UnixListeners : public testing::Test {
 protected:
  static Descriptor connect_to(const std::string& name) {
    const Address to = address(name);
    Descriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), to.get(), to.length), 0) << name;
    return client;
  }
  static std::string complaint_about(const std::string& name) {
    try {
      (void)listen_on(name, 1);
    } catch (const std::exception& refusal) {
      return refusal.what();
    }
    return "none";
  }
  [[nodiscard]] mode_t mode() const {
    struct stat found = {};
    EXPECT_EQ(::stat(path_.c_str(), &found), 0);
    return found.st_mode & 07777U;
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path() + "/socket";
  std::string name_ = "unix://" + path_;
};

TEST_F(UnixListeners, all_slots_share_one_socket_that_leaves_nothing_behind) {
  {
    const Listeners listeners({{.address = address(name_), .unix_mode = 0620}}, 3, {}, 0);
    EXPECT_EQ(listeners.names().at(0), name_);
    EXPECT_EQ(listeners.of_slot(0), listeners.of_slot(2));
    EXPECT_EQ(mode(), 0620U);
    const Descriptor client = connect_to(name_);
    EXPECT_TRUE(Descriptor(::accept4(listeners.of_slot(1).at(0), nullptr, nullptr, SOCK_CLOEXEC)));
  }
  EXPECT_EQ(::access(path_.c_str(), F_OK), -1);
  EXPECT_EQ(::access((path_ + ".lock").c_str(), F_OK), -1);
}

TEST_F(UnixListeners, what_a_killed_server_left_is_replaced) {
  const Address at = address(name_);
  {
    const Descriptor left(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(left.get(), at.get(), at.length), 0);
  }
  std::ofstream(path_ + ".lock") << "1";
  const Listeners listeners = listen_on(name_, 1);
  (void)connect_to(name_);
}

TEST_F(UnixListeners, what_another_server_serves_is_refused_and_goes_on) {
  const Listeners first = listen_on(name_, 1);
  EXPECT_THAT(complaint_about(name_),
              HasSubstr("listen on " + name_ + ": in use: supervisor " + std::to_string(::getpid())));
  (void)connect_to(name_);
}

TEST_F(UnixListeners, a_file_that_is_no_socket_is_kept) {
  std::ofstream(path_) << "precious";
  EXPECT_THAT(complaint_about(name_), HasSubstr("is there, and is no socket"));
  EXPECT_EQ(::access(path_.c_str(), F_OK), 0);
}

TEST_F(UnixListeners, a_directory_that_is_not_there_is_named) {
  EXPECT_THAT(complaint_about("unix://" + directory_.path() + "/none/socket"),
              HasSubstr("none/socket.lock: No such file"));
}

TEST(Listeners, the_next_server_binds_at_once_although_connections_of_the_last_are_still_open) {
  std::uint16_t port = 0;
  Descriptor client;
  Descriptor accepted;
  {
    const Listeners first = listen_on("tcp://127.0.0.1:0", 1);
    port = port_of(first);
    client = connect_from("127.0.0.1", "127.0.0.1", port);
    accepted = Descriptor(::accept4(first.of_slot(0).at(0), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    pollfd wait{first.of_slot(0).at(0), POLLIN, 0};
    if (!accepted && ::poll(&wait, 1, 5000) == 1) {
      accepted = Descriptor(::accept4(first.of_slot(0).at(0), nullptr, nullptr, SOCK_CLOEXEC));
    }
    ASSERT_TRUE(accepted);
  }
  EXPECT_NO_THROW(listen_on("tcp://127.0.0.1:" + std::to_string(port), 4));
}

}  // namespace
}  // namespace limpet::supervisor
