// Rounds of two writing processes, one reading process and this one, which reads as well: writers are killed
// and stopped at random, the other reader is stopped until it is lapped, both readers sleep whenever nothing
// is there. Every message is checked by both. Label ring.
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <random>

#include "tests/ipc/ring/checker.h"

namespace limpet::ipc::test {
namespace {

constexpr std::size_t kWriters = 2;
constexpr std::size_t kCapacity = std::size_t{8} << 10;
constexpr auto kDuration = 8s;
// Longer than a machine under load keeps a process waiting; a reader that sleeps so long over data was not
// rung.
constexpr int kSleptOverMs = 5000;

using Clock = std::chrono::steady_clock;

// What the processes of a round tell each other, besides the rings.
struct Shared {
  std::array<std::atomic<std::uint64_t>, kWriters>
      published;  // the sequence up to which publish() has returned
  std::array<std::atomic<bool>, kWriters> dead;
  std::atomic<std::uint64_t> messages;
  std::atomic<std::uint64_t> gaps;
  std::atomic<std::uint64_t> violations;
  char first_violation[256];
};

std::size_t length_of(std::uint64_t sequence) {
  const std::uint64_t mixed = sequence * 0x9e3779b97f4a7c15ULL >> 40;
  return mixed % 8 == 0 ? mixed % 9000 : mixed % 300;
}

RingOptions options() {
  RingOptions options = small_ring(kCapacity);
  options.lap_after = 2ms;
  return options;
}

// One reading process: two rings, one page, one doorbell.
class Reading {
 public:
  explicit Reading(const Incarnation& who) : who_(who), page_(ReaderPage::create(who, kLanes)) {
    doorbell_ = base::Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  }
  void attach(RingWriter& writer) {
    std::string why;
    auto view = ReaderPageView::map(duplicate(page_.descriptor()), who_, &why);
    ASSERT_TRUE(view && writer.attach_reader(std::move(*view), duplicate(doorbell_.get()), &why)) << why;
    auto ring = RingReader::attach(duplicate(writer.descriptor()), writer.who(), page_, &why);
    ASSERT_TRUE(ring) << why;
    rings_.push_back(std::move(*ring));
    checkers_.emplace_back(length_of);
  }
  /// One turn of a worker's loop: sleep if there is nothing, then read.
  void turn(const PollBudget& budget) {
    page_.fall_asleep();
    if (!has_data()) sleep();
    page_.wake_up();
    for (std::size_t i = 0; i < rings_.size(); ++i) {
      if (rings_[i].poll(budget, checkers_[i]) == PollResult::Corrupt)
        checkers_[i].violation("I10: " + rings_[i].why());
    }
  }
  [[nodiscard]] bool has_data() const {
    return std::any_of(rings_.begin(), rings_.end(), [](const RingReader& ring) { return ring.has_data(); });
  }
  [[nodiscard]] std::uint64_t acknowledged(std::uint16_t lane) { return page_.line(lane)->ack_lap.load(); }
  void kick() const { ::eventfd_write(doorbell_.get(), 1); }
  /// After the writers are dead and nothing is left to read.
  void check_completeness(const Shared& shared) {
    for (std::size_t i = 0; i < rings_.size(); ++i) {
      if (rings_[i].last_sequence() < shared.published[i].load())
        checkers_[i].violation("2: published, and not found");
    }
  }
  void report(Shared& shared) const {
    for (const Checker& checker : checkers_) {
      shared.messages += checker.messages();
      shared.gaps += checker.gaps();
      if (checker.violations() == 0) continue;
      shared.violations += checker.violations();
      std::snprintf(shared.first_violation, sizeof shared.first_violation, "%s",
                    checker.first_violation().c_str());
    }
  }
  [[nodiscard]] std::uint64_t messages() const {
    std::uint64_t sum = 0;
    for (const Checker& checker : checkers_) sum += checker.messages();
    return sum;
  }

 private:
  void sleep() {
    pollfd bell{doorbell_.get(), POLLIN, 0};
    if (::poll(&bell, 1, kSleptOverMs) == 0 && has_data()) checkers_[0].violation("I8: slept over data");
    eventfd_t count = 0;
    ::eventfd_read(doorbell_.get(), &count);
  }

  Incarnation who_;
  ReaderPage page_;
  base::Descriptor doorbell_;
  std::vector<RingReader> rings_;
  std::vector<Checker> checkers_;
};

void die_with_the_test() { ::prctl(PR_SET_PDEATHSIG, SIGKILL); }

// A writing process: publishes until it is killed.
[[noreturn]] void write_for_ever(RingWriter& writer, std::size_t index, Shared& shared) {
  die_with_the_test();
  for (std::uint64_t sequence = 1;; ++sequence) {
    const std::string message = pattern(sequence, length_of(sequence));
    if (writer.publish(bytes_of(message)) == PublishResult::QueueFull) ::_exit(2);
    while (writer.deferred()) {
      writer.retry(Clock::now());
      writer.flush();
      if (writer.deferred()) ::sched_yield();
    }
    shared.published[index].store(sequence, std::memory_order_release);
    if (sequence % 13 == 0) writer.flush();
  }
}

// The other reading process: reads until both writers are dead and their rings empty.
[[noreturn]] void read_to_the_end(Reading& reading, Shared& shared, std::uint64_t seed) {
  die_with_the_test();
  std::mt19937_64 random(seed);
  while (!shared.dead[0].load() || !shared.dead[1].load() || reading.has_data()) {
    reading.turn({.records = 1 + random() % 200});
  }
  reading.check_completeness(shared);
  reading.report(shared);
  ::_exit(0);
}

class Round {
 public:
  explicit Round(std::uint64_t seed)
      : random_(seed), memory_(Mapping::create("ring-stress", sizeof(Shared))) {
    shared_ = new (memory_.writable()) Shared{};
    for (std::uint16_t i = 0; i < kWriters; ++i) {
      writers_.push_back(RingWriter::create({i, i, seed * 10 + i}, options()));
      mine_.attach(writers_.back());
      theirs_.attach(writers_.back());
    }
    for (std::size_t i = 0; i < kWriters; ++i) {
      writer_pids_[i] = ::fork();
      if (writer_pids_[i] == 0) write_for_ever(writers_[i], i, *shared_);
    }
    reader_pid_ = ::fork();
    if (reader_pid_ == 0) read_to_the_end(theirs_, *shared_, seed);
  }

