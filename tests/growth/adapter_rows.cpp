// Broadcasts between two workers of one process, and what is retained of them.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/growth/growth.h"
#include "tests/worker/plenty.h"
#include "worker/adapter/retained.h"
#include "worker/adapter/ring_adapter.h"
#include "worker/websocket/frame.h"

namespace limpet::growth {
namespace {

using namespace std::chrono_literals;
using adapter::Retained;
using adapter::RingAdapter;

struct Ringer {
  Ringer(std::uint16_t slot, std::size_t ring_bytes)
      : who{slot, slot, 1u + slot},
        rings(
            who, {.capacity_bytes = ring_bytes, .lanes = 5, .lap_after = 1h, .deferred_bytes = 64u << 20},
            counters,
            [this](const socketio::Broadcast& broadcast) { rooms += broadcast.rooms.size(), ++got; },
            [this](const ipc::Gap&) { ++gaps; }) {}
  void join(const Ringer& peer) {
    const auto lend = [](int descriptor) {
      return base::Descriptor(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
    };
    rings.join(peer.who, lend(peer.rings.ring()), lend(peer.rings.reader_page()),
               lend(peer.rings.doorbell()));
  }
  void publish(std::span<const std::string_view> to = {}) {
    const std::vector<loop::Buffer> frames{websocket::make_frame(websocket::Opcode::Text, "42[\"e\"]")};
    (void)rings.publish({.nsp = "/", .rooms = to, .except = {}, .is_volatile = false, .frames = frames});
  }

  ipc::Incarnation who;
  ipc::CounterBlock counters = ipc::CounterBlock::create({0, 0, 1});
  std::size_t got = 0;
  std::size_t rooms = 0;
  std::size_t gaps = 0;
  RingAdapter rings;
};

struct Pair {
  explicit Pair(std::size_t ring_bytes) : from(0, ring_bytes), to(1, ring_bytes) {
    from.join(to);
    to.join(from);
  }
  Ringer from;
  Ringer to;
};

void broadcasts(std::size_t n) {
  Pair pair(4u << 20);
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) pair.from.publish();
    while (pair.to.rings.poll(test::plenty())) {
    }
  });
  EXPECT_EQ(pair.to.got, n);
}

/// The ring has room for few of them; the others wait in the worker.
void deferred_broadcasts(std::size_t n) {
  Pair pair(8u << 10);
  const std::chrono::steady_clock::time_point now{};
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) pair.from.publish();
    while (pair.to.got < n) {
      pair.from.rings.flush(now);
      (void)pair.to.rings.poll(test::plenty());
      if (pair.to.gaps > 0) break;
    }
  });
  EXPECT_EQ(pair.to.got, n);
  EXPECT_EQ(pair.to.gaps, 0u);
}

void rooms_of_a_broadcast(std::size_t n) {
  Pair pair(4u << 20);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < n; ++i) names.push_back("room " + std::to_string(i));
  const std::vector<std::string_view> rooms(names.begin(), names.end());
  counted([&] {
    pair.from.publish(rooms);
    (void)pair.to.rings.poll(test::plenty());
  });
  EXPECT_EQ(pair.to.rooms, n);
}

/// Kept while sessions are on their way, of several writers, replayed to those that come; then more come
/// than may be kept.
void retained(std::size_t n) {
  const std::vector<loop::Buffer> frames{websocket::make_frame(websocket::Opcode::Text, "42[\"e\"]")};
  std::size_t replayed = 0;
  counted([&] {
    Retained kept(n * 200);
    for (std::uint64_t i = 1; i <= n; ++i)
      kept.keep({0, 0, i % 4 + 1}, i,
                {.nsp = "/", .rooms = {}, .except = {}, .is_volatile = false, .frames = frames});
    const std::vector<adapter::RingPosition> given{{{0, 0, 2}, 1}};
    (void)kept.replay(given, [&replayed](const socketio::Broadcast&) { ++replayed; });
    for (std::uint64_t i = n + 1; i <= 4 * n; ++i)
      kept.keep({0, 0, 1}, i,
                {.nsp = "/", .rooms = {}, .except = {}, .is_volatile = false, .frames = frames});
  });
  EXPECT_GE(replayed, n / 2);
}

}  // namespace

Rows adapter_rows() {
  return {
      {"broadcasts", 512, broadcasts},
      {"deferred_broadcasts", 2048, deferred_broadcasts},
      {"rooms_of_a_broadcast", 512, rooms_of_a_broadcast},
      {"retained_broadcasts", 1024, retained},
  };
}

}  // namespace limpet::growth
