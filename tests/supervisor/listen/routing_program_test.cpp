#include "supervisor/listen/routing_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "base/placement_hash.h"

namespace limpet::supervisor {
namespace {

using Packet = std::array<std::uint8_t, 40>;

/// A packet of `version` whose source address ends in the four bytes of `tail`; IPv6 prefix as given.
Packet ipv4_from(std::uint32_t address) {
  Packet packet{};
  packet[0] = 0x45;
  for (int byte = 0; byte < 4; ++byte)
    packet[12 + byte] = static_cast<std::uint8_t>(address >> (24 - 8 * byte));
  return packet;
}

Packet ipv6_from(std::array<std::uint32_t, 4> words) {
  Packet packet{};
  packet[0] = 0x60;
  for (int byte = 0; byte < 16; ++byte)
    packet[8 + byte] = static_cast<std::uint8_t>(words[byte / 4] >> (24 - 8 * (byte % 4)));
  return packet;
}

/// The kernel's machine, as far as the program needs it.
class Machine {
 public:
  Machine(std::span<const sock_filter> program, const Packet& packet) : program_(program), packet_(packet) {}

  std::uint32_t run() {
    for (std::size_t at = 0; at < program_.size(); ++at) {
      const sock_filter& step = program_[at];
      switch (BPF_CLASS(step.code)) {
        case BPF_LD:
          a_ = BPF_MODE(step.code) == BPF_IMM ? step.k : load(step);
          break;
        case BPF_LDX:
          x_ = step.k;
          break;
        case BPF_ST:
          memory_.at(step.k) = a_;
          break;
        case BPF_ALU:
          a_ = compute(step, BPF_SRC(step.code) == BPF_X ? x_ : step.k);
          break;
        case BPF_MISC:
          x_ = a_;
          break;
        case BPF_JMP:
          at += distance(step);
          break;
        case BPF_RET:
          return BPF_RVAL(step.code) == BPF_A ? a_ : step.k;
        default:
          ADD_FAILURE() << "instruction " << step.code;
      }
    }
    ADD_FAILURE() << "ran off the end";
    return 0;
  }

 private:
  std::uint32_t load(const sock_filter& step) const {
    if (BPF_MODE(step.code) == BPF_MEM) return memory_.at(step.k);
    const std::size_t offset = step.k - static_cast<std::uint32_t>(SKF_NET_OFF);
    if (BPF_SIZE(step.code) == BPF_B) return packet_.at(offset);
    return std::uint32_t{packet_.at(offset)} << 24 | packet_.at(offset + 1) << 16 |
           packet_.at(offset + 2) << 8 | packet_.at(offset + 3);
  }
  std::uint32_t compute(const sock_filter& step, std::uint32_t with) const {
    switch (BPF_OP(step.code)) {
      case BPF_RSH:
        return a_ >> with;
      case BPF_XOR:
        return a_ ^ with;
      case BPF_MUL:
        return a_ * with;
      default:
        ADD_FAILURE() << "operation " << step.code;
        return 0;
    }
  }
  std::size_t distance(const sock_filter& step) const {
    if (BPF_OP(step.code) == BPF_JA) return step.k;
    if (BPF_OP(step.code) == BPF_JGT) return a_ > x_ ? step.jt : step.jf;
    return a_ == step.k ? step.jt : step.jf;
  }