  void run() {
    for (std::size_t victim = 0; victim < kWriters; ++victim) {
      read_some();
      if (random_() % 2 == 0) stop_the_other_reader_until_it_is_lapped(victim);
      if (random_() % 2 == 0) stop_a_writer_for_a_while(victim);
      if (random_() % 2 == 0) go_on_for_a_moment();
      kill_writer(victim);
    }
    while (mine_.has_data()) mine_.turn({});
    mine_.check_completeness(*shared_);
    int status = 0;
    ::waitpid(reader_pid_, &status, 0);
    if (status != 0) violation("the other reader ended badly");
    mine_.report(*shared_);
  }
  [[nodiscard]] const Shared& shared() const { return *shared_; }
  int stops = 0;
  int laps_waited_for = 0;

 private:
  // Up to a random number of messages from a live writer, at least one turn.
  void read_some() {
    const std::uint64_t until = mine_.messages() + random_() % (random_() % 2 == 0 ? 30 : 3000);
    do mine_.turn({.records = 1 + random_() % 500});
    while (mine_.messages() < until);
  }
  void stop_the_other_reader_until_it_is_lapped(std::size_t by) {
    std::string why;
    const auto ring =
        Mapping::map_ring_read_only(duplicate(writers_[by].descriptor()), kRingHeaderBytes, &why);
    const auto& entry = reinterpret_cast<const RingHeader*>(ring->data())->readers[kTheirs.lane];
    const auto is_lapped = [&] {
      return entry.lapped.load() != theirs_.acknowledged(writers_[by].who().lane);
    };
    ::kill(reader_pid_, SIGSTOP);
    const auto deadline = Clock::now() + 20s;
    while (!is_lapped() && Clock::now() < deadline) mine_.turn({});
    if (!is_lapped()) violation("I7: a stopped reader holds up a writer");
    ::kill(reader_pid_, SIGCONT);
    ++laps_waited_for;
  }
  // As long as a reader that comes back needs for its first look: what it skipped to may be the writer's
  // last.
  void go_on_for_a_moment() {
    const auto until = Clock::now() + std::chrono::microseconds(random_() % 60);
    while (Clock::now() < until) {
    }
  }
  // The other one's messages must go on being announced.
  void stop_a_writer_for_a_while(std::size_t victim) {
    ::kill(writer_pids_[victim], SIGSTOP);
    if (victim == 0) read_some();
    ::kill(writer_pids_[victim], SIGCONT);
    ++stops;
  }
  void kill_writer(std::size_t victim) {
    ::kill(writer_pids_[victim], SIGKILL);
    int status = 0;
    ::waitpid(writer_pids_[victim], &status, 0);
    if (!WIFSIGNALED(status)) violation("a writer ended by itself");
    shared_->dead[victim].store(true);
    mine_.kick(), theirs_.kick();  // the supervisor's part in I6
  }
  void violation(const char* text) {
    ++shared_->violations;
    std::snprintf(shared_->first_violation, sizeof shared_->first_violation, "%s", text);
  }

  static constexpr Incarnation kMine{2, 2, 3};
  static constexpr Incarnation kTheirs{3, 3, 4};
  std::mt19937_64 random_;
  Mapping memory_;
  Shared* shared_;
  std::vector<RingWriter> writers_;
  Reading mine_{kMine};
  Reading theirs_{kTheirs};
  std::array<pid_t, kWriters> writer_pids_{};
  pid_t reader_pid_ = 0;
};

TEST(RingStress, keeps_every_invariant_while_its_writers_are_killed_and_everybody_is_stopped_at_random) {
  const auto deadline = Clock::now() + kDuration;
  std::uint64_t rounds = 0;
  std::uint64_t messages = 0;
  std::uint64_t gaps = 0;
  int stops = 0;
  int laps = 0;
  while (Clock::now() < deadline || rounds < 3) {
    Round round(++rounds);
    round.run();
    ASSERT_EQ(round.shared().violations.load(), 0u)
        << "round " << rounds << ": " << static_cast<const char*>(round.shared().first_violation);
    messages += round.shared().messages.load();
    gaps += round.shared().gaps.load();
    stops += round.stops;
    laps += round.laps_waited_for;
  }
  std::printf("%llu rounds, %llu writers killed, %d stopped, %d laps forced, %llu messages, %llu gaps told\n",
              static_cast<unsigned long long>(rounds), static_cast<unsigned long long>(rounds) * kWriters,
              stops, laps, static_cast<unsigned long long>(messages), static_cast<unsigned long long>(gaps));
  EXPECT_GT(messages, 0u);
}

}  // namespace
}  // namespace limpet::ipc::test
