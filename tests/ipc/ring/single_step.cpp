// SIGKILL of the writer at every instruction. A forked child runs one act of the writer (publish and flush,
// mostly) with the processor's trap flag set, counts its instructions in the trap's handler and kills itself
// after k = 0, 1, 2, … of them, until the act is over; each time this process, the readers, must find all or
// nothing of the message, and nothing torn, twice or silently lost. (A tracer with PTRACE_SINGLESTEP does the
// same at ten times the cost.) Label singlestep.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/ipc/ring/checker.h"

namespace limpet::ipc::test {
namespace {

template <class Writer>
class Rig {
 public:
  /// Unknown: the writer has not attached it, and keeps nothing for it.
  enum class Kind { Keeping, Lapped, Unknown };

  explicit Rig(std::size_t capacity = kMinRingCapacity)
      : writer(Writer::create(kWriter, small_ring(capacity))) {}

  TestReader& add_reader(Kind kind = Kind::Keeping, bool asleep = false) {
    const auto lane = static_cast<std::uint16_t>(readers_.size() + 1);
    auto reader = std::make_unique<TestReader>(Incarnation{lane, lane, 20u + lane}, kLanes);
    if (kind != Kind::Unknown) {
      EXPECT_TRUE(introduce(writer, *reader, &reader->why)) << reader->why;
    }
    EXPECT_TRUE(reader->attach(writer.descriptor(), kWriter)) << reader->why;
    readers_.push_back({std::move(reader),
                        Checker([this](std::uint64_t sequence) { return lengths_.at(sequence - 1); }), kind,
                        asleep});
    if (asleep) readers_.back().reader->page.fall_asleep();
    return *readers_.back().reader;
  }
  PublishResult publish(std::size_t bytes) {
    lengths_.push_back(bytes);
    return writer.publish(bytes_of(pattern(lengths_.size(), bytes)));
  }
  /// Publishes until `used` bytes of the ring have been written.
  void fill(std::size_t used, std::size_t bytes) {
    for (std::size_t at = 0; at + record_bytes(bytes) <= used; at += record_bytes(bytes)) {
      EXPECT_EQ(publish(bytes), PublishResult::Published);
    }
  }
  void drain_all() {
    for (auto& one : readers_) one.checker.drain(*one.reader->ring);
  }
  void drain(std::size_t index) { readers_[index].checker.drain(*readers_[index].reader->ring); }
  /// What the act will publish; made before the child is stepped, so that only the ring's instructions are.
  void announce(std::size_t bytes) {
    lengths_.push_back(bytes);
    announced = pattern(lengths_.size(), bytes);
  }
  /// How many messages the writer has handed over before the act.
  void act_begins() { before_ = writer.deferred() ? 0 : lengths_.size() - 1; }

  /// After the child is dead. `over`: the act returned.
  void verify(bool over) {
    for (auto& [reader, checker, kind, asleep] : readers_) {
      checker.drain(*reader->ring);
      if (kind != Kind::Keeping) continue;
      if (checker.gaps() > 0) checker.violation("2: a gap for a reader that was not lapped");
      if (checker.next() <= before_) checker.violation("2: a published message is lost");
      if (over && must_complete && checker.next() <= lengths_.size())
        checker.violation("2: the act's message is lost");
    }
  }
  void check_bells() {
    for (auto& one : readers_) {
      if (one.asleep && one.reader->rings() != 1)
        one.checker.violation("I8: a sleeper was not rung exactly once");
    }
  }
  [[nodiscard]] std::string first_violation() const {
    for (const auto& one : readers_) {
      if (one.checker.violations() > 0) return one.checker.first_violation();
    }
    return "";
  }
  [[nodiscard]] std::uint64_t gaps() const {
    std::uint64_t sum = 0;
    for (const auto& one : readers_) sum += one.checker.gaps();
    return sum;
  }

  Writer writer;
  std::string announced;
  bool must_complete = true;
  RingWriter::TimePoint now{1h};