  std::span<const sock_filter> program_;
  const Packet& packet_;
  std::uint32_t a_ = 0;
  std::uint32_t x_ = 0;
  std::array<std::uint32_t, 16> memory_{};
};

constexpr std::uint64_t kSeed = 0;

std::uint32_t slot_of(const Packet& packet, const std::vector<bool>& takes_part) {
  const auto program = routing_program(takes_part, kSeed);
  return Machine(program, packet).run();
}

constexpr std::uint32_t kLoopback = 0x7f000000;

struct Spread {
  std::string name;
  std::uint32_t first;
  std::uint32_t step;
};

class RoutingSpread : public testing::TestWithParam<Spread> {};

TEST_P(RoutingSpread, a_thousand_addresses_are_within_a_factor_of_1_3_of_even) {
  for (const std::uint32_t slots : {2U, 3U, 4U, 6U, 8U}) {
    const auto program = routing_program(std::vector<bool>(slots, true), kSeed);
    std::vector<int> count(slots);
    for (std::uint32_t index = 0; index < 1000; ++index) {
      const Packet packet = ipv4_from(GetParam().first + index * GetParam().step);
      ++count.at(Machine(program, packet).run());
    }
    EXPECT_LE(*std::max_element(count.begin(), count.end()), 1.3 * 1000 / slots) << slots << " slots";
    EXPECT_GE(*std::min_element(count.begin(), count.end()), 1000 / (1.3 * slots)) << slots << " slots";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Patterns, RoutingSpread,
    testing::Values(Spread{"sequential", kLoopback + 1, 1}, Spread{"one_per_24", kLoopback + 1, 256},
                    Spread{"one_per_16", 0x0a000001, 65536}, Spread{"odd", kLoopback + 1, 2},
                    Spread{"from_1_0_0", kLoopback + 0x010001, 1}, Spread{"scattered", kLoopback, 16273}),
    [](const auto& spread) { return spread.param.name; });

TEST(Routing, sequential_ipv6_addresses_spread_too) {
  const auto program = routing_program(std::vector<bool>(4, true), kSeed);
  for (int word = 0; word < 4; ++word) {
    std::vector<int> count(4);
    for (std::uint32_t index = 0; index < 1000; ++index) {
      std::array<std::uint32_t, 4> words{0x20010db8, 7, 0, 1};
      words[word] += index;
      const Packet packet = ipv6_from(words);
      ++count.at(Machine(program, packet).run());
    }
    EXPECT_LE(*std::max_element(count.begin(), count.end()), 325) << "word " << word;
  }
}

TEST(Routing, an_ipv4_client_is_the_same_on_a_dual_stack_socket) {
  const std::vector<bool> all(16, true);
  for (std::uint32_t address = kLoopback; address < kLoopback + 100; ++address) {
    EXPECT_EQ(slot_of(ipv4_from(address), all), slot_of(ipv6_from({0, 0, 0xffff, address}), all));
  }
}

TEST(Routing, a_slot_that_is_out_loses_its_clients_to_all_others_and_nobody_else_moves) {
  constexpr std::uint32_t kSlots = 8;
  const std::vector<bool> all(kSlots, true);
  std::vector<bool> without = all;
  without[3] = without[6] = false;
  std::vector<int> heirs(kSlots);
  for (std::uint32_t address = kLoopback; address < kLoopback + 2000; ++address) {
    const Packet packet = ipv4_from(address);
    const std::uint32_t before = slot_of(packet, all);
    const std::uint32_t after = slot_of(packet, without);
    if (without[before]) {
      EXPECT_EQ(after, before);
    } else {
      ++heirs.at(after);
    }
  }
  for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
    if (without[slot]) {
      EXPECT_GT(heirs[slot], 40) << "slot " << slot << " inherits too little";
    } else {
      EXPECT_EQ(heirs[slot], 0) << "a client was sent to slot " << slot << ", which is out";
    }
  }
}

TEST(Routing, a_slot_that_comes_wins_its_share_from_all_others_and_nobody_else_moves) {
  for (const std::uint32_t slots : {1U, 2U, 3U, 5U, 8U}) {
    std::vector<bool> before(slots + 1, true);
    before[slots] = false;
    const std::vector<bool> after(slots + 1, true);
    int moved = 0;
    for (std::uint32_t address = kLoopback; address < kLoopback + 6000; ++address) {
      const Packet packet = ipv4_from(address);
      const std::uint32_t was = slot_of(packet, before);
      const std::uint32_t is = slot_of(packet, after);
      EXPECT_TRUE(is == was || is == slots);
      moved += is != was ? 1 : 0;
    }
    EXPECT_NEAR(moved, 6000.0 / (slots + 1), 600.0 / (slots + 1)) << slots << " slots";
  }
}

TEST(Routing, has_room_for_as_many_slots_as_there_can_be) {
  const auto program = routing_program(std::vector<bool>(511, true), kSeed);
  std::vector<int> count(511);
  for (std::uint32_t index = 0; index < 51100; ++index)
    ++count.at(Machine(program, ipv4_from(0x0a000001 + index * 769)).run());
  EXPECT_GE(*std::min_element(count.begin(), count.end()), 50);
  EXPECT_LE(*std::max_element(count.begin(), count.end()), 200);
}

TEST(Routing, works_with_one_slot_left_of_many) {
  std::vector<bool> one(300, false);
  one[299] = true;
  EXPECT_LE(routing_program(one, kSeed).size(), BPF_MAXINSNS);
  for (std::uint32_t address = kLoopback; address < kLoopback + 100; ++address)
    EXPECT_EQ(slot_of(ipv4_from(address), one), 299U);
}

/// As a worker finds it.
std::uint32_t heaviest_slot(std::span<const std::uint8_t> address, std::uint32_t slots, std::uint64_t seed) {
  const base::PlacementHash hash(seed);
  const std::uint32_t client = hash.of_address(address);
  std::uint32_t best = 0;
  for (std::uint32_t slot = 1; slot < slots; ++slot)
    if (hash.weigh(slot, client) > hash.weigh(best, client)) best = slot;
  return best;
}

TEST(RoutingSeed, kernel_and_workers_find_the_same_slot_under_any_seed) {
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0x123456789abcdef0}}) {
    const auto program = routing_program(std::vector<bool>(8, true), seed);
    for (std::uint32_t number = 0; number < 500; ++number) {
      const Packet ipv4 = ipv4_from(kLoopback + number);
      EXPECT_EQ(Machine(program, ipv4).run(), heaviest_slot(std::span(ipv4).subspan(12, 4), 8, seed));
      const Packet ipv6 = ipv6_from({0x20010db8, number % 3, number, ~number});
      EXPECT_EQ(Machine(program, ipv6).run(), heaviest_slot(std::span(ipv6).subspan(8, 16), 8, seed));
    }
  }
}

