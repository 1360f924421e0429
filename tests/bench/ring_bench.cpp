// What the ring costs. Throughput: CPU of the whole process (writer and reader thread) per message, 32
// messages a flush. Latency: half a round trip through two rings between busy threads, beside the round trip
// of one cache line between the same threads. Figures are counters: cpu_us_per_message, p50_ns,
// line_round_trip_p50_ns, ratio (limit: 2). JSON: --benchmark_format=json
#include <benchmark/benchmark.h>
#include <poll.h>
#include <sched.h>

#include <ctime>
#include <thread>

#include "tests/ipc/ring/kit.h"

namespace limpet::ipc::test {
namespace {

constexpr int kFlushEvery = 32;

double process_cpu_us() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

class Count final : public RingSink {
 public:
  void on_message(std::span<const std::byte> message, std::uint64_t) override {
    benchmark::DoNotOptimize(message.data());
    ++messages;
  }
  void on_gap(const Gap&) override { ++gaps; }
  std::uint64_t messages = 0;
  std::uint64_t gaps = 0;
};

struct Pair {
  explicit Pair(std::uint16_t writer_lane, std::size_t capacity = std::size_t{16} << 20)
      : writer(RingWriter::create({writer_lane, writer_lane, 7}, small_ring(capacity))),
        reader({1, 1, 21}, kLanes) {
    if (!introduce(writer, reader, &reader.why) || !reader.attach(writer.descriptor(), writer.who()))
      std::abort();
  }
  RingWriter writer;
  TestReader reader;
};

// A worker's turns: asleep when nothing is there.
void read_until(Pair& pair, Count& count, std::uint64_t messages) {
  while (count.messages < messages) {
    pair.reader.page.fall_asleep();
    if (!pair.reader.ring->has_data()) {
      pollfd bell{pair.reader.doorbell.get(), POLLIN, 0};
      ::poll(&bell, 1, 100);
      (void)pair.reader.rings();
    }
    pair.reader.page.wake_up();
    pair.reader.ring->poll({}, count);
  }
}

void publish_all(RingWriter& writer, std::string_view message, std::uint64_t messages) {
  for (std::uint64_t i = 1; i <= messages; ++i) {
    if (writer.publish(bytes_of(message)) != PublishResult::Published) {
      while (writer.deferred()) {
        writer.flush();
        ::sched_yield();
        writer.retry(std::chrono::steady_clock::now());
      }
    }
    if (i % kFlushEvery == 0) writer.flush();
  }
  writer.flush();
}

void ring_throughput(benchmark::State& state) {
  const std::string message(static_cast<std::size_t>(state.range(0)), 'x');
  const std::uint64_t batch = state.range(0) > 4096 ? 4'000 : 400'000;
  Pair pair(0);
  Count count;
  std::uint64_t sent = 0;
  const double before = process_cpu_us();
  for (auto _ : state) {
    std::thread reader([&] { read_until(pair, count, sent + batch); });
    publish_all(pair.writer, message, batch);
    reader.join();
    sent += batch;
  }
  const double cpu = process_cpu_us() - before;
  if (count.gaps > 0) state.SkipWithError("the reader was lapped");
  state.SetItemsProcessed(static_cast<std::int64_t>(sent));
  state.SetBytesProcessed(static_cast<std::int64_t>(sent) * state.range(0));
  state.counters["cpu_us_per_message"] = cpu / static_cast<double>(sent);
}
BENCHMARK(ring_throughput)->Arg(64)->Arg(1024)->Arg(65536)->MeasureProcessCPUTime()->UseRealTime();

// The same work in one thread: what the ring itself costs, without the traffic between two processors'
// caches.
void ring_work(benchmark::State& state) {
  const std::string message(static_cast<std::size_t>(state.range(0)), 'x');
  Pair pair(0, std::size_t{256} << 10);
  Count count;
  for (auto _ : state) {
    for (int i = 0; i < kFlushEvery; ++i) benchmark::DoNotOptimize(pair.writer.publish(bytes_of(message)));
    pair.writer.flush();
    pair.reader.ring->poll({}, count);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(count.messages));
}
BENCHMARK(ring_work)->Arg(64)->Arg(1024);

class Samples {
 public:
  void add(std::chrono::steady_clock::duration time) { ns_.push_back(static_cast<double>(time.count())); }
  double p50() {
    std::nth_element(ns_.begin(), ns_.begin() + static_cast<std::ptrdiff_t>(ns_.size() / 2), ns_.end());
    return ns_[ns_.size() / 2];
  }

 private:
  std::vector<double> ns_;
};

constexpr int kRoundTrips = 10'000;
using Clock = std::chrono::steady_clock;

// One cache line there and back.
double line_round_trip_p50() {
  struct alignas(kLine) Word {
    std::atomic<int> value{0};
  };
  Word there;
  Word back;
  std::thread echo([&] {
    for (int i = 1; i <= kRoundTrips; ++i) {
      while (there.value.load(std::memory_order_acquire) != i) {
      }
      back.value.store(i, std::memory_order_release);
    }
  });
  Samples samples;
  for (int i = 1; i <= kRoundTrips; ++i) {
    const auto start = Clock::now();
    there.value.store(i, std::memory_order_release);
    while (back.value.load(std::memory_order_acquire) != i) {
    }
    samples.add(Clock::now() - start);
  }
  echo.join();
  return samples.p50();
}

void send(RingWriter& writer, std::string_view message) {
  if (writer.publish(bytes_of(message)) != PublishResult::Published) std::abort();
  writer.flush();
}

void receive(Pair& pair, Count& count, std::uint64_t messages) {
  while (count.messages < messages) pair.reader.ring->poll({}, count);
}

// One message through a ring, and an answer through another.
double ring_round_trip_p50(std::string_view message) {
  Pair there(0);
  Pair back(2);
  std::thread echo([&] {
    Count count;
    for (std::uint64_t i = 1; i <= kRoundTrips; ++i) {
      receive(there, count, i);
      send(back.writer, message);
    }
  });
  Samples samples;
  Count count;
  for (std::uint64_t i = 1; i <= kRoundTrips; ++i) {
    const auto start = Clock::now();
    send(there.writer, message);
    receive(back, count, i);
    samples.add(Clock::now() - start);
  }
  echo.join();
  return samples.p50();
}

// Both in turns, so that both meet the same machine.
void ring_latency_busy_reader(benchmark::State& state) {
  const std::string message(static_cast<std::size_t>(state.range(0)), 'x');
  double line = 0;
  double ring = 0;
  for (auto _ : state) {
    line += line_round_trip_p50();
    ring += ring_round_trip_p50(message) / 2;
  }
  const auto rounds = static_cast<double>(state.iterations());
  state.counters["p50_ns"] = ring / rounds;
  state.counters["line_round_trip_p50_ns"] = line / rounds;
  state.counters["ratio"] = ring / line;
}
BENCHMARK(ring_latency_busy_reader)
    ->Arg(64)
    ->Arg(1024)
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace limpet::ipc::test

BENCHMARK_MAIN();