 private:
  struct One {
    std::unique_ptr<TestReader> reader;
    Checker checker;
    Kind kind;
    bool asleep;
  };
  std::vector<One> readers_;
  std::vector<std::size_t> lengths_;
  std::size_t before_ = 0;
};

template <class Writer>
struct Scenario {
  const char* name;
  std::function<std::unique_ptr<Rig<Writer>>()> prepare;
  std::function<void(Rig<Writer>&)> act;
};

struct Outcome {
  int kills = 0;
  int violations = 0;
  std::uint64_t gaps = 0;
  std::string first_violation;
};

volatile sig_atomic_t instructions_left = 0;

// The signal is on its way to this process when kill() returns: not one more instruction of the act is run.
void on_trap(int) {
  if (instructions_left == 0) ::kill(::getpid(), SIGKILL);
  instructions_left = instructions_left - 1;
}

// From the instruction after the return on, each one ends in on_trap(). The stack is moved out of a red
// zone's reach.
__attribute__((noinline)) void set_trap_flag() {
  asm volatile("lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::
                   : "memory", "cc");
}
__attribute__((noinline)) void clear_trap_flag() {
  asm volatile("lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::
                   : "memory", "cc");
}

// True if the act was over before that many instructions.
bool run_and_kill_after(int instructions, const std::function<void()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    instructions_left = instructions;
    ::signal(SIGTRAP, on_trap);
    set_trap_flag();
    act();
    clear_trap_flag();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) << status;
  return WIFEXITED(status);
}

template <class Writer>
Outcome kill_at_every_instruction(const Scenario<Writer>& scenario, int most_violations = 10) {
  Outcome outcome;
  bool over = false;
  for (int instructions = 0; !over && outcome.violations < most_violations; ++instructions) {
    auto rig = scenario.prepare();
    rig->act_begins();
    over = run_and_kill_after(instructions, [&] { scenario.act(*rig); });
    rig->verify(over);
    if (over) rig->check_bells();
    ++outcome.kills;
    outcome.gaps += rig->gaps();
    if (const std::string violation = rig->first_violation(); !violation.empty()) {
      if (outcome.violations++ == 0) {
        outcome.first_violation =
            std::string(scenario.name) + ", instruction " + std::to_string(instructions) + ": " + violation;
      }
    }
  }
  return outcome;
}

// The act of most scenarios.
template <class Writer>
void publish_announced(Rig<Writer>& rig) {
  (void)rig.writer.publish(bytes_of(rig.announced));
  rig.writer.flush();
}

template <class Writer>
std::vector<Scenario<Writer>> scenarios() {
  using R = Rig<Writer>;
  std::vector<Scenario<Writer>> all;
  all.push_back({"the first message, for a sleeping reader",
                 [] {
                   auto rig = std::make_unique<R>();
                   rig->add_reader(R::Kind::Keeping, true);
                   rig->announce(64);
                   return rig;
                 },
                 publish_announced<Writer>});
  all.push_back({"an empty message, one reader asleep and one awake",
                 [] {
                   auto rig = std::make_unique<R>();
                   rig->add_reader(R::Kind::Keeping, true);
                   rig->add_reader();
                   rig->fill(500, 64);
                   rig->announce(0);
                   return rig;
                 },
                 publish_announced<Writer>});
  all.push_back({"over the end of the ring, in the payload",
                 [] {
                   auto rig = std::make_unique<R>();
                   rig->add_reader();
                   rig->fill(kMinRingCapacity - 100, 48);
                   rig->drain_all();
                   rig->announce(200);
                   return rig;
                 },
                 publish_announced<Writer>});
  all.push_back({"over the end of the ring, behind the header",
                 [] {
                   auto rig = std::make_unique<R>();
                   rig->add_reader();
                   rig->fill(kMinRingCapacity - 16, 224);
                   rig->drain_all();
                   rig->announce(64);
                   return rig;
                 },
                 publish_announced<Writer>});
  all.push_back({"into the last room that a reader leaves",
                 [] {
                   auto rig = std::make_unique<R>();
                   rig->add_reader();
                   rig->fill(2048, 112);
                   rig->drain_all();
                   rig->fill(kMinRingCapacity - 128, 112);
                   rig->announce(112);
                   return rig;
                 },
                 publish_announced<Writer>});
  all.push_back({"over the oldest record of a reader that it does not know",
                 [] {
                   auto rig = std::make_unique<R>();
                   rig->add_reader(R::Kind::Unknown);
                   rig->fill(kMinRingCapacity, 112);
                   rig->announce(112);
                   return rig;
                 },
                 publish_announced<Writer>});
  all.push_back({"over the oldest record of a lapped reader",
                 [] {
                   auto rig = std::make_unique<R>();
                   rig->add_reader();
                   rig->add_reader(R::Kind::Lapped);
                   rig->fill(kMinRingCapacity, 112);
                   rig->drain(0);
                   rig->announce(112);
                   (void)rig->writer.publish(bytes_of(rig->announced));
                   // Laps the second reader; its oldest record is overwritten by the deferred message, in the
                   // act.
                   rig->writer.retry(rig->now);
                   return rig;
                 },
                 [](R& rig) {
                   rig.writer.retry(rig.now + 1s);
                   rig.writer.flush();
                 }});
  all.push_back({"over a lapped reader, long ago",
                 [] {
                   auto rig = std::make_unique<R>();
                   rig->add_reader(R::Kind::Lapped);
                   rig->fill(kMinRingCapacity, 112);
                   (void)rig->publish(200);
                   rig->writer.retry(rig->now);
                   rig->writer.retry(rig->now + 1s);
                   rig->announce(300);
                   return rig;
                 },
                 publish_announced<Writer>});
  all.push_back({"in two fragments, over the end of the ring",
                 [] {
                   auto rig = std::make_unique<R>();
                   rig->add_reader(R::Kind::Keeping, true);
                   rig->fill(3584, 112);
                   rig->drain_all();
                   rig->announce(1100);
                   return rig;
                 },
                 publish_announced<Writer>});
  all.push_back({"in fragments, of which some are deferred",
                 [] {
                   auto rig = std::make_unique<R>();
                   rig->add_reader();
                   rig->fill(3072, 112);
                   rig->announce(1100);
                   rig->must_complete = false;
                   return rig;
                 },
                 publish_announced<Writer>});
  all.push_back({"the rest of what was deferred",
                 [] {
                   auto rig = std::make_unique<R>();
                   rig->add_reader();
                   rig->fill(3072, 112);
                   rig->announce(1100);
                   (void)rig->writer.publish(bytes_of(rig->announced));
                   rig->drain_all();
                   return rig;
                 },
                 [](R& rig) {
                   rig.writer.retry(rig.now);
                   rig.writer.flush();
                 }});
  return all;
}

class RingSingleStep : public ::testing::TestWithParam<std::size_t> {};

TEST_P(RingSingleStep, keeps_every_invariant_wherever_its_writer_is_killed) {
  const auto scenario = scenarios<RingWriter>()[GetParam()];
  const Outcome outcome = kill_at_every_instruction(scenario);
  std::printf("%s: %d kills, %llu gaps told\n", scenario.name, outcome.kills,
              static_cast<unsigned long long>(outcome.gaps));
  EXPECT_EQ(outcome.violations, 0) << outcome.first_violation;
  EXPECT_GT(outcome.kills, 30) << "the child was not stepped at all";
}

INSTANTIATE_TEST_SUITE_P(scenarios, RingSingleStep,
                         ::testing::Range<std::size_t>(0, scenarios<RingWriter>().size()));

// The first violation that the scenarios find in it; "" for none.
template <CommitOrder kOrder>
std::string fault_of_mutant() {
  for (const auto& scenario : scenarios<BasicRingWriter<kOrder>>()) {
    const Outcome outcome = kill_at_every_instruction(scenario, 1);
    if (outcome.violations > 0) return outcome.first_violation;
  }
  return "";
}

TEST(RingMutants, an_intent_raised_after_the_copy_is_noticed) {
  const std::string fault = fault_of_mutant<CommitOrder::PayloadIntentTail>();
  std::printf("%s\n", fault.c_str());
  EXPECT_NE(fault, "");
}

TEST(RingMutants, a_tail_stored_before_the_payload_is_noticed) {
  const std::string fault = fault_of_mutant<CommitOrder::IntentTailPayload>();
  std::printf("%s\n", fault.c_str());
  EXPECT_NE(fault, "");
}

}  // namespace
}  // namespace limpet::ipc::test