TEST(RoutingSeed, without_one_clients_stay_where_they_were_before_there_was_a_seed) {
  const auto program = routing_program(std::vector<bool>(8, true), 0);
  constexpr std::array<std::uint32_t, 16> kOfIpv4{7, 5, 3, 1, 1, 4, 2, 5, 2, 6, 3, 1, 2, 1, 6, 5};
  constexpr std::array<std::uint32_t, 16> kOfIpv6{4, 3, 0, 6, 7, 5, 5, 5, 1, 0, 4, 0, 6, 7, 2, 0};
  for (std::uint32_t number = 0; number < 16; ++number) {
    EXPECT_EQ(Machine(program, ipv4_from(kLoopback + 1 + number)).run(), kOfIpv4[number]);
    EXPECT_EQ(Machine(program, ipv6_from({0x20010db8, 7, 0, 1 + number})).run(), kOfIpv6[number]);
  }
}

TEST(RoutingSeed, two_clusters_place_the_same_addresses_differently) {
  const auto one = routing_program(std::vector<bool>(8, true), 41);
  const auto other = routing_program(std::vector<bool>(8, true), 42);
  int same = 0;
  for (std::uint32_t number = 0; number < 4000; ++number) {
    const Packet packet = ipv4_from(kLoopback + number);
    same += Machine(one, packet).run() == Machine(other, packet).run() ? 1 : 0;
  }
  EXPECT_NEAR(same, 500, 120) << "as many as by chance";
}

/// Of a /64: those of a /96 too, whose first words are all alike.
TEST(RoutingSeed, addresses_that_were_chosen_for_one_slot_spread_evenly_under_every_other_seed) {
  const auto known = routing_program(std::vector<bool>(4, true), 0);
  std::vector<Packet> chosen;
  for (std::uint32_t number = 0; chosen.size() < 2000; ++number) {
    const Packet packet = ipv6_from({0x20010db8, 7, 5, number});
    if (Machine(known, packet).run() == 2) chosen.push_back(packet);
  }
  for (std::uint64_t seed = 1; seed < 40; ++seed) {
    const auto program = routing_program(std::vector<bool>(4, true), seed * 0x9e3779b97f4a7c15);
    std::vector<int> count(4);
    for (const Packet& each : chosen) ++count.at(Machine(program, each).run());
    EXPECT_GE(*std::min_element(count.begin(), count.end()), 380) << "seed " << seed;
    EXPECT_LE(*std::max_element(count.begin(), count.end()), 620) << "seed " << seed;
  }
}

TEST(RoutingDeathTest, refuses_to_route_to_nobody) {
  EXPECT_DEATH((void)routing_program({false, false}, kSeed), "without a slot");
}

}  // namespace
}  // namespace limpet::supervisor
